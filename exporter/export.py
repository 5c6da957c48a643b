"""`lab export`: a network to one ONNX file, which is named after the gate alone and carries what the gate found."""

import json
import platform
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx

from exporter.cam import add_cam, check_cam
from exporter.config import ExportConfig
from exporter.finish import check_file, finish_file
from exporter.gate import ask_network, gate_devices, pass_gate
from exporter.graph import at_precision, build_graph, check_opset, finish, weights_sha256
from exporter.parity import Parity
from exporter.quantize import quantize, read_calibration
from exporter.reference import Reference
from exporter.source import Source, open_source
from exporter.temperature import fit_temperature
from exporter.threshold import with_threshold
from infer.core.arrays import Pixels
from infer.core.console import Screen
from infer.core.files import atomic_write, write_text
from infer.dataset.table import spread
from infer.metrics.point_values import calibration_error, softmax
from infer.model.card import ModelCard
from infer.model.onnx_session import runtime_version
from infer.version import __version__
from trainer.model.network import PixelNet


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
    with atomic_write(target) as draft:
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
