"""Whether a data set can be used as it is listed, and trained on."""

from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.locate import Missing, not_there
from infer.dataset.table import TEST, TRAIN, VALID, Table
from infer.images.listing import natural_key


def check_listed(table: Table, missing: Missing) -> None:
    """Raises DataError for a table in which images are missing or contradict each other."""
    if lost := [path for path in table.paths if path in missing]:
        file = missing[lost[0]]
        raise not_there([path for path in lost if missing[path] == file], file, table.root)
    if not len(table):
        raise DataError(f"no images found in {table.root}; lab reads JPEG, PNG, BMP, TIFF, WebP and GIF")
    unlabelled = [p for p, y, s in zip(table.paths, table.labels, table.splits, strict=True) if y < 0 and s != TEST]
    if unlabelled:
        raise DataError(f"{len(unlabelled)} images have no label: {listed(unlabelled)}; label them or leave them out")
    first: dict[str, int] = {}
    pairs = [(path, int(label)) for path, label in zip(table.paths, table.labels, strict=True) if label >= 0]
    torn = sorted({path for path, label in pairs if first.setdefault(path, label) != label}, key=natural_key)
    if torn:
        raise DataError(f"{len(torn)} images are listed with two labels: {listed(torn)}; keep the right one")


def check_trainable(table: Table) -> None:
    """Raises DataError for a table that no one can train on.

    That is one with fewer than two classes, without training images, or with a class in validation or test that
    training never sees.
    """
    train = table.counts(TRAIN)
    if not sum(train):
        raise DataError(f"there are no training images in {table.root}; lab needs a train split or class folders")
    if len(table.classes) < 2:
        names = listed([str(item) for item in table.classes])
        raise DataError(f"{table.root} has fewer than two classes ({names}); give images of each class")
    for split, name in ((VALID, "validation"), (TEST, "test")):
        counts = zip(table.classes, train, table.counts(split), strict=True)
        if strange := [str(item) for item, seen, asked in counts if asked and not seen]:
            raise DataError(f"{name} has images of the classes {listed(strange)}, training has none; move some there")
