"""`lab verify FILE --data DIR`: check a file by itself, without torch: its bytes and its accuracy."""

from pathlib import Path

from infer.config import VerifyConfig
from infer.core.console import Screen
from infer.core.errors import ConfigError, ParityError
from infer.dataset.held_out import held_out_images
from infer.dataset.source import read_table
from infer.dataset.table import Table, spread
from infer.images.parallel_map import read_ahead
from infer.images.preprocess import PixelSpec, read_window
from infer.metrics.intervals import wilson
from infer.model.card import read_card
from infer.model.evidence import Evidence, images_sha256, view_digest
from infer.model.runs import find_model, newest_model
from infer.model.seal import Seal, check_seal
from infer.model.session import Session
from infer.pipeline.classify_table import classify_table


def verify_accuracy(config: VerifyConfig, screen: Screen) -> None:
    """Measure a file's accuracy on a labelled data set; on the gate's own pixels it must be that of the evidence.

    Raises:
        ParityError: the file has been changed, has no evidence, or is not as accurate as it was on the same pixels.
        LabError: the file or the images cannot be used.
    """
    if config.data is None:
        raise ConfigError("a file by itself is verified on a labelled data set; name one with --data DIR")
    file = choose_model(config, screen)
    card = read_card(file)
    seal = show_seal(file, screen)
    if seal.changes:
        raise ParityError(f"{seal.note}; prove it against its run with --run, or export it again")
    evidence = seal.evidence
    session = Session(file, config.device, runtime=config.runtime)
    screen.say(f"device: {session.provider}" + (f" ({session.reason})" if session.reason else ""))
    table = held_out_images(read_table(config.data, screen=screen), card.classes, screen)
    table = table.take(spread(len(table), config.gate_images))
    result = classify_table(session, table, config.batch_size, table.name, screen)
    count, correct = len(result.truth), int((result.predicted == result.truth).sum())
    low, high = wilson(correct, count)
    screen.say(f"accuracy: {correct / count:.2%} of {count} images (95%: {low:.1%} to {high:.1%})")
    if evidence is None:
        raise ParityError(
            f"{file} has no evidence to compare with, so nothing is verified; verify it against its --run"
        )
    if _same_pixels(table, card.pixels, count, evidence, screen):
        _require_accuracy(file, correct, count, evidence)


def choose_model(config: VerifyConfig, screen: Screen) -> Path:
    """The file that was named, or the newest; it is printed. Raises ModelError."""
    file = find_model(config.file) if config.file else newest_model()
    screen.say(f"model: {file}")
    return file


def show_seal(file: Path, screen: Screen) -> Seal:
    """Show the gate's result that a file carries, and what was changed since.

    Raises ModelError where the file cannot be used at all, such as one without the outputs.
    """
    seal = check_seal(file, accept_changed=True)
    if seal.evidence is None:
        screen.say(f"evidence: none in {file}; lab export did not finish this file")
    elif seal.changes:
        screen.say(f"evidence: {seal.gate_text}")
    else:
        screen.say(f"evidence: {seal.gate_text}; not a byte has changed since")
    return seal


def _same_pixels(table: Table, spec: PixelSpec, count: int, evidence: Evidence, screen: Screen) -> bool:
    """Whether these images have the pixels of the gate at the export, which is printed."""
    exported = f"at the export: {_exported_accuracy(evidence):.2%}"
    images = evidence.content["images"]
    if count != images:
        screen.say(f"{exported} of {images} images; on other images, so no verdict")
        return False
    if _digest(table, spec) != evidence.content["images_sha256"]:
        screen.say(f"{exported}; on other images, or this machine's decoder differs, so no verdict")
        return False
    screen.say(f"{exported}, on the same pixels")
    return True


def _require_accuracy(file: Path, correct: int, count: int, evidence: Evidence) -> None:
    """Raises ParityError where the accuracy differs from the export's by more than the gate allows."""
    allowed = max(1, float(evidence.content["rule"].get("accuracy", 0)) * count)
    if abs(correct - _exported_accuracy(evidence) * count) > allowed + 1e-6:
        raise ParityError(
            f"the accuracy of {file} differs from that at its export, on the same pixels; export it again"
        )


def _exported_accuracy(evidence: Evidence) -> float:
    """The file's accuracy at its export, on all of the gate's images."""
    return float(max(evidence.content["checks"], key=lambda check: int(check["images"]))["accuracy"])


def _digest(table: Table, spec: PixelSpec) -> str:
    views = read_ahead(table.files(), lambda file: read_window(file, spec))
    return images_sha256([view_digest(view) for view in views if not isinstance(view, Exception)])
