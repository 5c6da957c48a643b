"""The metrics that every epoch computes, and what is monitored."""

from pathlib import Path

import numpy as np
import pytest

from infer.core.errors import ConfigError
from infer.dataset.source import read_table
from infer.dataset.table import Table
from infer.metrics.metrics import measure
from infer.metrics.result import EvaluationResult
from trainer.run.epoch_metrics import epoch_values, monitored_metric


@pytest.fixture
def table(cells: Path) -> Table:
    return read_table(cells)


@pytest.mark.parametrize("name", ["recall:1", "recall:blast"])
def test_what_is_monitored_may_be_a_class_by_label_or_by_name(table: Table, name: str) -> None:
    result = EvaluationResult(
        title="",
        classes=table.classes,
        ordered=False,
        paths=("a", "b", "c", "d"),
        truth=np.array([0, 1, 1, 1]),
        probabilities=np.eye(2, dtype=np.float32)[[1, 1, 1, 0]],
    )
    assert epoch_values(result, monitored_metric(name, table))["recall 1"] == pytest.approx(2 / 3)


def test_a_monitored_class_that_is_not_there_is_an_error_that_lists_the_classes(table: Table) -> None:
    with pytest.raises(ConfigError, match="--monitor recall:Blast: the classes are 0 normal, 1 blast"):
        monitored_metric("recall:Blast", table)


def test_a_class_that_no_validation_image_has_is_not_monitored(table: Table) -> None:
    rows = [row for row in range(len(table)) if not (table.splits[row] == "valid" and table.labels[row] == 0)]
    with pytest.raises(ConfigError, match="--monitor recall:0: no validation image is of that class"):
        monitored_metric("recall:0", table.take(rows))


def test_an_epochs_metrics_are_those_of_a_report_to_the_last_bit(table: Table) -> None:
    generator = np.random.default_rng(0)
    for classes, images in ((2, 12), (2, 1), (5, 400)):
        names = tuple(table.classes[index % 2] for index in range(classes))
        result = EvaluationResult(
            title="",
            classes=names,
            ordered=classes == 5,
            paths=tuple(map(str, range(images))),
            truth=generator.integers(0, classes, images),
            probabilities=generator.dirichlet(np.ones(classes), images).astype(np.float32),
        )
        metrics, values = measure(result, resamples=0), epoch_values(result, "recall 0")
        for name in ("accuracy", "balanced_accuracy", "macro_f1"):
            assert values[name] == metrics[name].value
        for k, own in enumerate(metrics.per_class):
            value = own["recall"].value
            assert np.array_equal(values[f"recall {k}"], np.nan if value is None else value, equal_nan=True)
