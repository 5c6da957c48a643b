"""Names that an output may have, and paths of the files of a prediction, derived from the path of its CSV."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from infer.core.errors import ConfigError
from infer.core.remote import display_path, local_file, uri_of

CSV_SUFFIXES = (".csv", ".txt", "")
"""Suffixes under which a reader expects plain CSV; a name without a suffix promises nothing."""
FILE_SUFFIXES = frozenset(
    (
        *(".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet", ".xls", ".xlsx", ".npy", ".npz", ".toml", ".yaml"),
        *(".yml", ".htm", ".html", ".md", ".pdf", ".png", ".jpg", ".jpeg", ".svg", ".tif", ".tiff", ".onnx", ".pt"),
        *(".pth", ".ckpt", ".safetensors", ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz"),
    )
)
"""Suffixes that no folder should have, because its name would promise a file."""


def bad_list(out: Path) -> Path:
    """The list of unreadable images, beside the CSV."""
    return _sibling(out, ".bad.csv")


def progress_file(out: Path) -> Path:
    """The results of an unfinished prediction: beside the CSV, or in the working folder if that is a URI."""
    return (Path(Path(_divided(out)[0]).name) if uri_of(out) else out).with_suffix(".progress")


def record_file(out: Path) -> Path:
    """How a prediction was made, for `lab reproduce`: beside the CSV."""
    return _sibling(out, ".prediction.json")


def report_folder(out: Path) -> Path:
    """The folder of a prediction's report, beside the CSV."""
    return _sibling(out, ".report")


def file_in(folder: Path, name: str) -> Path:
    """The path of a file in a folder, which may be a URI."""
    base, options = _divided(folder)
    return Path(f"{Path(base, name)}{options}")


def suffix_of(path: Path) -> str:
    """The suffix of a path, which may be a URI, in lower case."""
    return Path(_divided(path)[0]).suffix.lower()


def _sibling(out: Path, suffix: str) -> Path:
    """A path, which may be a URI, with another suffix."""
    base, options = _divided(out)
    return Path(f"{Path(base).with_suffix(suffix)}{options}")


def _divided(path: Path) -> tuple[str, str]:
    """A path, and the options at the end of a URI, such as ?region=eu-west-1, which lead to its server."""
    base, mark, options = str(path).partition("?") if uri_of(path) else (str(path), "", "")
    return base, mark + options


def require_file_name(option: str, path: Path) -> None:
    """Raise ConfigError for a path that has no file name, or is a folder or a device."""
    if not path.name or (path.exists() and not path.is_file()):
        raise ConfigError(
            f"{option} must be a file's name, got {path}; a folder or a device cannot be replaced by a file"
        )


def require_suffix(option: str, path: Path, kind: str, suffixes: Sequence[str]) -> None:
    """Raises ConfigError for a name, or a URI, whose suffix promises another kind of file, and for `-`.

    Args:
        option: the option that the user typed.
        path: the file to write.
        kind: what is written.
        suffixes: the suffixes of this kind in lower case.
    """
    if str(path) == "-":
        raise ConfigError(f"{option} must be a file's name, got -: nothing is written to standard output")
    if suffix_of(path) not in suffixes:
        endings = " or ".join(suffix for suffix in suffixes if suffix not in ("", ".txt"))
        raise ConfigError(f"{option} must end in {endings}, got {path}: {kind} is written, and nothing else")


def require_folder_name(option: str, path: Path) -> None:
    """Raises ConfigError for `-`, a URI, and a suffix that promises a file, unless such a folder exists."""
    require_local(option, path, "folder")
    promises_file = str(path) == "-" or path.suffix.lower() in FILE_SUFFIXES
    if promises_file and not path.is_dir():
        raise ConfigError(
            f"{option} must be a folder's name, got {path}; give one such as {path.stem.strip('-') or 'new'}"
        )


def require_local(option: str, path: Path, kind: str = "file") -> None:
    """Raises ConfigError for a URI, to which only `lab predict` writes."""
    if uri := uri_of(path):
        raise ConfigError(f"{option} must be a {kind} of this machine, got {uri}; copy the finished {kind} there")


def require_inputs_kept(read: Iterable[Path | None], written: Iterable[Path | None], option: str = "--out") -> None:
    """Raises ConfigError where a file that is read would be overwritten; `option` named the output."""
    outputs = {local_file(path) for path in written if path}
    for path in read:
        if path and local_file(path) in outputs:
            raise ConfigError(f"{display_path(path)} is read and would be overwritten; give another {option}")
