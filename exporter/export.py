"""`lab export`: a network to one ONNX file, which is named after the gate alone and carries what the gate found."""

import json
import platform
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from exporter.cam import add_cam, check_cam
from exporter.config import ExportConfig
from exporter.gate import Run, gate_devices, run_gate
from exporter.graph import build_graph, check_opset, finish, weights_sha256
from exporter.parity import Parity, parity_table, rule_line
from exporter.quantize import quantize, read_calibration
from exporter.reference import Reference, Watch, ask
from exporter.source import Source, open_source
from exporter.temperature import fit_temperature
from exporter.threshold import with_threshold
from infer import __version__
from infer.config import Device
from infer.core.console import Screen
from infer.core.errors import DataError, ExportError, ParityError, listed
from infer.core.files import replacing, write_text
from infer.dataset.table import Table, spread
from infer.images.preprocess import Pixels
from infer.metrics.metrics import softmax
from infer.metrics.point_values import calibration_error
from infer.model.card import ModelCard, read_card
from infer.model.evidence import attach_evidence, read_evidence
from infer.model.onnx_reader import read_header
from infer.model.session import Session, runtime_version
from trainer.model.network import PixelNet

REOPENED = 8
"""Images that the finished file is tried on once more."""
ADVICE = {"fp16": "; export fp32", "int8": "; try more --calibration-images, or export fp32"}
"""What else can be done about a network that a precision does not suit."""
SHOWN = 5
"""Labels that differ are shown up to this number; the evidence lists more."""


def export(config: ExportConfig, screen: Screen) -> tuple[Path, Parity]:
    """Export, prove, and only then name the file; its path and what the gate found.

    Raises:
        ExportError: the opset is not possible, or the file is not what was asked for.
        ParityError: it does not answer as the network did. No file is left then, and an earlier one is untouched.
        LabError: the checkpoint, its images or the place to write to are not usable.
    """
    check_opset(config.opset)
    devices = gate_devices(config.device, config.precision, screen)
    source = open_source(config, screen)
    calibration = _calibration_views(config, source, screen)
    reference = ask_network(source.network, source.gate, source.card, config.precision, config.gate_images, screen)
    card = export_card(source.card, config)
    if config.calibrate:
        card = calibrated(card, source.network, reference, screen)
    card = with_threshold(card, reference, source.gate, screen)
    model = _build(config, source.network, card, calibration, screen)
    target = config.out or source.model
    with replacing(target) as draft:
        draft.write_bytes(model.SerializeToString(deterministic=True))
        check_file(draft, config.opset)
        parity = pass_gate(draft, reference, config.batch_size, devices, screen, "no file was left")
        if config.cam:
            check_cam(draft, reference, devices)
        found = {**parity.to_json(), **_circumstances(model)}
        finish_file(draft, found, reference, devices[-1])
    flipped = {flip.image: reference.files[flip.image] for check in parity.checks for flip in check.flips}
    proof = json.dumps({**found, "flipped": flipped}, indent=2)
    write_text(target.with_suffix(".parity.json"), proof + "\n")
    return target, parity


def ask_network(
    network: PixelNet, table: Table, card: ModelCard, precision: str, limit: int | None, screen: Screen
) -> Reference:
    """The network's answers to the table's images, or to `limit` of them, spread evenly.

    Raises:
        DataError: there are none, or half of them or more cannot be read.
        ParityError: `precision` is fp16, and its numbers cannot hold what the network computes.
    """
    if not len(table):
        raise DataError(f"{table.root} has no validation images for the gate; name a data set that has, with --data")
    table = table.take(spread(len(table), limit))
    watch = Watch(at_precision(network, "fp32")) if precision == "fp16" else None
    with screen.bar("asking the network", len(table)) as bar:
        reference = ask(network, table.files(), table.labels, card.pixels, watch, bar.step)
    if reference.unreadable:
        names = listed([str(error) for error in reference.unreadable])
        screen.say(f"{len(reference.unreadable)} of the gate's images cannot be read and are left out: {names}")
    # looked at here, since ONNX Runtime computes fp16 in float32 on a CPU, where nothing overflows
    if watch and (problem := watch.beyond_half()):
        raise ParityError(f"half precision cannot hold what this network computes: {problem}; export fp32")
    return reference


def pass_gate(
    file: Path, reference: Reference, batch_size: int, devices: Sequence[Device], screen: Screen, outcome: str
) -> Parity:
    """Run the gate and show what it found. Raises ParityError, which ends with `outcome`, where it does not pass."""
    with screen.bar("gate", len(reference.files)) as bar:
        parity = run_gate(file, reference, batch_size, devices, bar.step)
    screen.say(
        f"parity with the network on {parity.images} images (flips: labels that differ; network, file: accuracy; "
        "difference: of accuracy, 95% interval)"
    )
    screen.show(parity_table(parity))
    screen.say(rule_line(parity))
    classes, whole = read_card(file).classes, max(parity.checks, key=lambda check: check.images)
    for flip in whole.flips[:SHOWN]:
        names = f"the network says {classes[flip.network]}, the file {classes[flip.file]}"
        screen.say(f"differs: {reference.files[flip.image]}: {names}, by a margin of {flip.margin:.2g} in the logits")
    if parity.failures:
        why, advice = listed(parity.failures, 3), ADVICE.get(parity.precision, "")
        raise ParityError(f"the file does not answer as the network did: {why}; {outcome}{advice}")
    return parity


def finish_file(draft: Path, found: Mapping[str, Any], reference: Reference, device: Device) -> None:
    """Write the evidence as the file's last bytes, and open it once more: its weights, its card, a batch of answers.

    Raises:
        ExportError: the file is not what was written.
        OSError: it cannot be written.
    """
    pixels = np.stack(list(reference.take(range(min(REOPENED, len(reference.files)))).views()))
    before = Run(Session(draft, device)).add(pixels).answers()
    attach_evidence(draft, found)
    evidence = read_evidence(draft)
    weights = weights_sha256(onnx.load(draft))
    after = Run(Session(draft, device)).add(pixels).answers()
    same = all(np.allclose(one, two, rtol=1e-4, atol=1e-4) for one, two in zip(before, after, strict=True))
    if not (evidence and evidence.intact and same and weights == found["graph_weights_sha256"]):
        raise ExportError(f"the finished file {draft} is not what was written; check the disk and export again")


def export_card(card: ModelCard, config: ExportConfig) -> ModelCard:
    """The checkpoint's card with what the export adds: precision, opset, versions."""
    packages = ("torch", "onnx", "onnxscript")
    versions = {"lab": __version__, **{name: version(name) for name in packages}, "onnxruntime": runtime_version()}
    provenance = {**card.provenance, "exported_with": versions}
    return replace(card, opset=config.opset, precision=config.precision, provenance=provenance)


def calibrated(card: ModelCard, network: PixelNet, reference: Reference, screen: Screen) -> ModelCard:
    """The card and the network with the temperature that fits the validation images, if one does."""
    count = len(reference.truth)
    temperature = fit_temperature(reference.logits, reference.truth)
    if temperature is None:
        wrong = int((reference.logits.argmax(axis=1) != reference.truth).sum())
        screen.say(f"no temperature can be fitted to {count} images of which {wrong} are classified wrong: kept at 1")
        return card
    network.temperature.fill_(temperature)
    before, after = (
        round(calibration_error(softmax(reference.logits / value), reference.truth), 6) for value in (1.0, temperature)
    )
    screen.say(
        f"temperature {temperature:g}: calibration error {before:.4f} before, {after:.4f} after, on the {count} "
        "validation images that it was fitted to"
    )
    told = {"images": count, "error_before": before, "error_after": after}
    return replace(card, temperature=temperature, provenance={**card.provenance, "temperature_fit": told})


def _calibration_views(config: ExportConfig, source: Source, screen: Screen) -> Pixels | None:
    if config.precision != "int8":
        return None
    files = source.training.files()
    chosen = [files[row] for row in spread(len(files), config.calibration_images)] if files else []
    pixels = read_calibration(chosen, source.card.pixels)
    if missing := len(chosen) - len(pixels):
        screen.say(f"{missing} of {len(chosen)} training images to calibrate on cannot be read and are left out")
    return pixels


def _build(
    config: ExportConfig, network: PixelNet, card: ModelCard, calibration: Pixels | None, screen: Screen
) -> onnx.ModelProto:
    if calibration is None:
        model = build_graph(at_precision(network, card.precision), card, config.batch)
        return _with_cam(model, card, config)
    plain = build_graph(at_precision(network, "fp32"), replace(card, precision="fp32"))
    done = quantize(plain, calibration, screen.say)
    told = {"calibrated_on": done.calibrated_on, "noise": round(done.noise, 6), "in_float": list(done.float_layers)}
    card = replace(card, provenance={**card.provenance, "int8": told})
    layers = ", ".join(done.float_layers)
    held = len(calibration) - done.calibrated_on
    told_of = f"calibrated on {done.calibrated_on} training images, logits off by {done.noise:.1%} over {held} others"
    screen.say(f"int8: {told_of}; in float: {layers}")
    return _with_cam(finish(done.model, card, config.batch), card, config)


def _with_cam(model: onnx.ModelProto, card: ModelCard, config: ExportConfig) -> onnx.ModelProto:
    if not config.cam:
        return model
    add_cam(model)
    return finish(model, card, config.batch)


def _circumstances(model: onnx.ModelProto) -> dict[str, Any]:
    """What of the evidence is not the gate's: the weights, the day, the machine."""
    return {
        "graph_weights_sha256": weights_sha256(model),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}",
        "onnxruntime": runtime_version(),
    }


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
