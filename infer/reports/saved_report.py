"""Write a report's predictions to its folder, and read a report back, so that reports can be compared."""

from pathlib import Path
from typing import Any

import numpy as np

from infer.core.csv_files import csv_line, read_csv
from infer.core.errors import DataError
from infer.core.file_sets import FileSet, finish_interrupted
from infer.core.files import cannot_write
from infer.core.parse import parse_json
from infer.metrics.result import EvaluationResult
from infer.model.card import ClassName, OperatingPoint
from infer.reports.files import PREDICTIONS, REPORT_JSON, report_files

VERSION = 1
"""Version of `report.json`; any other is refused."""
COLUMNS = ["path", "truth", "group", "predicted"]
"""Followed by a column of probabilities for each class, headed by its label."""
LARGEST_PROBABILITY = 1.001
"""Leaves room for the rounding of a mean of probabilities."""


def write_predictions(result: EvaluationResult, files: FileSet, path: Path, raw: bool = False) -> None:
    """Add a CSV of each image with its truth, patient, prediction and probabilities to a set. Raises OutputError.

    Classes are given by their labels, probabilities with all digits of a float32. `raw`: text that a spreadsheet
    may run as a formula stays as it is.
    """
    labels = [item.label for item in result.classes]
    groups = result.groups or ("",) * len(result.paths)
    rows = zip(result.paths, result.truth, groups, result.predicted, result.probabilities, strict=True)
    try:
        with files.draft(path).open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            file.write(csv_line([*COLUMNS, *labels], raw))
            for name, truth, group, predicted, probabilities in rows:
                file.write(csv_line([name, labels[truth], group, labels[predicted], *probabilities], raw))
    except OSError as error:
        raise cannot_write(path, error) from error


def read_report(folder: Path) -> EvaluationResult:
    """The result that the report in `folder` was made from, without the images' files.

    Raises:
        OutputError: its files were not all in place, and cannot be written.
        DataError: there is no report, it is damaged, or an older or newer lab made it.
    """
    finish_interrupted(folder / REPORT_JSON, report_files())
    content = _read_json(folder / REPORT_JSON)
    path = folder / PREDICTIONS
    header, *rows = read_csv(path, strip=False) or [[]]
    try:
        classes = tuple(ClassName(**item) for item in content["classes"])
        known = {item.label: index for index, item in enumerate(classes)}
        if header != [*COLUMNS, *known] or any(len(row) != len(header) for row in rows) or not rows:
            raise ValueError("the columns of predictions.csv do not match report.json")
        probabilities = np.array([row[4:] for row in rows]).astype(np.float32)
        if not ((probabilities >= 0) & (probabilities <= LARGEST_PROBABILITY)).all():
            raise ValueError("a probability in predictions.csv is not from 0 to 1")
        point = content["operating_point"]
        return EvaluationResult(
            title=content["title"],
            classes=classes,
            ordered=content["ordered"],
            temperature=content["temperature"],
            paths=tuple(row[0] for row in rows),
            truth=np.array([known[row[1]] for row in rows], dtype=np.int64),
            probabilities=probabilities,
            groups=tuple(row[2] for row in rows) if any(row[2] for row in rows) else (),
            operating_point=OperatingPoint(**point) if point else None,
            notes=tuple(content["given_notes"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"the report in {folder} is damaged ({reason}); make it again with lab evaluate") from error


def _read_json(path: Path) -> dict[str, Any]:
    """Raises DataError."""
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        version = int(content.get("version", 0))
    except OSError as error:
        reason = error.strerror or error
        message = f"there is no report in {path.parent} ({reason}); give a folder that lab evaluate made"
        raise DataError(message) from error
    except (ValueError, OverflowError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a report ({error}); make it again with lab evaluate") from error
    if version != VERSION:
        remedy = "install a newer lab" if version > VERSION else "make it again with lab evaluate"
        raise DataError(f"{path} has report version {version}, and this lab reads version {VERSION}; {remedy}")
    return dict(content)
