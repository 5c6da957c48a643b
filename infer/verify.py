"""`lab verify FILE --data DIR`: what can be checked with a file alone, without torch: its bytes and its accuracy."""

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
from infer.model.evidence import Evidence, images_sha256, read_evidence, view_digest
from infer.model.runs import find_model, newest_model
from infer.model.session import Session
from infer.pipeline.classify_table import classify_table


def recheck(config: VerifyConfig, screen: Screen) -> None:
    """Measure a file's accuracy on a labelled data set, and hold it to its evidence where the images are the gate's.

    Raises:
        ParityError: the file has been changed, has no evidence, or is not as accurate as it was on the same images.
        LabError: the file or the images are not usable.
    """
    if config.data is None:
        raise ConfigError("a data set is needed: --data DIR")
    file = model_file(config, screen)
    card = read_card(file)
    evidence = say_evidence(file, screen)
    session = Session(file, config.device)
    screen.say(f"device: {session.provider}" + (f" ({session.reason})" if session.reason else ""))
    table = read_table(config.data, screen=screen)
    table = held_out_images(table, card.classes, screen)
    table = table.take(spread(len(table), config.gate_images))
    result = classify_table(session, table, config.batch_size, table.name, screen)
    count, right = len(result.truth), int((result.predicted == result.truth).sum())
    low, high = wilson(right, count)
    screen.say(f"accuracy: {right / count:.2%} of {count} images (95%: {low:.1%} to {high:.1%})")
    if evidence is None:
        raise ParityError(
            f"{file} carries no evidence to hold it to, so nothing is verified; verify it against its --run"
        )
    check = max(evidence.found["checks"], key=lambda item: int(item["images"]))
    told = float(check["accuracy"])
    if count != evidence.found["images"]:
        screen.say(f"at the export: {told:.2%} of {evidence.found['images']} images; on other images, so no verdict")
        return
    if _digest(table, card.pixels) != evidence.found["images_sha256"]:
        screen.say(f"at the export: {told:.2%}; on other images, or this machine's decoder is another, so no verdict")
        return
    screen.say(f"at the export: {told:.2%}, on these very pixels")
    allowed = max(1, float(evidence.found["rule"].get("accuracy", 0)) * count)
    if abs(right - told * count) > allowed + 1e-6:
        raise ParityError(f"{file} is not as accurate as it was at its export, on the same images")


def model_file(config: VerifyConfig, screen: Screen) -> Path:
    """The file that is meant, which is said. Raises ModelError."""
    file = find_model(config.file) if config.file else newest_model()
    screen.say(f"model: {file}")
    return file


def say_evidence(file: Path, screen: Screen) -> Evidence | None:
    """Show what a file says that its gate found. Raises ParityError where it has been changed since."""
    evidence = read_evidence(file)
    if evidence is None:
        screen.say(f"evidence: {file} carries none; it is no file that lab export finished")
        return None
    if not evidence.intact:
        raise ParityError(f"{file} has been changed since it was proven; export it again")
    screen.say(f"evidence: {evidence.summary}; not a byte has changed since")
    return evidence


def _digest(table: Table, spec: PixelSpec) -> str:
    views = read_ahead(table.files(), lambda file: read_window(file, spec))
    return images_sha256([view_digest(view) for view in views if not isinstance(view, Exception)])
