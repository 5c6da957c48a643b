"""`lab evaluate`: the exported model on a labelled split, to a report."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from infer.config import EvaluateConfig
from infer.core.console import Screen
from infer.core.errors import DataError, listed
from infer.dataset.layouts import read_table
from infer.dataset.table import TEST, TRAIN, UNKNOWN, VALID, Table, read_run_table
from infer.metrics.metrics import Metrics
from infer.metrics.result import EvaluationResult, unreadable_note
from infer.model.card import ClassName, ModelCard
from infer.model.open_models import open_model
from infer.model.runs import DATA, RECIPE, read_recipe
from infer.model.session import Floats, Session
from infer.pipeline.classify import classify
from infer.reports.provenance import Origin, run_of
from infer.reports.report import save_report
from infer.reports.thumbnails import make_gallery
from infer.tables.labels import to_indices


def evaluate(config: EvaluateConfig, screen: Screen) -> tuple[EvaluationResult, Metrics, Path]:
    """Predict a labelled split and write its report; the result, its metrics and the report's folder.

    Raises:
        LabError: see the tree; no report has been written then.
    """
    session = open_model(config.model, config.device, screen)
    card = session.card
    own = config.data is None
    table = read_table(config.data) if config.data else run_table(session.path.parent, card)
    split = config.split or choose_split(table, (VALID, TEST) if own else (TEST, VALID, TRAIN))
    chosen = labelled_images(table, split, card.classes, screen)
    result = classify_table(session, chosen, config.batch_size, f"{split} split of {table.name}", screen)
    own = own or table.fingerprint() == card.provenance.get("data", {}).get("fingerprint")
    result = replace(result, notes=(*_seen_before(split, own, card), *result.notes))
    folder = config.out or session.path.parent / f"report-{table.name}-{split}"
    origin = Origin(
        card=card,
        model=session.path,
        run=run_of(session.path, card),
        source=table.name,
        layout=table.layout,
        split=split,
        own=own,
    )
    gallery = make_gallery(result, card.pixels, config, screen, session, config.batch_size)
    return result, save_report(result, folder, config, origin, gallery), folder


def _seen_before(split: str, own: bool, card: ModelCard) -> tuple[str, ...]:
    """What must be said of images that had a part in making the model, which then flatter it."""
    if split == TRAIN:
        return ("these may be the very images that the network was trained on: then all figures flatter it",)
    if split != VALID:
        return ()
    chosen = "the best epoch and the threshold were chosen" if card.operating_point else "the best epoch was chosen"
    if own:
        return (f"{chosen} on these very images, so all figures flatter the model; a test set tells more",)
    return (f"if {chosen} on these very images, all figures flatter the model; a test set tells more",)


def run_table(run: Path, card: ModelCard, root: Path | None = None) -> Table:
    """The table that a run was trained with, its images below `root` or where they lay then. Raises DataError."""
    if not (run / RECIPE).is_file():
        raise DataError(f"{run} is no run, so its validation images are not known; name a data set")
    place = root or Path(str(read_recipe(run).get("data", "")))
    if not place.is_dir():
        raise DataError(f"the images that {run} was trained with are not at {place} any more; say where with --data")
    return read_run_table(run / DATA, place, card.classes)


def choose_split(table: Table, order: Sequence[str]) -> str:
    """The first of these splits that has labelled images. Raises DataError where none has."""
    for split in order:
        if any(table.counts(split)):
            return split
    raise DataError(f"{table.root} has no labelled images, and the truth is needed; give a data set with labels")


def labelled_images(table: Table, split: str, classes: tuple[ClassName, ...], screen: Screen) -> Table:
    """The labelled images of a split, which are said; their labels are indices into a model's `classes`.

    Raises:
        DataError: there are none, or they have labels that the model does not know.
    """
    found = table.split(split)
    found = found.take(np.flatnonzero(found.labels != UNKNOWN))
    if not len(found):
        own_split = "; leave DATA out for the images that lab set apart" if split == VALID else ""
        raise DataError(f"{table.root} has no labelled images in its {split} split; choose another --split{own_split}")
    screen.say(f"data: {split} split of {table.name}, {len(found)} images ({table.layout})")
    labels = to_indices([table.classes[label].label for label in found.labels], classes, str(table.root))
    return replace(found, labels=np.array(labels, dtype=np.int64), classes=classes)


def held_out_images(table: Table, classes: tuple[ClassName, ...], screen: Screen) -> Table:
    """`labelled_images` of the split to hold a model to: the first of valid, test and train that has any."""
    split = choose_split(table, (VALID, TEST, TRAIN))
    found = labelled_images(table, split, classes, screen)
    if split == TRAIN:
        screen.say("note: these may be the very images that the network was trained on")
    return found


def classify_table(session: Session, table: Table, batch_size: int, what: str, screen: Screen) -> EvaluationResult:
    """Classify the images of a table with the session's classes; those that cannot be read are left out and named.

    Raises:
        DataError: none can be read.
        DeviceError, ModelError: the session cannot run them.
    """
    files = table.files()
    probabilities: list[Floats] = []
    kept: list[int] = []
    bad: list[str] = []
    with screen.bar("evaluating", len(files)) as bar:
        for place, answer in enumerate(classify([session], files, batch_size, say=screen.say)):
            bar.step(place + 1)
            if answer.probabilities is None:
                bad.append(str(answer.error))
            else:
                kept.append(place)
                probabilities.append(answer.probabilities)
    if bad:
        screen.say(f"{len(bad)} images cannot be read and are left out: {listed(bad)}")
    if not kept:
        raise DataError(f"none of the {len(files)} images can be read; check {table.root}")
    return EvaluationResult(
        title=f"{what}, trained on {session.card.trained_on}",
        classes=session.card.classes,
        ordered=session.card.ordered,
        temperature=session.card.temperature,
        paths=tuple(table.paths[place] for place in kept),
        truth=table.labels[kept],
        probabilities=np.stack(probabilities),
        groups=tuple(table.groups[place] for place in kept),
        files=tuple(files[place] for place in kept),
        operating_point=session.card.operating_point,
        notes=unreadable_note(len(bad), len(files)),
    )
