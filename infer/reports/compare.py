"""`lab compare`: runs by their training curves, and runs and reports by their predictions for the same images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table as RichTable

from infer.core.console import Screen
from infer.core.csv_files import csv_text
from infer.core.errors import DataError, OutputError
from infer.core.exclusive import exclusive
from infer.core.file_sets import file_set
from infer.core.formulas import tell_formulas
from infer.metrics.caveats import group_caveats
from infer.metrics.result import EvaluationResult
from infer.model.runs import HISTORY, RECIPE, REPORT
from infer.reports.config import CompareConfig
from infer.reports.files import PREDICTIONS, REPORT_JSON
from infer.reports.model_comparison import (
    ModelComparison,
    confusions_figure,
    disagreement_rows,
    model_tables,
    models_json,
)
from infer.reports.plot_style import plain_style, png_and_svg
from infer.reports.saved_report import read_report
from infer.reports.training_history import RunHistory, curves_figure, data_note, figures_table, read_run

CURVES, CONFUSIONS, DISAGREEMENTS = "curves", "confusions", "disagreements.csv"


@dataclass(frozen=True)
class Comparison:
    """What is compared: the curves of runs, if there are any, and the models, if there are two or more."""

    runs: list[RunHistory]
    models: ModelComparison | None
    last: int | None
    not_compared: tuple[str, ...] = ()
    """Why predictions were not compared, a line for each reason."""

    def tables(self) -> list[RichTable]:
        """The tables for the terminal."""
        figures = [figures_table(self.runs, self.last)] if self.runs else []
        return [*figures, *(model_tables(self.models) if self.models else [])]

    def to_json(self) -> dict[str, Any]:
        """The object that --json prints."""
        runs = [
            {
                "name": run.name,
                "recipe": run.recipe,
                "epochs": len(run.epochs),
                "best_epoch": int(run.best["epoch"]),
                "valid_accuracy": float(run.best["valid_accuracy"]),
                **self._mean_of_last(run),
            }
            for run in self.runs
        ]
        return {
            "runs": runs,
            "not_compared": list(self.not_compared),
            **(models_json(self.models) if self.models else {}),
        }

    def _mean_of_last(self, run: RunHistory) -> dict[str, float]:
        return {"mean_last_accuracy": float(run.epochs["valid_accuracy"].tail(self.last).mean())} if self.last else {}


def compare(config: CompareConfig, screen: Screen) -> Comparison:
    """Compare runs and reports, and write pictures and disagreements into the output folder.

    Runs without a finished epoch are reported and skipped.

    Raises:
        DataError: a folder is neither a run nor a report, is damaged, or cannot be compared with the others; or none
            is left.
        OutputError: the folder cannot be written.
    """
    runs = [path for path in config.paths if _is_run(path, screen)]
    reports = [path for path in config.paths if (path / REPORT_JSON).is_file()]
    if unknown := [path for path in config.paths if not _is_known(path)]:
        raise DataError(f"{unknown[0]} is neither a run nor a report; give folders that lab train or lab evaluate made")
    if len(reports) == 1 and not runs:
        raise DataError(f"{reports[0]} is the only report; give at least one more to compare it with")
    if not runs and not reports:
        raise DataError("none of these runs has a finished epoch; train again, or give other runs")
    histories = [read_run(run) for run in runs]
    if histories:
        screen.say(data_note(histories))
    models, not_compared = _compare_models(config.paths, strict=not runs)
    for reason in not_compared:
        screen.say(reason)
    comparison = Comparison(histories, models, config.last, not_compared)
    if config.last and histories:
        screen.say(f"last {config.last}: mean validation accuracy of the last {config.last} epochs")
    if comparison.models:
        for note in group_caveats(comparison.models.results[0]):
            screen.say(f"note: {note}")
        screen.say(comparison.models.legend())
        tell_formulas(screen, comparison.models.results[0].names, config.raw_csv)
    written = _write(comparison, config.out, config.raw_csv)
    screen.say(f"written into {config.out}: {', '.join(written)}")
    return comparison


def _is_known(path: Path) -> bool:
    return any((path / name).is_file() for name in (RECIPE, HISTORY, REPORT_JSON))


def _is_run(path: Path, screen: Screen) -> bool:
    if (path / RECIPE).is_file() and not (path / HISTORY).is_file():
        screen.say(f"skipped: {path} has no finished epoch")
    return (path / HISTORY).is_file()


def _compare_models(paths: tuple[Path, ...], strict: bool) -> tuple[ModelComparison | None, tuple[str, ...]]:
    """The predictions of the reports, and those of the runs for their validation images, if two or more have any.

    Args:
        paths: of runs and reports.
        strict: whether reports that cannot be compared are an error; otherwise there are curves to compare.

    Returns:
        The comparison, and what is not in it, a line for each reason.
    """
    results: dict[str, EvaluationResult] = {}
    left_out = []
    for path in paths:
        folder = path if (path / REPORT_JSON).is_file() else path / REPORT
        if (folder / PREDICTIONS).is_file() or folder == path:
            results[_name(path, results)] = read_report(folder)
        elif len(paths) > 1 and (path / HISTORY).is_file():
            left_out.append(
                f"{path} has no predictions for its validation images: compare a report of it, made by lab evaluate"
            )
    if len(results) < 2:
        return None, tuple(left_out)
    try:
        models = ModelComparison.of(list(results), list(results.values()))
    except DataError as error:
        if strict:
            raise
        return None, (*left_out, f"predictions are not compared: {error}")
    largest, shared = max(len(item.paths) for item in results.values()), len(models.results[0].paths)
    if shared < largest:
        left_out.append(f"note: only the {shared} images that all reports have are compared; the largest has {largest}")
    return models, tuple(left_out)


def _name(path: Path, taken: dict[str, EvaluationResult]) -> str:
    """A folder's name, with its parent's if it is only `report...`, and a number if the name is taken."""
    path = path.resolve()
    name = f"{path.parent.name}/{path.name}" if path.name.startswith(REPORT) else path.name.removesuffix(".report")
    return f"{name} ({len(taken) + 1})" if name in taken else name


def _write(comparison: Comparison, out: Path, raw: bool) -> list[str]:
    """Write the comparison into `out` and remove files that an earlier one left there; the names of the files."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"cannot write into {out}: it is a file; give a folder with --out")
    models, files = comparison.models, dict[str, bytes]()
    with plain_style():
        if comparison.runs:
            figure = curves_figure(comparison.runs, comparison.last)
            files |= dict(zip((f"{CURVES}.png", f"{CURVES}.svg"), png_and_svg(figure), strict=True))
        if models:
            figure = confusions_figure(models)
            files |= dict(zip((f"{CONFUSIONS}.png", f"{CONFUSIONS}.svg"), png_and_svg(figure), strict=True))
    if models:
        rows = csv_text(list(disagreement_rows(models)), raw)
        files[DISAGREEMENTS] = rows.encode("utf-8", "surrogateescape")
    pictures = [f"{name}.{suffix}" for name in (CURVES, CONFUSIONS) for suffix in ("png", "svg")]
    with exclusive(out), file_set(out / next(iter(files))) as written:
        for name, content in files.items():
            written.write(out / name, content)
        for name in {*pictures, DISAGREEMENTS} - files.keys():
            written.remove(out / name)
    return list(files)
