"""Where a prediction's files go, by the path of its CSV."""

from pathlib import Path

from infer.core.errors import ConfigError
from infer.core.remote import uri_of


def bad_list(out: Path) -> Path:
    """Where the images that could not be read are listed: beside the CSV."""
    return out.with_suffix(".bad.csv")


def progress_file(out: Path) -> Path:
    """Where a prediction keeps its answers until it is finished: beside the CSV, or here where that is a URI."""
    return (Path(out.name) if uri_of(out) else out).with_suffix(".progress")


def report_folder(out: Path) -> Path:
    """Where the report of a prediction goes: beside the CSV."""
    return out.with_suffix(".report")


def require_file_name(option: str, path: Path) -> None:
    """Raises ConfigError for a path that is a folder, a device, or no name at all."""
    if not path.name or (path.exists() and not path.is_file()):
        raise ConfigError(
            f"{option} must be a file's name, got {path}; a folder or a device cannot be replaced by a file"
        )
