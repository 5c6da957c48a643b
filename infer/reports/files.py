"""The files that a report may hold."""

from collections.abc import Collection
from pathlib import Path

from infer.core.files import remove

PICTURES = ("confusion", "roc", "precision-recall", "reliability", "scores", "balance", "learning")


REPORT_JSON, PREDICTIONS, PAGE = "report.json", "predictions.csv", "report.html"


REPORT_FILES = (
    *(REPORT_JSON, PREDICTIONS, PAGE),
    *(f"{name}.{kind}" for name in PICTURES for kind in ("png", "svg")),
)
"""All that a report may hold."""


def remove_report(folder: Path, keep: Collection[str] = ()) -> None:
    """Remove the files of an earlier report from `folder`, but for these names, and nothing else."""
    for name in set(REPORT_FILES) - set(keep):
        remove(folder / name)
