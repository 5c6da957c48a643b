"""Checks on a table that was read: its images and labels are complete, and a network can be trained on it."""

from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.class_labels import describe_lookalikes, is_text, lookalikes, missing_values
from infer.dataset.locate import Missing, missing_images
from infer.dataset.table import TEST, TRAIN, UNKNOWN, VALID, Table
from infer.images.listing import natural_key, no_images


def check_listed(table: Table, missing: Missing) -> None:
    """Check that all images are there, and that all but test images have a label, and only one. Raises DataError."""
    if absent := [path for path in table.paths if path in missing]:
        file = missing[absent[0]]
        raise missing_images([path for path in absent if missing[path] == file], file, table.source)
    if not len(table):
        raise no_images(table.source, *table.notes)
    if problem := label_problem(table):
        raise DataError(problem)
    unlabelled = [p for p, y, s in zip(table.paths, table.labels, table.splits, strict=True) if y < 0 and s != TEST]
    if unlabelled:
        raise DataError(f"{len(unlabelled)} images have no label: {listed(unlabelled)}; label them or leave them out")
    first: dict[str, int] = {}
    pairs = [(path, int(label)) for path, label in zip(table.paths, table.labels, strict=True) if label >= 0]
    contradictory = sorted({path for path, label in pairs if first.setdefault(path, label) != label}, key=natural_key)
    if contradictory:
        names = listed(contradictory)
        raise DataError(f"{len(contradictory)} images are listed with two labels: {names}; keep the right one")


def label_problem(table: Table) -> str:
    """Describe labels that are hardly meant as classes; "" if there are none.

    They are no text in UTF-8, stand for a missing value, or differ only in how they are written.
    """
    used = [table.classes[label].label for label in sorted({*table.labels.tolist()} - {UNKNOWN})]
    if damaged := [label for label in used if not is_text(label)]:
        return (
            f"labels in {table.source} are not in UTF-8: {listed(damaged)}; save the table, or name the folders, in it"
        )
    if missing := missing_values(used):
        return (
            f"labels in {table.source} stand for a missing value: {listed(missing)}; leave these cells blank, or give "
            "the class a name"
        )
    groups = lookalikes(used)
    if not groups:
        return ""
    return (
        f"labels in {table.source} differ only in case, spaces, or the form of numbers or characters: "
        f"{describe_lookalikes(groups)}; write each class in one way"
    )


def check_trainable(table: Table) -> None:
    """Check that a network can be trained and evaluated on the table.

    Raises:
        DataError: it has no training images or fewer than two classes, or validation or test has a class that training
            does not have.
    """
    train = table.counts(TRAIN)
    if not sum(train):
        raise DataError(f"there are no training images in {table.source}; lab needs a train split or class folders")
    if len(table.classes) < 2:
        names = listed([str(item) for item in table.classes])
        raise DataError(f"{table.source} has fewer than two classes ({names}); give images of each class")
    for split, name in ((VALID, "validation"), (TEST, "test")):
        counts = zip(table.classes, train, table.counts(split), strict=True)
        if unseen := [str(item) for item, in_training, in_split in counts if in_split and not in_training]:
            raise DataError(
                f"{name} has images of the classes {listed(unseen)}, training has none; move some to training"
            )
