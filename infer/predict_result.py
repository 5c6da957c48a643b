"""The outcome of `lab predict`, and how --json prints it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infer.core.errors import ImageError
from infer.core.output_paths import report_folder
from infer.core.remote import display_path

if TYPE_CHECKING:
    from infer.metrics.metrics import Metrics
    from infer.metrics.result import EvaluationResult


@dataclass(frozen=True)
class PredictResult:
    """What `lab predict` wrote."""

    written: int
    """The number of rows in the CSV."""
    bad: tuple[ImageError, ...]
    """The images that cannot be read."""
    changed: tuple[str, ...] = ()
    """For each model file that was changed since its export, that it was, and how."""
    result: "EvaluationResult | None" = None
    """The predictions with their true labels, where a report was written."""
    metrics: "Metrics | None" = None

    def to_json(self, out: Path) -> dict[str, Any]:
        """The output of --json: the path of the CSV, `out`, its rows, unreadable images, and notes or the report."""
        values = {"csv": display_path(out), "rows": self.written, "unreadable": [error.path for error in self.bad]}
        values |= {"notes": list(self.changed)} if self.changed else {}
        if self.result is None or self.metrics is None:
            return values
        from infer.reports.report import report_json

        return {**values, "report": display_path(report_folder(out)), **report_json(self.result, self.metrics)}
