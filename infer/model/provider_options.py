"""Provider options that `lab predict --tune` measured as fastest, saved per model file and device."""

import json
from pathlib import Path

from infer.core.exclusive import one_at_a_time
from infer.core.files import cache_folder, sha256_of, write_text
from infer.core.parse import parse_json
from infer.model.providers import Options, Provider


def saved_options(model: Path, provider: Provider, precision: str, may_overflow: bool = False) -> Options | None:
    """The options that were measured as fastest for this file on this device; the last two arguments are its card's.

    None where none were measured, or the file that holds them is damaged or has an option that is not measured now.
    """
    saved = _read()
    options = saved.get(_key(model, provider)) if saved else None
    candidates = provider.tuning_candidates(precision, may_overflow)
    known = {pair for candidate in candidates for pair in candidate.items()}
    exact = provider.exact_options.items() if may_overflow else ()
    return options if options and known.issuperset(options.items()) and options.items() >= set(exact) else None


def save_options(model: Path, provider: Provider, options: Options) -> Path:
    """Save options for this file on this device; returns the file that holds them. Raises OutputError."""
    with one_at_a_time(_path()):  # another process may add its own between reading and writing
        write_text(_path(), json.dumps({**_read(), _key(model, provider): dict(options)}, indent=2) + "\n")
    return _path()


def _path() -> Path:
    return cache_folder() / "tuned.json"


def _read() -> dict[str, Options]:
    """All saved options by key; none where the file is missing or damaged."""
    try:
        saved = parse_json(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    valid = isinstance(saved, dict) and all(map(_are_options, saved.values()))
    return saved if valid else {}


def _are_options(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in (*value, *value.values()))


def _key(model: Path, provider: Provider) -> str:
    """Differs for another device, driver, version of ONNX Runtime or content of the file."""
    import onnxruntime as ort

    return f"{provider.device_name()}, onnxruntime {ort.__version__}, {sha256_of(model)}"
