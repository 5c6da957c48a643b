"""Paths of the files that a prediction writes, derived from the path of its CSV."""

from pathlib import Path

from infer.core.errors import ConfigError
from infer.core.remote import uri_of


def bad_list(out: Path) -> Path:
    """The list of unreadable images, beside the CSV."""
    return out.with_suffix(".bad.csv")


def progress_file(out: Path) -> Path:
    """The results of an unfinished prediction: beside the CSV, or in the working folder if that is a URI."""
    return (Path(out.name) if uri_of(out) else out).with_suffix(".progress")


def report_folder(out: Path) -> Path:
    """The folder of a prediction's report, beside the CSV."""
    return out.with_suffix(".report")


def require_file_name(option: str, path: Path) -> None:
    """Raise ConfigError for a path that has no file name, or is a folder or a device."""
    if not path.name or (path.exists() and not path.is_file()):
        raise ConfigError(
            f"{option} must be a file's name, got {path}; a folder or a device cannot be replaced by a file"
        )
