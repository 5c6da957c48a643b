"""What the gate found, and the rules by which it judges: logits, labels and accuracy of the file and of the network."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table as RichTable

from infer.core.arrays import Floats
from infer.metrics.intervals import paired_difference
from infer.metrics.point_values import softmax
from infer.model.card import ModelCard
from infer.model.providers import short_name

LOGITS = {"fp32": 1e-4, "fp16": 4e-3}
"""Logits agree to this share of max(1, magnitude), the largest sum of |weight * feature| behind a logit.

Rounding is relative to what is summed, not to what is left of it: the logits of a network that has hardly learnt are
small differences of large sums. fp32: both sides compute in full float32 and differ in the order of their sums alone,
about 1e-6 of it; any fault of the graph is larger by orders of magnitude. fp16: half precision rounds every value to 11
bits, 5e-4 of it; with rounded weights alone, as on a CPU, that came to 3e-4 of the magnitude or less over the layers of
ResNet-18, 50 and 152; ten times that and some are allowed, as a GPU rounds activations too. It guards against faults
that move no label, such as a wrong scale; labels and accuracy have their own limits."""
LABELS = {"fp16": 0.01, "int8": 0.02}
ACCURACY = {"fp16": 0.005, "int8": 0.01}
"""At most this share of labels may differ, and accuracy by this much (one image, where that is more).

A label may flip where two classes are as close as the rounding of the precision, which is rare; more flips than that
are a fault, or a network that int8 does not suit. int8 rounds every value to 8 bits, about 2e-3 of its range: single
logits differ by more than a rule could allow without allowing anything, so its labels and accuracy are held, and of its
logits only their overall error, below."""
INT8_NOISE = 0.25
"""The root mean square of int8's error of logits, as a share of their own; trained ResNets have 0.02 to 0.05."""
INT8_SCALE = 0.1
"""A wrong scale of the logits moves no label; int8's may be off by this share."""
SOFTMAX_TOLERANCE = 1e-5
"""In every precision the softmax is computed in float32."""
KEPT_FLIPS = 100
"""As many labels that differ are listed; all are counted."""


@dataclass(frozen=True)
class Flip:
    """An image that the file gives another label than the network."""

    image: int
    """Its place among the gate's images."""
    network: int
    """The network's class."""
    file: int
    """The file's."""
    margin: float
    """By how much the network's logit of its class is above that of the file's class; small where it was unsure."""


@dataclass(frozen=True)
class Check:
    """One provider with one batch size against the network. Where it cannot run, only the first three and the last."""

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
    """What the largest may be; None for int8."""
    noise: float | None = None
    """Root mean square of the differences, as a share of the network's logits'."""
    scale: float | None = None
    """The factor by which the network's logits are nearest to the file's, without what is common to all classes."""
    labels_differ: int = 0
    flips: tuple[Flip, ...] = ()
    """The first KEPT_FLIPS of them."""
    accuracy: float | None = None
    """The file's, on these images."""
    network_accuracy: float | None = None
    accuracy_difference: tuple[float, float] | None = None
    """The 95% interval of the file's accuracy minus the network's, paired by image."""


@dataclass(frozen=True)
class Parity:
    """What the gate found."""

    precision: str
    opset: int
    images: int
    unreadable: int
    """Images that could not be read."""
    images_sha256: str
    checks: tuple[Check, ...]
    rule: dict[str, float] = field(default_factory=dict)

    @property
    def failures(self) -> list[str]:
        """Every failure, with provider and batch size."""
        return [f"{c.provider}, batch {c.batch}: {what}" for c in self.checks for what in c.failures]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "passed": not self.failures}


def rule_of(precision: str) -> dict[str, float]:
    """The limits that hold for a precision, by name."""
    limits = {"logits": LOGITS, "labels": LABELS, "accuracy": ACCURACY}
    found = {name: limit[precision] for name, limit in limits.items() if precision in limit}
    averages = {"noise": INT8_NOISE, "scale": INT8_SCALE} if precision == "int8" else {}
    return {**found, **averages, "softmax": SOFTMAX_TOLERANCE}


def judge(
    check: Check,
    card: ModelCard,
    expected: Floats,
    got: Floats,
    probabilities: Floats,
    truth: NDArray[np.int64],
    magnitude: float,
    labels_too: bool = True,
) -> Check:
    """`check`, filled in: logits [n, K] against the network's by the precision's rule, probabilities by the logits.

    `labels_too`: whether there are images enough to judge labels, accuracy and average errors by.
    """
    precision = card.precision
    if not got.shape == probabilities.shape == expected.shape:
        shapes = f"logits {list(got.shape)}, probabilities {list(probabilities.shape)}"
        return _failed(check, f"the file gives {shapes}, the network {list(expected.shape)}")
    if not all(np.isfinite(values).all() for values in (got, probabilities, expected)):
        return _failed(check, "some logits or probabilities are NaN or infinite")
    differences = np.abs(got.astype(np.float64) - expected)
    largest = float(differences.max())
    tolerance = LOGITS[precision] * max(1.0, magnitude) if precision in LOGITS else None
    noise, scale = relative_error(got, expected), _scale(got, expected)
    labels, own = got.argmax(axis=1), expected.argmax(axis=1)
    differ = np.flatnonzero(labels != own)
    margins = expected[differ, own[differ]] - expected[differ, labels[differ]]
    right, own_right = labels == truth, own == truth
    failures = []
    if not float(np.abs(probabilities - softmax(got / card.temperature)).max()) <= SOFTMAX_TOLERANCE:
        failures.append("probabilities are not softmax(logits / temperature)")
    if tolerance is not None and not largest <= tolerance:
        failures.append(f"logits differ by {largest:.2e}, allowed is {tolerance:.2e}")
    if labels_too:
        failures += _average_failures(precision, noise, scale)
        failures += _label_failures(precision, len(differ), len(truth), int(right.sum()) - int(own_right.sum()))
    flips = zip(differ, own[differ], labels[differ], margins, strict=True)
    return Check(
        provider=check.provider,
        batch=check.batch,
        images=check.images,
        failures=tuple(failures),
        logit_difference=largest,
        logit_p999=float(np.quantile(differences, 0.999, method="higher")),
        tolerance=tolerance,
        noise=noise,
        scale=scale,
        labels_differ=len(differ),
        flips=tuple(Flip(int(i), int(a), int(b), float(m)) for i, a, b, m in list(flips)[:KEPT_FLIPS]),
        accuracy=float(right.mean()),
        network_accuracy=float(own_right.mean()),
        accuracy_difference=paired_difference(
            int((right & ~own_right).sum()), int((~right & own_right).sum()), len(truth)
        ),
    )


def relative_error(got: Floats, expected: Floats) -> float:
    """The root mean square of got - expected, as a share of expected's."""
    off = got.astype(np.float64) - expected
    return float(np.sqrt((off**2).mean()) / max(1e-9, np.sqrt((expected.astype(np.float64) ** 2).mean())))


def _failed(check: Check, what: str) -> Check:
    return Check(check.provider, check.batch, check.images, (what,))


def _average_failures(precision: str, noise: float, scale: float) -> list[str]:
    """What is wrong with int8's logits as a whole."""
    failures = []
    if precision == "int8" and not noise <= INT8_NOISE:
        failures.append(f"logits are off by {noise:.0%} on average, allowed is {INT8_NOISE:.0%}")
    if precision == "int8" and not abs(scale - 1) <= INT8_SCALE:
        failures.append(f"logits are {scale:.2f} times the network's, allowed is 1 +- {INT8_SCALE}")
    return failures


def _label_failures(precision: str, differ: int, count: int, gained: int) -> list[str]:
    """What is wrong with the number of labels that differ, and of images gained by them; fp32 is held by its logits."""
    failures = []
    if precision in LABELS and differ > max(1, LABELS[precision] * count):
        failures.append(f"{differ} of {count} labels differ, allowed is {LABELS[precision]:.0%}")
    if precision in ACCURACY and abs(gained) > max(1, ACCURACY[precision] * count):
        failures.append(f"accuracy differs by {gained / count:+.2%}, allowed is {ACCURACY[precision]:.1%}")
    return failures


def _scale(got: Floats, expected: Floats) -> float:
    one, two = (part - part.mean(axis=1, keepdims=True, dtype=np.float64) for part in (got, expected))
    return float((one * two).sum() / max(1e-12, (two * two).sum()))


def parity_table(parity: Parity) -> RichTable:
    """The gate's findings for a terminal of 80 columns; accuracies in percent, their difference as an interval."""
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0))
    table.add_column("on")
    for name in ("batch", "images", "max diff", "99.9%", "flips", "network", "file", "difference", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for c in parity.checks:
        between = c.accuracy_difference
        table.add_row(
            short_name(c.provider),
            str(c.batch),
            str(c.images),
            *("-" if value is None else f"{value:.1e}" for value in (c.logit_difference, c.logit_p999)),
            str(c.labels_differ),
            *("-" if value is None else f"{value:.2%}" for value in (c.network_accuracy, c.accuracy)),
            f"{100 * between[0]:+.1f} to {100 * between[1]:+.1f}" if between else "-",
            "FAILS" if c.failures else "ok",
        )
    return table


def rule_line(parity: Parity) -> str:
    """What the gate allows, in one line for people."""
    allowed = {check.tolerance for check in parity.checks if check.tolerance is not None}
    parts = [f"logits within {max(allowed):.1e}"] if allowed else []
    if "noise" in parity.rule:
        parts.append(f"logits off by {parity.rule['noise']:.0%} on average, their scale by {parity.rule['scale']:.0%}")
    if "labels" in parity.rule:
        parts.append(f"{parity.rule['labels']:.0%} of labels, {parity.rule['accuracy']:.1%} of accuracy or one image")
    return f"allowed for {parity.precision}: {'; '.join(parts)}"
