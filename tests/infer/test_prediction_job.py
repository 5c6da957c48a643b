"""What lab predict checks before it reads the first image."""

from pathlib import Path

import pytest

from infer.config import PredictConfig
from infer.core.console import Screen
from infer.core.errors import ConfigError
from infer.prediction_job import prepare


def test_a_job_has_the_images_in_the_order_of_the_sample_submission(model: Path, cells: Path, quiet: Screen) -> None:
    job = prepare(PredictConfig(source=cells / "test", model=(model,)), quiet)
    ids = [line.partition(",")[0] for line in (cells / "sample_submission.csv").read_text().splitlines()[1:]]
    assert [Path(name).name for name in job.inputs.names] == [Path(name).name for name in ids]
    assert job.form.ids == ids
    assert (job.truth, job.changed) == (None, ())


def test_more_classes_than_the_model_has_are_refused_at_once(model: Path, cells: Path, quiet: Screen) -> None:
    config = PredictConfig(source=cells / "test", model=(model,), probabilities=Path("p.csv"), top_k=3)
    with pytest.raises(ConfigError, match="--top-k must be at most 2"):
        prepare(config, quiet)
