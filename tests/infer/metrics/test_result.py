import numpy as np

from infer.metrics.result import EvaluationResult
from infer.model.card import ClassName


def test_the_prediction_is_the_first_class_of_the_largest_probability() -> None:
    result = EvaluationResult(
        title="t",
        classes=tuple(ClassName(name, name) for name in "abc"),
        ordered=False,
        paths=("1", "2", "3"),
        truth=np.array([0, 1, 2]),
        probabilities=np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7]], dtype=np.float32),
    )
    assert result.predicted.tolist() == [1, 0, 2]
    assert result.predicted.dtype == np.int64
