"""`lab export`: a run's best checkpoint to one ONNX file, which gets its name only after the gate."""

import json
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from exporter.graph import build_graph, check_opset
from exporter.parity import Parity, parity_table, read_views, run_gate
from infer.card import ModelCard
from infer.cuda import find_problem
from infer.errors import ConfigError, ExportError, ParityError, listed
from infer.evaluate import run_table
from infer.files import replacing
from infer.onnx_file import read_header
from infer.runs import MODELS, find_checkpoint, newest_run
from infer.screen import Screen
from infer.session import Device
from infer.table import VALID
from trainer.checkpoint import load_checkpoint
from trainer.network import PixelNet

Precision = Literal["fp32", "fp16"]
GATE_IMAGES = 256


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What `lab export` is asked for."""

    run: Path | None = None
    """A run's folder or its best.safetensors; None: the newest run with a finished epoch."""
    opset: int = 17
    """The ONNX opset of the file."""
    precision: Precision = "fp32"
    """fp32, or fp16 for GPUs: weights and arithmetic of the ResNet in half precision."""
    data: Path | None = None
    """Where the run's images lie now, if no longer where they were."""
    batch_size: int = 64
    """The gate's full batch, above 0."""
    out: Path | None = None
    """The file to write; None: model.onnx or model.fp16.onnx in the run's folder."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"--batch-size must be above 0, got {self.batch_size}")


def export(config: ExportConfig, screen: Screen) -> tuple[Path, Parity]:
    """Export, prove, and only then name the file; its path and what the gate found.

    Raises:
        ExportError: the opset is not possible, or the file is not what was asked for.
        ParityError: it does not answer as the network did. No file is left then, and an earlier one is untouched.
        LabError: the run, its images or the place to write to are not usable.
    """
    check_opset(config.opset)
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
        parity = run_gate(draft, network, pixels, table.labels[rows], config.batch_size, gate_devices(screen))
        screen.say(f"parity with the network on {parity.images} validation images:")
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
    """A copy whose ResNet computes in this precision; normalisation and softmax stay float32."""
    copied = deepcopy(network)
    if precision == "fp16":
        copied.resnet.half()
    return copied.eval()


def check_file(path: Path, opset: int) -> None:
    """Raises ExportError unless the file on disk says that it is of this opset and no other."""
    opsets = read_header(path).opsets
    if opsets != {"": opset}:
        raise ExportError(f"opset {opset} was asked for, the file has {opsets}; try another --opset")


def gate_devices(screen: Screen) -> list[Device]:
    """The providers of this machine; both precisions are meant for either, fp16 being slow on a CPU but right."""
    problem = find_problem()
    if problem:
        screen.say(f"gate: CPU provider alone ({problem})")
    return ["cpu"] if problem else ["cpu", "cuda"]
