"""The gate's result, and the rule by which it judges a file's logits, probabilities, labels and accuracy."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats
from infer.metrics.intervals import paired_difference
from infer.metrics.point_values import softmax
from infer.model.pixel_parity import PixelParity

FLOAT32_ROUNDING = 1e-4
"""How far logits may differ where both sides compute in float32, as a share of max(1, magnitude).

The magnitude is the largest sum of |weight * feature| behind a logit. Rounding is relative to what is summed, not to
what is left of it: the logits of a network that has hardly learnt are small differences of large sums. Two float32
computations differ in the order of their sums only, by about 1e-6 of the magnitude; any fault of the graph is larger by
orders of magnitude."""
SOFTMAX_TOLERANCE = 1e-5
"""The softmax is computed in float32 in every precision."""
MAX_FLIPS = 100
"""The number of differing labels that are listed; all are counted."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The limits within which the gate accepts a file of one precision. None: no limit."""

    logits: float | None = None
    """Largest difference of a logit, as a share of max(1, magnitude)."""
    labels: float | None = None
    """Largest share of labels that may differ, or one image where that is more."""
    accuracy: float | None = None
    """Largest difference of accuracy, or one image where that is more."""
    noise: float | None = None
    """Largest root mean square of the differences of logits, as a share of the network's logits'."""
    scale: float | None = None
    """How far the scale of the logits may be from the network's; a wrong scale changes no label."""

    def to_json(self) -> dict[str, float]:
        """The limits by name, with that of the softmax."""
        limits = {name: limit for name, limit in asdict(self).items() if limit is not None}
        return {**limits, "softmax": SOFTMAX_TOLERANCE}

    def logit_tolerance(self, magnitude: float) -> float | None:
        """How far a logit of the file may be from the network's; None where single logits have no limit."""
        return None if self.logits is None else self.logits * max(1.0, magnitude)

    def own_tolerance(self, magnitude: float) -> float:
        """How far two logits of the same file may differ that should be equal, such as in batches of other sizes."""
        return (self.logits or FLOAT32_ROUNDING) * max(1.0, magnitude)


@dataclass(frozen=True)
class Flip:
    """An image to which the file gives another label than the network."""

    image: int
    """Index among the gate's images."""
    network: int
    """Class index by the network."""
    file: int
    """Class index by the file."""
    margin: float
    """The network's logit of its own class minus its logit of the file's class; small where it was unsure."""


@dataclass(frozen=True)
class Check:
    """The comparison on one provider at one batch size. Where the file cannot run, the first four fields only."""

    provider: str
    batch: int
    images: int
    failures: tuple[str, ...]
    """Why it does not pass; empty where it does."""
    logit_difference: float | None = None
    """Largest absolute difference of a logit."""
    logit_p999: float | None = None
    """The 99.9th percentile of the absolute differences."""
    tolerance: float | None = None
    """Limit of the largest difference; None for int8."""
    noise: float | None = None
    """Root mean square of the differences, as a share of the network's logits'."""
    scale: float | None = None
    """The factor by which the network's logits come nearest to the file's; each image's mean is taken off first."""
    labels_differ: int = 0
    flips: tuple[Flip, ...] = ()
    """The first MAX_FLIPS of the labels that differ."""
    accuracy: float | None = None
    """The file's accuracy on these images."""
    network_accuracy: float | None = None
    accuracy_difference: tuple[float, float] | None = None
    """The 95% interval of the file's accuracy minus the network's, paired by image."""
    runtime: str = "onnxruntime"
    """The package that ran the file."""
    runtime_precision: str = ""
    """The precision in which it computed: f32, f16, bf16, int8; "" where the provider's row does not say."""


@dataclass(frozen=True)
class Parity:
    """The gate's result."""

    precision: str
    opset: int
    images: int
    unreadable: int
    """The number of images that could not be read."""
    images_sha256: str
    checks: tuple[Check, ...]
    rule: dict[str, float] = field(default_factory=dict)
    pixels: PixelParity | None = None
    """None where the file takes the card's window."""

    @property
    def failures(self) -> list[str]:
        """All failures, each with its provider and batch size."""
        return [f"{c.provider}, batch {c.batch}: {failure}" for c in self.checks for failure in c.failures]

    @property
    def providers(self) -> tuple[str, ...]:
        """The names of the providers that ran the file, each once."""
        return tuple(dict.fromkeys(check.provider for check in self.checks))

    def without(self, may_fail: Collection[str]) -> "Parity":
        """The result without those of these providers on which the file did not pass at every batch size."""
        failed = {check.provider for check in self.checks if check.failures and check.provider in may_fail}
        return replace(self, checks=tuple(check for check in self.checks if check.provider not in failed))

    def to_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        values = {**asdict(self), "passed": not self.failures}
        return {name: value for name, value in values.items() if name != "pixels" or value}


def judge(
    check: Check,
    rule: Rule,
    temperature: float,
    expected: Floats,
    logits: Floats,
    probabilities: Floats,
    truth: NDArray[np.int64],
    magnitude: float,
    with_labels: bool = True,
) -> Check:
    """Compare a file's outputs with the network's logits by a rule.

    Args:
        check: provider, batch size and number of images, without a result.
        rule: the precision's.
        temperature: probabilities must be softmax(logits / temperature).
        expected: the network's logits [n, K].
        logits: the file's [n, K].
        probabilities: the file's [n, K].
        truth: [n] class index.
        magnitude: of the network's logits, as in `Reference`.
        with_labels: whether there are enough images to judge labels, accuracy and averages.

    Returns:
        The check with its result.
    """
    if not logits.shape == probabilities.shape == expected.shape:
        shapes = f"logits {list(logits.shape)}, probabilities {list(probabilities.shape)}"
        return replace(check, failures=(f"the file gives {shapes}, the network {list(expected.shape)}",))
    if not all(np.isfinite(values).all() for values in (logits, probabilities, expected)):
        return replace(check, failures=("some logits or probabilities are NaN or infinite",))
    measured = replace(_measured(check, expected, logits, truth), tolerance=rule.logit_tolerance(magnitude))
    failures = []
    if not float(np.abs(probabilities - softmax(logits / temperature)).max()) <= SOFTMAX_TOLERANCE:
        failures.append("probabilities are not softmax(logits / temperature)")
    failures += _logit_failures(measured)
    if with_labels:
        failures += [*_average_failures(measured, rule), *_label_failures(measured, rule, len(truth))]
    return replace(measured, failures=tuple(failures))


def relative_error(logits: Floats, expected: Floats) -> float:
    """The root mean square of logits - expected, as a share of expected's."""
    difference = logits.astype(np.float64) - expected
    rms, expected_rms = (np.sqrt((values.astype(np.float64) ** 2).mean()) for values in (difference, expected))
    return float(rms / max(1e-9, expected_rms))


def _measured(check: Check, expected: Floats, logits: Floats, truth: NDArray[np.int64]) -> Check:
    """The check with all its figures; what they are held to is the rule's."""
    differences = np.abs(logits.astype(np.float64) - expected)
    labels, network_labels = logits.argmax(axis=1), expected.argmax(axis=1)
    differ = np.flatnonzero(labels != network_labels)
    margins = expected[differ, network_labels[differ]] - expected[differ, labels[differ]]
    flips = zip(differ, network_labels[differ], labels[differ], margins, strict=True)
    correct, network_correct = labels == truth, network_labels == truth
    gained, lost = int((correct & ~network_correct).sum()), int((~correct & network_correct).sum())
    return replace(
        check,
        logit_difference=float(differences.max()),
        logit_p999=float(np.quantile(differences, 0.999, method="higher")),
        noise=relative_error(logits, expected),
        scale=_scale(logits, expected),
        labels_differ=len(differ),
        flips=tuple(Flip(int(i), int(a), int(b), float(m)) for i, a, b, m in list(flips)[:MAX_FLIPS]),
        accuracy=float(correct.mean()),
        network_accuracy=float(network_correct.mean()),
        accuracy_difference=paired_difference(gained, lost, len(truth)),
    )


def _logit_failures(check: Check) -> list[str]:
    largest, tolerance = check.logit_difference, check.tolerance
    if largest is None or tolerance is None or largest <= tolerance:
        return []
    return [f"logits differ by {largest:.2e}, allowed is {tolerance:.2e}"]


def _average_failures(check: Check, rule: Rule) -> list[str]:
    """Failures of the logits as a whole."""
    failures = []
    if rule.noise is not None and check.noise is not None and not check.noise <= rule.noise:
        failures.append(f"logits are off by {check.noise:.0%} on average, allowed is {rule.noise:.0%}")
    if rule.scale is not None and check.scale is not None and not abs(check.scale - 1) <= rule.scale:
        failures.append(f"logits are {check.scale:.2f} times the network's, allowed is 1 +- {rule.scale}")
    return failures


def _label_failures(check: Check, rule: Rule, count: int) -> list[str]:
    """Failures by the number of labels that differ, and by the accuracy; one image may always differ."""
    failures = []
    if rule.labels is not None and check.labels_differ > max(1, rule.labels * count):
        failures.append(f"{check.labels_differ} of {count} labels differ, allowed is {rule.labels:.0%}")
    gained = round(count * ((check.accuracy or 0) - (check.network_accuracy or 0)))
    if rule.accuracy is not None and abs(gained) > max(1, rule.accuracy * count):
        failures.append(f"accuracy differs by {gained / count:+.2%}, allowed is {rule.accuracy:.1%}")
    return failures


def _scale(logits: Floats, expected: Floats) -> float:
    """The least-squares factor from the network's logits to the file's, without each image's mean over classes."""
    own, network = (values - values.mean(axis=1, keepdims=True, dtype=np.float64) for values in (logits, expected))
    return float((own * network).sum() / max(1e-12, (network * network).sum()))
