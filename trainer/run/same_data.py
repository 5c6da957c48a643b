"""The check that a run is resumed on the images that its earlier epochs were trained on."""

from dataclasses import dataclass
from pathlib import Path

from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.table import Table, read_run_table
from infer.images.listing import natural_key
from infer.model.card import ModelCard
from infer.model.runs import DATA


def require_same_data(
    table: Table, fingerprint: str, card: ModelCard, run: Path, remedy: str = "start a new run"
) -> None:
    """Raise DataError, with the images that changed and the remedy, unless the fingerprint is that of the card."""
    if fingerprint != card.provenance["data"]["fingerprint"]:
        before = read_run_table(run / DATA, table.root, card.classes)
        raise DataError(f"{difference(before, table)}: {table.source} has changed since {run} started; {remedy}")


@dataclass(frozen=True)
class Repeat:
    """A run that is trained again, for a comparison."""

    run: Path
    card: ModelCard
    """That of its best epoch, with the fingerprint of its data."""
    epochs: int
    """Number of epochs to train: those that the run has finished."""

    def check(self, table: Table) -> None:
        """Raise DataError unless the table is that of the run."""
        remedy = "give the images as they were, with --data where they have moved"
        require_same_data(table, table.fingerprint(), self.card, self.run, remedy)


def difference(before: Table, after: Table) -> str:
    """Describe what changed between two tables of one data set: images that are gone or new, else other columns.

    Where images are gone or new, lab draws another validation split, so that other columns say nothing then.
    """
    texts = []
    for words, paths in (
        ("gone or unreadable", {*before.paths} - {*after.paths}),
        ("new", {*after.paths} - {*before.paths}),
    ):
        if paths:
            texts.append(f"{len(paths)} images are {words} ({listed(sorted(paths, key=natural_key))})")
    if texts:
        return " and ".join(texts)
    changed = {path for path, *_ in _rows(before) ^ _rows(after)}
    if changed:
        return f"{len(changed)} images have another label, group or split ({listed(sorted(changed, key=natural_key))})"
    return "image files have another size"


def _rows(table: Table) -> set[tuple[str, str, str, str]]:
    labels = [table.classes[label].label if label >= 0 else "" for label in table.labels]
    return set(zip(table.paths, labels, table.groups, table.splits, strict=True))
