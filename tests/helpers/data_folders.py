"""Data folders of empty images, and the rows that are read from them."""

from pathlib import Path

from infer.dataset.table import UNKNOWN, Table


def make_files(root: Path, *images: str, **texts: str) -> Path:
    """Make empty images (by position) and tables (by keyword, without `.csv`, `__` for a folder) below a folder."""
    for name in images:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name, text in texts.items():
        path = root / f"{name.replace('__', '/')}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def rows_of(table: Table) -> list[tuple[str, str | None, str, str]]:
    """Path, label, group and split of each image, sorted."""
    labels = [None if label == UNKNOWN else table.classes[label].label for label in table.labels]
    return sorted(zip(table.paths, labels, table.groups, table.splits, strict=True))
