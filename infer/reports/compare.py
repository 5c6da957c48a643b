"""`lab compare`: runs by their curves, and runs and reports by their predictions for the same images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table as RichTable

from infer.config import CompareConfig
from infer.core.console import Screen
from infer.core.csv_files import csv_text
from infer.core.errors import DataError, OutputError
from infer.core.files import remove, write_bytes, write_text
from infer.metrics.caveats import about_groups
from infer.metrics.result import EvaluationResult
from infer.model.runs import HISTORY, RECIPE, REPORT
from infer.reports.files import PREDICTIONS, REPORT_JSON
from infer.reports.model_comparison import (
    Contest,
    confusions_figure,
    contest_json,
    contest_tables,
    disagreement_rows,
)
from infer.reports.plot_style import plain_style, png_and_svg
from infer.reports.saved_report import read_report
from infer.reports.training_history import RunHistory, curves_figure, data_note, figures_table, read_run

CURVES, CONFUSIONS, DISAGREEMENTS = "curves", "confusions", "disagreements.csv"


@dataclass(frozen=True)
class Comparison:
    """What there is to compare; no runs, or no contest, where the arguments have none."""

    runs: list[RunHistory]
    contest: Contest | None
    last: int | None

    def tables(self) -> list[RichTable]:
        """For the terminal."""
        figures = [figures_table(self.runs, self.last)] if self.runs else []
        return [*figures, *(contest_tables(self.contest) if self.contest else [])]

    def to_json(self) -> dict[str, Any]:
        """In JSON's own types."""
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
        return {"runs": runs, **(contest_json(self.contest) if self.contest else {})}

    def _mean_of_last(self, run: RunHistory) -> dict[str, float]:
        return {"mean_last_accuracy": float(run.epochs["valid_accuracy"].tail(self.last).mean())} if self.last else {}


def compare(config: CompareConfig, screen: Screen) -> Comparison:
    """Compare runs and reports, and write pictures and disagreements into the folder of `config`.

    Runs that broke off before their first epoch are left out, and named.

    Raises:
        DataError: a folder is neither a run nor a report, nothing is left, one is damaged, or they do not compare.
        OutputError: the folder cannot be written.
    """
    runs = [path for path in config.paths if _is_run(path, screen)]
    reports = [path for path in config.paths if (path / REPORT_JSON).is_file()]
    if strange := [path for path in config.paths if not _is_known(path)]:
        raise DataError(f"{strange[0]} is neither a run nor a report; give folders that lab train or lab evaluate made")
    if len(reports) == 1 and not runs:
        raise DataError(f"{reports[0]} is one report alone; give others to compare it with")
    if not runs and not reports:
        raise DataError("none of these runs has a finished epoch; train again, or give other runs")
    histories = [read_run(run) for run in runs]
    if histories:
        screen.say(data_note(histories))
    comparison = Comparison(histories, _contest(config.paths, strict=not runs, screen=screen), config.last)
    if config.last and histories:
        screen.say(f"last {config.last}: mean validation accuracy of so many last epochs")
    if comparison.contest:
        for note in about_groups(comparison.contest.results[0]):
            screen.say(f"note: {note}")
        screen.say(comparison.contest.legend())
    written = _write(comparison, config.out)
    screen.say(f"written into {config.out}: {', '.join(written)}")
    return comparison


def _is_known(path: Path) -> bool:
    return any((path / name).is_file() for name in (RECIPE, HISTORY, REPORT_JSON))


def _is_run(path: Path, screen: Screen) -> bool:
    if (path / RECIPE).is_file() and not (path / HISTORY).is_file():
        screen.say(f"{path} has no finished epoch and is left out")
    return (path / HISTORY).is_file()


def _contest(paths: tuple[Path, ...], strict: bool, screen: Screen) -> Contest | None:
    """The predictions of the reports, and of the runs for their validation images, where two or more have any.

    `strict`: reports that do not compare are an error; otherwise that is said, as there are curves to be seen.
    """
    results: dict[str, EvaluationResult] = {}
    for path in paths:
        folder = path if (path / REPORT_JSON).is_file() else path / REPORT
        if (folder / PREDICTIONS).is_file() or folder == path:
            results[_name(path, results)] = read_report(folder)
        elif len(paths) > 1 and (path / HISTORY).is_file():
            screen.say(f"{path} has no predictions of its validation images: compare what lab evaluate makes of it")
    if len(results) < 2:
        return None
    try:
        contest = Contest.of(list(results), list(results.values()))
    except DataError as error:
        if strict:
            raise
        screen.say(f"predictions are not compared: {error}")
        return None
    most, shared = max(len(item.paths) for item in results.values()), len(contest.results[0].paths)
    if shared < most:
        screen.say(f"note: {shared} images are in all reports, of up to {most}; only these are compared")
    return contest


def _name(path: Path, taken: dict[str, EvaluationResult]) -> str:
    """A folder's name, and that of the one around it where it says nothing alone; unlike those taken."""
    path = path.resolve()
    name = f"{path.parent.name}/{path.name}" if path.name.startswith(REPORT) else path.name.removesuffix(".report")
    return f"{name} ({len(taken) + 1})" if name in taken else name


def _write(comparison: Comparison, out: Path) -> list[str]:
    """Write what there is into `out`, and take away what an earlier comparison left there; the files' names."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"cannot write into {out}: it is a file; give a folder with --out")
    contest, files = comparison.contest, dict[str, bytes]()
    with plain_style():
        if comparison.runs:
            figure = curves_figure(comparison.runs, comparison.last)
            files |= dict(zip((f"{CURVES}.png", f"{CURVES}.svg"), png_and_svg(figure), strict=True))
        if contest:
            figure = confusions_figure(contest)
            files |= dict(zip((f"{CONFUSIONS}.png", f"{CONFUSIONS}.svg"), png_and_svg(figure), strict=True))
    for name, content in files.items():
        write_bytes(out / name, content)
    if contest:
        write_text(out / DISAGREEMENTS, csv_text(list(disagreement_rows(contest))))
    every = [f"{name}.{kind}" for name in (CURVES, CONFUSIONS) for kind in ("png", "svg")]
    for name in [name for name in every if name not in files] + ([] if contest else [DISAGREEMENTS]):
        remove(out / name)
    return [*files, *([DISAGREEMENTS] if contest else [])]
