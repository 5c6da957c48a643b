"""The files of a report."""

from collections.abc import Collection
from pathlib import Path

from infer.core.file_sets import FileSet
from infer.core.output_paths import file_in
from infer.core.remote import uri_of

REPORT_JSON, PREDICTIONS, PAGE = "report.json", "predictions.csv", "report.html"


def report_files() -> tuple[str, ...]:
    """The names of all files that a report may have."""
    from infer.reports.pictures import PICTURES  # here: it takes 30 ms, which a prediction without a report saves

    return (
        REPORT_JSON,
        PREDICTIONS,
        PAGE,
        *(f"{kind.name}.{suffix}" for kind in PICTURES for suffix in ("png", "svg")),
    )


def remove_report(files: FileSet, folder: Path, keep: Collection[str] = ()) -> None:
    """Remove the files of an earlier report from `folder` with a set, except those in `keep`, and nothing else."""
    if uri_of(folder) or folder.is_dir():
        for name in [name for name in report_files() if name not in keep]:
            files.remove(file_in(folder, name))
