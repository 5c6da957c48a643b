"""`lab export`: a run's best checkpoint to one ONNX file, which gets its name only after the gate."""

import json
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from exporter.config import ExportConfig
from exporter.graph import build_graph, check_opset
from exporter.parity import Parity, parity_table, read_views, run_gate
from infer.card import ModelCard
from infer.config import Device
from infer.cuda import find_problem
from infer.errors import DeviceError, ExportError, ParityError, listed
from infer.evaluate import run_table
from infer.files import replacing
from infer.onnx_file import read_header
from infer.runs import MODELS, find_checkpoint, newest_run
from infer.screen import Screen
from infer.table import VALID
from trainer.checkpoint import load_checkpoint
from trainer.network import PixelNet

GATE_IMAGES = 256


def export(config: ExportConfig, screen: Screen) -> tuple[Path, Parity]:
    """Export, prove, and only then name the file; its path and what the gate found.

    Raises:
        ExportError: the opset is not possible, or the file is not what was asked for.
        ParityError: it does not answer as the network did. No file is left then, and an earlier one is untouched.
        LabError: the run, its images or the place to write to are not usable.
    """
    check_opset(config.opset)
    devices = gate_devices(config.device, screen)
    checkpoint = find_checkpoint(config.run or newest_run())
    screen.say(f"checkpoint: {checkpoint}")
    network, card = load_checkpoint(checkpoint)
    card = export_card(card, config)
    table = run_table(checkpoint.parent, card, config.data).split(VALID)
    pixels, rows = read_views(table.files(), card.pixels, GATE_IMAGES)
    model = build_graph(at_precision(network, card.precision), card)
    target = config.out or checkpoint.parent / MODELS[card.precision]
    evidence = target.with_suffix(".parity.json")
    with ExitStack() as files:
        draft = files.enter_context(replacing(target))
        proof = files.enter_context(replacing(evidence))
        draft.write_bytes(model.SerializeToString(deterministic=True))
        check_file(draft, config.opset)
        parity = run_gate(draft, network, pixels, table.labels[rows], config.batch_size, devices)
        screen.say(f"parity with the network on {parity.images} validation images (flips: labels that differ):")
        screen.show(parity_table(parity))
        if parity.failures:
            raise ParityError(
                f"the exported file does not answer as the network did: {listed(parity.failures, 3)}; no file was left"
            )
        proof.write_text(json.dumps(parity.to_json(), indent=2) + "\n", encoding="utf-8")
    return target, parity


def export_card(card: ModelCard, config: ExportConfig) -> ModelCard:
    """The checkpoint's card with what the export adds: precision, opset, versions."""
    packages = {name: version(name) for name in ("onnx", "onnxscript")}
    versions = {**card.provenance.get("versions", {}), **packages}
    provenance = {**card.provenance, "versions": versions}
    return replace(card, opset=config.opset, precision=config.precision, provenance=provenance)


def at_precision(network: PixelNet, precision: str) -> PixelNet:
    """A copy with batch normalisation folded into the convolutions, whose ResNet computes in this precision.

    Folding comes first, in float32: statistics of a batch may lie beyond half precision's 65,504 where the folded
    weights do not. Pixel normalisation and softmax stay float32.
    """
    copied = deepcopy(network).eval()
    for module in copied.resnet.modules():
        children = dict(module.named_children())
        for conv_name, norm_name in (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"), ("0", "1")):
            conv, norm = children.get(conv_name), children.get(norm_name)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())
    if precision == "fp16":
        copied.resnet.half()
    return copied


def check_file(path: Path, opset: int) -> None:
    """Raises ExportError unless the file on disk says that it is of this opset and no other."""
    opsets = read_header(path).opsets
    if opsets != {"": opset}:
        raise ExportError(f"opset {opset} was asked for, the file has {opsets}; try another --opset")


def gate_devices(wanted: Device, screen: Screen) -> list[Device]:
    """The providers to run the file on; both precisions are meant for either, fp16 being slow on a CPU but right.

    Raises:
        DeviceError: CUDA was asked for and cannot be had.
    """
    if wanted == "cpu":
        return ["cpu"]
    problem = find_problem()
    if problem and wanted == "cuda":
        raise DeviceError(f"--device cuda: {problem}; or choose --device cpu")
    if problem:
        screen.say(f"gate: CPU provider alone ({problem})")
    return ["cpu"] if problem else ["cpu", "cuda"]
