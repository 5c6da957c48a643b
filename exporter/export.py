"""`lab export`: a network to one ONNX file, which gets its name only after the gate, and carries the gate's result."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import onnx

from exporter.cam import add_cam, check_cam
from exporter.config import ExportConfig
from exporter.deploy import check_deployment
from exporter.embed_resize import whole_image_card
from exporter.finish import check_file_opset, finish_file, gate_evidence, write_parity
from exporter.gate import gate_providers, require_parity, run_reference
from exporter.graph import at_precision, build_graph, finish
from exporter.image_gate import require_image_parity
from exporter.inputs import take_input
from exporter.opsets import check_gpu_opset, check_opset
from exporter.parity import Parity
from exporter.precisions import EXPORTS
from exporter.quantize import read_calibration
from exporter.reference import Reference
from exporter.source import Source, open_source
from exporter.temperature import fit_temperature
from exporter.threshold import with_threshold
from infer.core.arrays import Pixels
from infer.core.console import Screen
from infer.core.exclusive import exclusive
from infer.core.file_sets import file_set
from infer.dataset.table import spread
from infer.metrics.point_values import calibration_error, softmax
from infer.model.card import ModelCard
from infer.model.input_kinds import UINT8
from infer.model.onnx_session import runtime_version
from infer.model.precision import PRECISIONS
from infer.model.providers import AUTO, Provider
from infer.version import __version__
from trainer.model.network import PixelNet


def export(config: ExportConfig, screen: Screen) -> tuple[Path, Parity]:
    """Export a network and compare the file with it; returns the file's path and the gate's result.

    Raises:
        ConfigError: the opset is not possible here, or no use on the GPU that the file is for; or a folder of
            `exporter.deploy` could not be made of it.
        ExportError: the file is not of the requested opset, precision or batch size.
        ParityError: its outputs differ from the network's. Then no file is left, and an earlier one is untouched.
        LabError: the checkpoint, its images or the output folder cannot be used.
    """
    check_opset(config.opset)
    check_gpu_opset(config.opset, config.precision, config.device, screen)
    providers = gate_providers(config.device, config.runtime, config.precision, config.opset, screen)
    source = open_source(config, screen)
    if config.embed_resize:
        source = replace(source, card=whole_image_card(source.card))
    target = config.out or source.model
    planned = replace(source.card, precision=config.precision, opset=config.opset, input=config.input_kind)
    check_deployment(config, target, planned)
    with exclusive(target):
        return target, _export_alone(config, source, target, providers, screen)


def _export_alone(
    config: ExportConfig, source: Source, target: Path, providers: Sequence[Provider], screen: Screen
) -> Parity:
    """Export while no other process writes the same file. Raises as `export`."""
    calibration = _calibration_views(config, source, screen)
    reference = run_reference(source.network, source.gate, source.card, config.precision, config.gate_images, screen)
    card = export_card(source.card, config)
    if config.calibrate:
        card = calibrated(card, source.network, reference, screen)
    card = with_threshold(card, reference, source.gate, screen)
    model = _requested_model(config, source.network, card, calibration, screen)
    may_fail = [row.name for row in providers if row.optional and config.runtime == AUTO]
    with file_set(target) as files:
        draft = files.draft(target)
        draft.write_bytes(model.SerializeToString(deterministic=True))
        check_file_opset(draft, config.opset)
        consequence = "no file was left"
        if config.embed_resize:
            parity = require_image_parity(draft, source.network, reference, screen, consequence)
        else:
            parity = require_parity(draft, reference, config.batch_size, providers, screen, consequence, may_fail)
        passed = [row for row in providers if row.name in parity.providers]
        if config.cam:
            check_cam(draft, reference, passed)
        evidence = gate_evidence(model, parity)
        finish_file(draft, evidence, reference, passed[-1])
        write_parity(files, target, evidence, parity, reference)
    return parity


def _requested_model(
    config: ExportConfig, network: PixelNet, card: ModelCard, calibration: Pixels | None, screen: Screen
) -> onnx.ModelProto:
    """The finished model with the outputs and the input that were asked for. Raises ExportError."""
    model, card = build_model(network, card, calibration, config.batch, screen.say)
    if config.cam:
        add_cam(model)
        model = finish(model, card, config.batch)
    if config.input_kind == UINT8:
        return model
    take_input(model, config.input_kind, card.pixels)
    return finish(model, replace(card, input=config.input_kind), config.batch)


def export_card(card: ModelCard, config: ExportConfig) -> ModelCard:
    """The checkpoint's card with precision, opset and the versions of the export."""
    packages = ("torch", "onnx", "onnxscript")
    versions = {"lab": __version__, **{name: version(name) for name in packages}, "onnxruntime": runtime_version()}
    provenance = {**card.provenance, "exported_with": versions}
    return replace(card, opset=config.opset, precision=config.precision, provenance=provenance)


def calibrated(card: ModelCard, network: PixelNet, reference: Reference, screen: Screen) -> ModelCard:
    """The card, and the network too, with the temperature that fits the validation images, if one does."""
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
    fit = {"images": count, "error_before": before, "error_after": after}
    return replace(card, temperature=temperature, provenance={**card.provenance, "temperature_fit": fit})


def build_model(
    network: PixelNet,
    card: ModelCard,
    calibration: Pixels | None,
    batch: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[onnx.ModelProto, ModelCard]:
    """The network as a finished ONNX model in the card's precision, and its card with the record of a conversion.

    Args:
        network: in float32 and evaluation mode.
        card: with opset and precision set.
        calibration: evaluation views of training images, uint8 [n, H, W, 3], where the precision is calibrated.
        batch: the only batch size that the model will take; None: any.
        say: receives messages about a conversion.

    Raises:
        ExportError: the model cannot be built.
    """
    convert_graph = EXPORTS[card.precision].convert_graph
    if convert_graph is None or calibration is None:
        return build_graph(at_precision(network, card.precision), card, batch), card
    plain = build_graph(at_precision(network, "fp32"), replace(card, precision="fp32"))
    converted, record = convert_graph(plain, calibration, say)
    card = replace(card, provenance={**card.provenance, card.precision: record})
    return finish(converted, card, batch), card


def _calibration_views(config: ExportConfig, source: Source, screen: Screen) -> Pixels | None:
    """The evaluation views of training images, uint8 [n, H, W, 3], where the precision is calibrated on them."""
    if not PRECISIONS[config.precision].calibrated:
        return None
    files = source.training.files()
    chosen = [files[row] for row in spread(len(files), config.calibration_images)] if files else []
    pixels = read_calibration(chosen, source.card.pixels)
    if missing := len(chosen) - len(pixels):
        screen.say(f"{missing} of {len(chosen)} training images to calibrate on cannot be read and are left out")
    return pixels
