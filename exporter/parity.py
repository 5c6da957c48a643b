"""The gate: real validation images through the draft file, by the session that production uses, against the network."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich import box
from rich.table import Table as RichTable

from infer.errors import DataError, ImageError, LabError, listed
from infer.pipeline import read_ahead
from infer.pixels import Pixels, PixelSpec, read_window
from infer.session import Device, Floats, Session
from trainer.network import PixelNet

FP32_TOLERANCE = 1e-3
"""fp32: logits agree to this share of max(1, largest |logit|). Both sides compute in full float32 and differ in the
order of their sums alone, which comes to about 1e-6 of it; any fault of the graph is larger by orders of magnitude."""
FP16_LABELS, FP16_ACCURACY = 0.01, 0.005
"""fp16: at most this share of labels may differ, and accuracy by this much (one image, where that is more). Half
precision rounds to 11 bits, 5e-4 of a value, and over 50 to 150 layers that adds up to about 1e-2 of a logit; so a
label may flip where two classes are that close, which is rare, and more than that is a fault."""
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
    tolerance: float | None
    """What it may be; None where labels and accuracy decide."""
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
        batch_size: the full size.
        devices: what this machine has.
    """
    reference = _reference(network, pixels_nhwc)
    checks: list[Check] = []
    for device in devices:
        session = Session(draft, device)
        for batch in (*SMALL_BATCHES, batch_size):
            images = len(truth) if batch == batch_size else min(len(truth), batch * SMALL_REPEATS)
            part = slice(0, images)
            try:
                answers = _run(session, pixels_nhwc[part], batch)
            except LabError as error:
                answer = (float("nan"), None, 0, 0.0, 0.0, (str(error),))
                checks.append(Check(session.provider, batch, images, *answer))
                continue
            checks.append(_check(session, batch, reference[part], *answers, truth[part]))
    rule = {"logits": FP32_TOLERANCE} if session.card.precision == "fp32" else {"labels": FP16_LABELS}
    rule |= {} if session.card.precision == "fp32" else {"accuracy": FP16_ACCURACY}
    return Parity(session.card.precision, session.card.opset or 0, len(truth), tuple(checks), rule)


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
            "-" if c.tolerance is None else f"{c.tolerance:.1e}",
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
    card = session.card
    failures: list[str] = []
    if got.shape != expected.shape:
        failures.append(f"logits have the shape {list(got.shape)}, the network's {list(expected.shape)}")
        return Check(session.provider, batch, len(truth), float("nan"), None, 0, 0.0, 0.0, tuple(failures))
    if not np.isfinite(got).all():
        failures.append("some logits are NaN or infinite")
    elif np.abs(probabilities - _softmax(got / card.temperature)).max() > SOFTMAX_TOLERANCE:
        failures.append("probabilities are not softmax(logits / temperature)")
    difference = float(np.abs(got - expected).max())
    differ = got.argmax(1) != expected.argmax(1)
    accuracy, own = (float((logits.argmax(1) == truth).mean()) for logits in (got, expected))
    tolerance = None
    if card.precision == "fp32":
        tolerance = FP32_TOLERANCE * max(1.0, float(np.abs(expected).max()))
        top = np.sort(expected, axis=1)
        clear = differ & (top[:, -1] - top[:, -2] >= 2 * tolerance)
        if difference > tolerance:
            failures.append(f"logits differ by {difference:.2e}, allowed is {tolerance:.2e}")
        if clear.any():
            failures.append(f"{int(clear.sum())} labels differ where the network was sure")
    else:
        if differ.sum() > max(1, FP16_LABELS * len(truth)):
            failures.append(f"{int(differ.sum())} of {len(truth)} labels differ, allowed is {FP16_LABELS:.0%}")
        if abs(accuracy - own) > max(FP16_ACCURACY, 1 / len(truth)) + 1e-9:
            failures.append(f"accuracy is {accuracy:.2%}, the network's {own:.2%}")
    differing = int(differ.sum())
    return Check(session.provider, batch, len(truth), difference, tolerance, differing, accuracy, own, tuple(failures))


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)
