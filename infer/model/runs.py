"""The names of a run's files, and the search for the newest run and model."""

from pathlib import Path
from typing import Any

from infer.core.errors import DataError, ModelError
from infer.core.parse import parse_toml
from infer.model.input_kinds import model_files

RUNS = Path("runs")
RECIPE = "recipe.toml"
HISTORY = "history.csv"
DATA = "data.csv"
RECORD = "run.json"
REPORT = "report"
"""Folder in a run for the report on its validation images, and prefix of the folders of its other reports."""
CHECKPOINT = "best.safetensors"
SNAPSHOT = "last.ckpt"


def newest_run(runs: Path = RUNS) -> Path:
    """The newest run in `runs` that has a finished epoch. Raises ModelError where there is none."""
    finished = [path.parent for path in runs.glob(f"*/{CHECKPOINT}")]
    if not finished:
        raise ModelError(f"there is no finished run in {runs}/; train one with `lab train resnet18`, or name a run")
    return max(finished, key=_started)


def newest_model(runs: Path = RUNS) -> Path:
    """The newest ONNX file of any run in `runs`. Raises ModelError where there is none."""
    models = [path for name in model_files() for path in runs.glob(f"*/{name}")]
    if not models:
        raise ModelError(f"there is no exported model in {runs}/; run `lab export`, or name a file")
    return max(models, key=lambda path: (path.stat().st_mtime_ns, path))


def find_model(path: Path) -> Path:
    """The ONNX file at `path`, or in the run folder `path`. Raises ModelError."""
    if path.is_dir():
        present = [path / name for name in model_files() if (path / name).is_file()]
        if not present:
            raise ModelError(f"there is no exported model in {path}; run `lab export {path}` first")
        return present[0]
    if not path.is_file():
        raise ModelError(f"the model {path} does not exist; check the path, or run `lab export`")
    if path.suffix == ".safetensors":
        raise ModelError(f"{path} is a checkpoint; run `lab export {path.parent}`, and name the ONNX file")
    return path


def find_checkpoint(run: Path) -> Path:
    """The best checkpoint in the run folder `run`, or `run` if it is a checkpoint. Raises ModelError."""
    checkpoint = run / CHECKPOINT if run.is_dir() else run
    if not run.exists():
        raise ModelError(f"the run {run} does not exist; check the path")
    if not checkpoint.is_file():
        raise ModelError(f"{run} has no finished epoch: there is no {checkpoint}; train again, or name another run")
    if checkpoint.suffix != ".safetensors":
        raise ModelError(f"{run} is not a checkpoint; name a run's folder or its {CHECKPOINT}")
    return checkpoint


def read_recipe(run: Path) -> dict[str, Any]:
    """The options that a run was trained with. Raises DataError where the file is missing or damaged."""
    path = run / RECIPE
    try:
        return parse_toml(path.read_text(encoding="utf-8", errors="surrogateescape"))  # a path may be no UTF-8
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); name the data set instead") from error


def _started(run: Path) -> tuple[int, str]:
    recipe = run / RECIPE
    return (recipe if recipe.exists() else run).stat().st_mtime_ns, run.name
