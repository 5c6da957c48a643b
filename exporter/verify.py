"""`lab verify FILE`: the gate again, from a finished file and the run or the weights that it was made from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from exporter.cam import check_cam, has_cam
from exporter.finish import check_file
from exporter.gate import ask_network, gate_devices, pass_gate
from exporter.graph import check_precision
from exporter.parity import Parity
from exporter.reference import Reference
from exporter.source import load_all
from infer.config import VerifyConfig
from infer.core.console import Screen
from infer.core.errors import ConfigError, ExportError, ParityError
from infer.dataset.held_out import held_out_images, run_table
from infer.dataset.source import read_table
from infer.dataset.table import VALID, Table
from infer.model.card import ModelCard, read_card
from infer.model.runs import CHECKPOINT, find_checkpoint
from infer.verify import model_file, say_evidence
from trainer.model.checkpoint import load_checkpoint, weights_sha256
from trainer.model.network import PixelNet, build_network


def verify(config: VerifyConfig, screen: Screen) -> Parity:
    """Compare a finished file with its network on this machine; what the gate found.

    Raises:
        ParityError: the file has been changed, was made from other weights, or does not answer as the network did.
        LabError: the file, the run or its images are not usable.
    """
    file = model_file(config, screen)
    card = read_card(file)
    evidence = say_evidence(file, screen)
    try:
        check_file(file, card.opset or 0)
        model = onnx.load(file)
        check_precision(model, card.precision)
    except ExportError as error:
        raise ParityError(f"{file} is not what its card says: {error}") from error
    devices = gate_devices(config.device, card.precision, screen)
    network, table = _original(config, file, card, screen)
    network.temperature.fill_(card.temperature)
    reference = ask_network(network, table, card, card.precision, config.gate_images, screen)
    if evidence:
        screen.say(f"the gate's images: {_compared(evidence.found, reference)}")
    parity = pass_gate(file, reference, config.batch_size, devices, screen, "do not use it here")
    if has_cam(model):
        check_cam(file, reference, devices)
    return parity


def _compared(found: Mapping[str, Any], reference: Reference) -> str:
    """Whether the gate sees what it saw at the export, for people."""
    count = len(reference.files)
    if found["images"] != count:
        return f"{count}, at the export {found['images']}, so their pixels cannot be compared"
    if found["images_sha256"] == reference.images_sha256:
        return "the same pixels as at the export"
    return "NOT the pixels of the export; the images, or this machine's decoder, are others"


def _original(config: VerifyConfig, file: Path, card: ModelCard, screen: Screen) -> tuple[PixelNet, Table]:
    """The network that the file says it was made from, and the gate's images."""
    run = config.run or file.parent
    if config.run is None and not (run / CHECKPOINT).is_file():
        raise ConfigError(
            f"{file} does not lie in a run; give the run with --run, or measure with the file alone: --data DIR"
        )
    if run.is_file() and run.suffix in (".pth", ".pt", ".safetensors") and run.name != CHECKPOINT:
        if config.data is None:
            raise ConfigError(f"--run {run} is a file of weights, so --data must say where images for the gate are")
        network = build_network(card).eval()
        load_all(network, run)
        screen.say(f"weights: {run}")
        _same_weights(card, weights_sha256(network.backbone.state_dict()), file, run)
        return network, held_out_images(read_table(config.data, screen=screen), card.classes, screen)
    checkpoint = find_checkpoint(run)
    screen.say(f"checkpoint: {checkpoint}")
    network, own = load_checkpoint(checkpoint)
    _same_weights(card, own.provenance.get("weights_sha256"), file, checkpoint)
    for name in ("architecture", "classes", "pixels", "normalization", "ordered"):
        if getattr(card, name) != getattr(own, name):
            raise ParityError(f"the card of {file} tells another {name} than {checkpoint}; export again")
    return network, run_table(checkpoint.parent, card, config.data, screen).split(VALID)


def _same_weights(card: ModelCard, sha256: object, file: Path, source: Path) -> None:
    if card.provenance.get("weights_sha256") != sha256:
        raise ParityError(f"{file} was made from other weights than {source} holds; name its own --run")
