from dataclasses import asdict

import pytest

from infer.model.evidence_checks import NUMERIC_KEYS, check_evidence
from infer.model.pixel_parity import PixelParity

CHECK = {**dict.fromkeys(NUMERIC_KEYS, 1), "provider": "CPUExecutionProvider"}
CONTENT = {
    "passed": True,
    "images": 12,
    "rule": {"logits": 1e-3},
    "images_sha256": "a",
    "sha256_before": "b",
    "checks": [
        CHECK,
        {**CHECK, "tolerance": 0.1, "accuracy_difference": [0, 0.1], "flips": [{"image": 3, "margin": 1}]},
    ],
    "resealed": {"changes": ["one node"], "before": {"when": "today"}},
    "pixels": asdict(PixelParity(3, 20, 300, 1, 0.01, 0)),
}


def test_what_lab_writes_is_accepted() -> None:
    check_evidence(CONTENT)
    check_evidence({**CONTENT, "resealed": None, "pixels": None, "more": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"passed": 1},
        {"checks": []},
        {"checks": [3]},
        {"images": "12"},
        {"images": True},
        {"rule": {"logits": "small"}},
        {"rule": [1]},
        {"sha256_before": 5},
        {"checks": [{**CHECK, "provider": 7}]},
        {"checks": [{**CHECK, "accuracy": float("nan")}]},
        {"checks": [{**CHECK, "batch": 10**400}]},
        {"checks": [{**CHECK, "tolerance": "x"}]},
        {"checks": [{**CHECK, "accuracy_difference": [1]}]},
        {"checks": [{**CHECK, "accuracy_difference": 5}]},
        {"checks": [{**CHECK, "flips": [{"image": 3}]}]},
        {"checks": [{**CHECK, "flips": [{"image": 3, "margin": None}]}]},
        {"resealed": {"changes": [1]}},
        {"resealed": {"changes": [], "before": "x"}},
        {"pixels": {"images": 3}},
        {"pixels": {**CONTENT["pixels"], "share": "x"}},
        {"pixels": {**CONTENT["pixels"], "more": 1}},
    ],
)
def test_values_of_other_types_are_refused(change: dict) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        check_evidence({**CONTENT, **change})
