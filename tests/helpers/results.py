"""Predictions joined with truth, made up."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from infer.config import ReportConfig
from infer.images.preprocess import PixelSpec
from infer.metrics.metrics import Metrics
from infer.metrics.result import EvaluationResult
from infer.model.card import IMAGENET, ClassName, ModelCard
from infer.reports.provenance import Origin
from infer.reports.report import save_report
from infer.reports.thumbnails import Gallery

HOSTILE = ("<img src=x onerror=alert(1)>", "a$b$ \\frac{", "ש\u202eלום 正常 😀", "x" * 80, "[/bold]&\n\x00")


def random_result(classes: int, images: int, seed: int = 0) -> EvaluationResult:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, images)
    logits = rng.normal(size=(images, classes))
    logits[np.arange(images), truth] += 1.5
    powers = np.exp(logits)
    return EvaluationResult(
        title="made up",
        classes=tuple(ClassName(f"class {k}", str(k)) for k in range(classes)),
        ordered=False,
        paths=tuple(map(str, range(images))),
        truth=truth,
        probabilities=(powers / powers.sum(axis=1, keepdims=True)).astype(np.float32),
    )


def named(result: EvaluationResult, names: tuple[str, ...]) -> EvaluationResult:
    return replace(result, classes=tuple(ClassName(name, str(k)) for k, name in enumerate(names)))


def origin(result: EvaluationResult) -> Origin:
    """A network that is only known by its card."""
    card = ModelCard(
        architecture="resnet18",
        classes=result.classes,
        pixels=PixelSpec.default(32),
        normalization=IMAGENET,
        ordered=result.ordered,
        provenance={"data": {"name": "made-up cells", "train": [7] * len(result.classes)}},
    )
    return Origin(card=card)


def save(result: EvaluationResult, folder: Path, **config: Any) -> Metrics:
    return save_report(result, folder, ReportConfig(**config), origin(result), Gallery(8))
