"""The gate: real validation images through the draft file, by the session that production uses, against the network."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich import box
from rich.table import Table as RichTable

from infer.config import Device
from infer.errors import DataError, ImageError, ModelError, listed
from infer.pipeline import read_ahead
from infer.pixels import Pixels, PixelSpec, read_window
from infer.session import Floats, Session
from trainer.network import PixelNet

LOGITS = {"fp32": 1e-3, "fp16": 1e-2}
"""Logits agree to this share of max(1, largest |logit|).

fp32: both sides compute in full float32 and differ in the order of their sums alone, about 1e-6 of it; any fault of
the graph is larger by orders of magnitude. fp16: half precision rounds every value to 11 bits, 5e-4 of it; over the
layers of ResNet-18, 50 and 152 that came to less than 1e-3 of the largest logit, and ten times that is allowed. It
guards against faults that move no label, such as a wrong scale; labels and accuracy have their own limits."""
FP16_LABELS, FP16_ACCURACY = 0.01, 0.005
"""fp16: at most this share of labels may differ, and accuracy by this much (one image, where that is more). A label may
flip where two classes are as close as the roundings above, which is rare; more flips than that are a fault."""
SOFTMAX_TOLERANCE = 1e-5
"""In every precision the softmax is computed in float32."""
SMALL_BATCHES = (1, 2, 7)
SMALL_REPEATS = 8
"""How many batches of each small size are tried; the full size runs over all images."""


@dataclass(frozen=True)
class Check:
    """One provider with one batch size against the network."""

    provider: str
    batch: int
    images: int
    logit_difference: float
    """Largest absolute difference of a logit."""
    tolerance: float
    """What it may be."""
    labels_differ: int
    accuracy: float
    """The file's, on these images."""
    network_accuracy: float
    failures: tuple[str, ...]
    """Why it does not pass; empty where it does."""


@dataclass(frozen=True)
class Parity:
    """What the gate found."""

    precision: str
    opset: int
    images: int
    checks: tuple[Check, ...]
    rule: dict[str, float] = field(default_factory=dict)

    @property
    def failures(self) -> list[str]:
        """Every failure, with provider and batch size."""
        return [f"{c.provider}, batch {c.batch}: {what}" for c in self.checks for what in c.failures]

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        return {**asdict(self), "passed": not self.failures}


def run_gate(
    draft: Path,
    network: PixelNet,
    pixels_nhwc: Pixels,
    truth: NDArray[np.int64],
    batch_size: int,
    devices: Sequence[Device],
) -> Parity:
    """Compare a draft file with the network that it was made from, on each device and at each batch size.

    Args:
        draft: the ONNX file.
        network: rebuilt from the checkpoint, in float32 and evaluation mode, on the CPU.
        pixels_nhwc: evaluation views of validation images, uint8 [n, H, W, 3], n > 0.
        truth: [n] class index.
        batch_size: the full size; with fewer images, their number is.
        devices: what this machine has.
    """
    reference = _reference(network, pixels_nhwc)
    full = min(batch_size, len(truth))
    checks: list[Check] = []
    for device in devices:
        session = Session(draft, device)
        for batch in dict.fromkeys((*SMALL_BATCHES, full)):
            images = len(truth) if batch == full else min(len(truth), batch * SMALL_REPEATS)
            part = slice(0, images)
            try:
                answers = _run(session, pixels_nhwc[part], batch)
            except ModelError as error:
                answer = (float("nan"), float("nan"), 0, 0.0, 0.0, (str(error),))
                checks.append(Check(session.provider, batch, images, *answer))
                continue
            checks.append(_check(session, batch, reference[part], *answers, truth[part]))
    precision = session.card.precision
    rule = {"logits": LOGITS[precision], "softmax": SOFTMAX_TOLERANCE}
    rule |= {} if precision == "fp32" else {"labels": FP16_LABELS, "accuracy": FP16_ACCURACY}
    return Parity(precision, session.card.opset or 0, len(truth), tuple(checks), rule)


def read_views(files: Sequence[str], spec: PixelSpec, limit: int) -> tuple[Pixels, list[int]]:
    """Evaluation views of up to `limit` images, by the production pixel path; and which of the files they are.

    The images are spread evenly over the files. One that cannot be read is passed over.

    Raises:
        DataError: none can be read.
    """
    chosen = np.unique(np.linspace(0, len(files) - 1, min(limit, len(files))).round().astype(int)).tolist()
    views = list(read_ahead([files[row] for row in chosen], lambda file: read_window(file, spec)))
    good = [(row, view) for row, view in zip(chosen, views, strict=True) if not isinstance(view, ImageError)]
    if not good:
        raise DataError(f"none of the validation images can be read: {listed(files)}; say where they are with --data")
    return np.stack([view for _, view in good]), [row for row, _ in good]


def parity_table(parity: Parity) -> RichTable:
    """The gate's findings for the terminal: largest logit difference, labels that differ, accuracy on both sides."""
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("provider")
    for name in ("batch", "images", "max diff", "allowed", "flips", "accuracy", "network", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for c in parity.checks:
        table.add_row(
            c.provider.removesuffix("ExecutionProvider"),
            str(c.batch),
            str(c.images),
            f"{c.logit_difference:.1e}",
            f"{c.tolerance:.1e}",
            str(c.labels_differ),
            f"{c.accuracy:.2%}",
            f"{c.network_accuracy:.2%}",
            "FAILS" if c.failures else "ok",
        )
    return table


@torch.inference_mode()
def _reference(network: PixelNet, pixels_nhwc: Pixels) -> Floats:
    """The network's logits [n, K], in float32 on the CPU."""
    parts = [network(part)[0] for part in torch.split(torch.from_numpy(pixels_nhwc), 64)]
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)


def _run(session: Session, pixels_nhwc: Pixels, batch: int) -> tuple[Floats, Floats]:
    """The file's logits and probabilities, [n, K] each, in batches of this size.

    A last part that fills no batch is joined by the first images.
    """
    count = len(pixels_nhwc)
    cycled = np.resize(pixels_nhwc, (-(-count // batch) * batch, *pixels_nhwc.shape[1:]))
    answers = [session.run(cycled[at : at + batch]) for at in range(0, len(cycled), batch)]
    return np.concatenate([one for one, _ in answers])[:count], np.concatenate([two for _, two in answers])[:count]


def _check(
    session: Session, batch: int, expected: Floats, got: Floats, probabilities: Floats, truth: NDArray[np.int64]
) -> Check:
    """Judge logits [n, K] against the network's by the precision's rule, and probabilities [n, K] by the logits."""
    if not got.shape == probabilities.shape == expected.shape:
        shapes = f"logits {list(got.shape)}, probabilities {list(probabilities.shape)}"
        nan = float("nan")
        wrong = f"the file gives {shapes}, the network {list(expected.shape)}"
        return Check(session.provider, batch, len(truth), nan, nan, 0, 0.0, 0.0, (wrong,))
    failures = []
    if not all(np.isfinite(values).all() for values in (got, probabilities, expected)):
        failures.append("some logits or probabilities are NaN or infinite")
    largest = float(np.abs(probabilities - _softmax(got / session.card.temperature)).max())
    if not largest <= SOFTMAX_TOLERANCE:  # so written, here and below, that NaN fails
        failures.append("probabilities are not softmax(logits / temperature)")
    difference = float(np.abs(got - expected).max())
    tolerance = LOGITS[session.card.precision] * max(1.0, float(np.abs(expected).max()))
    if not difference <= tolerance:
        failures.append(f"logits differ by {difference:.2e}, allowed is {tolerance:.2e}")
    differ = got.argmax(1) != expected.argmax(1)
    accuracy, own = (float((logits.argmax(1) == truth).mean()) for logits in (got, expected))
    failures += _label_failures(session.card.precision, expected, differ, accuracy - own, tolerance)
    flips = int(differ.sum())
    return Check(session.provider, batch, len(truth), difference, tolerance, flips, accuracy, own, tuple(failures))


def _label_failures(
    precision: str, expected: Floats, differ: NDArray[np.bool_], gained: float, tolerance: float
) -> list[str]:
    """What is wrong with the labels that differ, [n], and with the accuracy gained or lost by them."""
    if precision == "fp32":
        top = np.sort(expected, axis=1)
        clear = int((differ & (top[:, -1] - top[:, -2] >= 2 * tolerance)).sum())
        return [f"{clear} labels differ where the network was sure"] if clear else []
    failures = []
    count = len(differ)
    if differ.sum() > max(1, FP16_LABELS * count):
        failures.append(f"{int(differ.sum())} of {count} labels differ, allowed is {FP16_LABELS:.0%}")
    if abs(gained) > max(FP16_ACCURACY, 1 / count) + 1e-9:
        failures.append(f"accuracy differs by {gained:+.2%}")
    return failures


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)
