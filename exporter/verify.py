"""`lab verify FILE`: the gate again, for a finished file and the run or the weights that it was made from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from exporter.cam import check_cam, has_cam
from exporter.embed_resize import whole_image_card
from exporter.finish import check_file_opset, circumstances
from exporter.gate import gate_providers, require_parity, run_reference
from exporter.graph import check_precision
from exporter.image_gate import require_image_parity
from exporter.parity import Parity
from exporter.reference import Reference
from exporter.reseal import reseal
from exporter.source import load_all
from infer.config import VerifyConfig
from infer.core.console import Screen
from infer.core.errors import ConfigError, ExportError, ParityError
from infer.dataset.held_out import held_out_images, run_table
from infer.dataset.source import read_table
from infer.dataset.table import VALID, Table
from infer.model.card import ModelCard, read_card
from infer.model.evidence import Evidence, add_checks, evidence_problem
from infer.model.input_kinds import IMAGE
from infer.model.providers import AUTO, Provider
from infer.model.runs import CHECKPOINT, find_checkpoint
from infer.verify import choose_model, show_seal
from trainer.model.checkpoint import load_checkpoint, weights_sha256
from trainer.model.network import PixelNet, build_network


def verify(config: VerifyConfig, screen: Screen) -> Parity:
    """Compare a finished file with its network on this machine; returns the gate's result.

    Raises:
        ParityError: the file was made from other weights, its outputs differ from the network's, or it has been changed
            and is not to be sealed again.
        LabError: the file, the run or its images cannot be used.
    """
    file = choose_model(config, screen)
    card = read_card(file)
    seal = show_seal(file, screen)
    card = seal.true_card(card)
    model = onnx.load(file)
    if not seal.changes:
        _require_card_of_graph(file, model, card)
    providers = gate_providers(config.device, config.runtime, card.precision, card.opset, screen)
    optional = [row.name for row in providers if row.optional and config.runtime == AUTO]
    named = seal.evidence.providers if seal.evidence and not seal.changes else ()
    network, table = _original(config, file, card, screen)
    network.temperature.fill_(card.temperature)
    reference = run_reference(network, table, card, card.precision, config.gate_images, screen)
    if seal.evidence:
        screen.say(f"the gate's images: {_comparison(seal.evidence.content, reference)}")
    consequence = f"{seal.note}; export it again" if seal.changes else "do not use it here"
    if card.input == IMAGE:
        parity = require_image_parity(file, network, reference, screen, consequence)
    else:
        may_fail = set(optional) - set(named)
        parity = require_parity(file, reference, config.batch_size, providers, screen, consequence, may_fail)
    passed = [row for row in providers if row.name in parity.providers]
    if has_cam(model):
        check_cam(file, reference, passed)
    if config.reseal:
        reseal(seal, model, parity, reference, passed[-1], screen)
    elif seal.changes:
        raise ParityError(
            f"{seal.note}, but answers as the network did; seal it again with lab verify --reseal, or export it again"
        )
    if seal.evidence and not seal.changes:
        _add_runtimes(config, seal.evidence, file, [row for row in passed if row.optional], parity, screen)
    return parity


def _require_card_of_graph(file: Path, model: onnx.ModelProto, card: ModelCard) -> None:
    """Raises ParityError unless the graph has the opset and the precision of the card."""
    try:
        check_file_opset(file, card.opset or 0)
        check_precision(model, card.precision)
    except ExportError as error:
        raise ParityError(f"{file} differs from its card: {error}") from error


def _add_runtimes(
    config: VerifyConfig, evidence: Evidence, file: Path, passed: Sequence[Provider], parity: Parity, screen: Screen
) -> None:
    """Add the runtime that --runtime names to the file's evidence; of others that passed, say how to add them."""
    for row in passed:
        if evidence_problem(file, evidence, row) is None:
            continue
        if config.runtime == AUTO:
            screen.say(f"{row.label} passed and is not in the evidence; add it with lab verify {file} {row.option}")
            continue
        checks = [check for check in parity.to_json()["checks"] if check["provider"] == row.name]
        shared = {"gate_images_sha256": parity.images_sha256, **circumstances(parity)}
        add_checks(file, [{**check, **shared} for check in checks])
        screen.say(f"evidence: {row.label} added to {file}")


def _comparison(evidence: Mapping[str, Any], reference: Reference) -> str:
    """Whether the gate's images have the pixels of the export, for people."""
    count = len(reference.files)
    if evidence["images"] != count:
        return f"{count}, at the export {evidence['images']}, so their pixels cannot be compared"
    if evidence["images_sha256"] == reference.images_sha256:
        return "the same pixels as at the export"
    return "NOT the pixels of the export: the images, or this machine's decoder, differ"


def _original(config: VerifyConfig, file: Path, card: ModelCard, screen: Screen) -> tuple[PixelNet, Table]:
    """The network from which the file says it was made, and the gate's images."""
    run = config.run or file.parent
    if config.run is None and not (run / CHECKPOINT).is_file():
        raise ConfigError(
            f"{file} is not in a run's folder; name the run with --run, or measure the file alone with --data DIR"
        )
    if run.is_file() and run.suffix in (".pth", ".pt", ".safetensors") and run.name != CHECKPOINT:
        return _from_weights(config, run, file, card, screen)
    checkpoint = find_checkpoint(run)
    screen.say(f"checkpoint: {checkpoint}")
    network, own_card = load_checkpoint(checkpoint)
    _require_same_weights(card, own_card.provenance.get("weights_sha256"), file, checkpoint)
    if card.input == IMAGE:
        own_card = whole_image_card(own_card)
    for name in ("architecture", "classes", "pixels", "normalization", "ordered"):
        if getattr(card, name) != getattr(own_card, name):
            raise ParityError(f"the card of {file} has other {name} than that of {checkpoint}; export again")
    return network, run_table(checkpoint.parent, card, config.data, screen).split(VALID)


def _from_weights(
    config: VerifyConfig, weights: Path, file: Path, card: ModelCard, screen: Screen
) -> tuple[PixelNet, Table]:
    """A network with weights that were trained elsewhere, and the images of --data."""
    if config.data is None:
        raise ConfigError(f"--run {weights} is a file of weights, so --data must name images for the gate")
    network = build_network(card).eval()
    load_all(network, weights, card.architecture)
    screen.say(f"weights: {weights}")
    _require_same_weights(card, weights_sha256(network.backbone.state_dict()), file, weights)
    return network, held_out_images(read_table(config.data, screen=screen), card.classes, screen)


def _require_same_weights(card: ModelCard, sha256: object, file: Path, source: Path) -> None:
    if card.provenance.get("weights_sha256") != sha256:
        raise ParityError(f"{file} was made from other weights than those in {source}; name its own with --run")
