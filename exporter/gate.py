"""The gate: real validation images through a file, by the session that production uses, against the network."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from exporter.graph import at_precision
from exporter.parity import LOGITS, Check, Parity, judge, parity_table, rule_line, rule_of
from exporter.reference import Reference, Watch, ask
from infer.config import Device
from infer.core.arrays import Floats, Pixels
from infer.core.console import Screen
from infer.core.errors import DataError, DeviceError, ModelError, ParityError
from infer.core.text import listed
from infer.dataset.table import Table, spread
from infer.model.card import ModelCard, read_card
from infer.model.providers import AUTO, providers_for
from infer.model.session import Session
from trainer.model.network import PixelNet

SMALL_BATCHES = (1, 2, 7)
SMALL_REPEATS = 8
"""How many batches of each small size are tried; the full size runs over all images."""


def run_gate(
    file: Path,
    reference: Reference,
    batch_size: int,
    devices: Sequence[Device],
    on_done: Callable[[int], None] = lambda done: None,
) -> Parity:
    """Compare a file with the network whose answers `reference` holds, on each device and at each batch size.

    Args:
        file: the ONNX file. One that takes a single batch size is tried at that alone.
        reference: n images and the network's answers.
        batch_size: the full size; with fewer images, their number is.
        devices: what this machine has.
        on_done: is told how many images are finished.

    Raises:
        ModelError: the file cannot be opened.
        DeviceError: a device cannot be had, or its memory is exhausted.
    """
    sessions = [Session(file, device) for device in devices]
    card, fixed = sessions[0].card, sessions[0].batch
    count = len(reference.files)
    full = fixed or min(batch_size, count)
    small = () if fixed else tuple(size for size in SMALL_BATCHES if size != full)
    few = spread(count, max(SMALL_BATCHES) * SMALL_REPEATS)
    runs = [Run(session, full) for session in sessions]
    kept: list[Pixels] = []
    views = enumerate(reference.views())
    while chunk := list(islice(views, full)):
        kept += [view for row, view in chunk if row in few]
        pixels = np.stack([view for _, view in chunk])
        for run in runs:
            run.add(pixels)
        on_done(chunk[-1][0] + 1)
    checks: list[Check] = []
    for session, whole in zip(sessions, runs, strict=True):
        for size in small:
            run = Run(session, size).add(np.stack(kept[: size * SMALL_REPEATS]))
            checks.append(run.check(reference, few[: run.images], card, whole))
        checks.append(whole.check(reference, range(count), card))
    return Parity(
        precision=card.precision,
        opset=card.opset or 0,
        images=count,
        unreadable=len(reference.unreadable),
        images_sha256=reference.images_sha256,
        checks=tuple(checks),
        rule=rule_of(card.precision),
    )


class Run:
    """A session's answers at one batch size, as the images come."""

    def __init__(self, session: Session, batch: int = 1) -> None:
        """`batch`: its size, unless the file takes another one alone."""
        self.session, self.batch, self.images = session, session.batch or batch, 0
        self.logits: list[Floats] = []
        self.probabilities: list[Floats] = []
        self.failure = ""

    def add(self, pixels_nhwc: Pixels) -> "Run":
        """Run images [n, H, W, 3] in batches; a last part that fills no batch is joined by the first images."""
        count = len(pixels_nhwc)
        self.images += count
        cycled = np.resize(pixels_nhwc, (-(-count // self.batch) * self.batch, *pixels_nhwc.shape[1:]))
        for at in range(0, count, self.batch):
            if self.failure:
                return self
            try:
                logits, probabilities = self.session.run(cycled[at : at + self.batch])
            except ModelError as error:
                self.failure = str(error)
                return self
            self.logits.append(logits[: count - at])
            self.probabilities.append(probabilities[: count - at])
        return self

    def answers(self) -> tuple[Floats, Floats]:
        """Logits and probabilities, [n, K] each. Raises ModelError where the file could not run."""
        if self.failure:
            raise ModelError(self.failure)
        return np.concatenate(self.logits), np.concatenate(self.probabilities)

    def check(self, reference: Reference, rows: Sequence[int], card: ModelCard, whole: "Run | None" = None) -> Check:
        """Judge the answers to these rows of the reference's images by the network's.

        With `whole`, a run over all images at the full size, this one is small: then it must answer as that one does,
        which labels and accuracy of so few images would not tell.
        """
        empty = Check(self.session.provider.name, self.batch, self.images, (self.failure,) if self.failure else ())
        if self.failure:
            return empty
        part = reference.take(rows)
        check = judge(empty, card, part.logits, *self.answers(), part.truth, reference.magnitude, whole is None)
        flips = tuple(replace(flip, image=rows[flip.image]) for flip in check.flips)
        check = replace(check, flips=flips)
        if whole is None or whole.failure or check.failures:
            return check
        off = float(np.abs(self.answers()[0] - whole.answers()[0][list(rows)]).max())
        allowed = LOGITS.get(card.precision, LOGITS["fp32"]) * max(1.0, reference.magnitude)
        same = f"logits differ by {off:.2e} from those in batches of {whole.batch}, allowed is {allowed:.2e}"
        return check if off <= allowed else replace(check, failures=(same,))


def gate_devices(device: Device, precision: str, screen: Screen) -> list[Device]:
    """The devices that the gate runs a file on: the CPU, and those that `device` allows and that can run it.

    fp16 is slow on a CPU, but its results are right.

    Raises:
        DeviceError: the named device cannot be used, or cannot run this precision.
    """
    devices = [provider.device for provider in providers_for(AUTO) if provider.runs_anywhere]
    for provider in providers_for(device):
        problem = None if provider.runs_anywhere else provider.problem(precision)
        if problem and device != AUTO:
            raise DeviceError(f"--device {device}: {problem}; or choose --device cpu")
        if problem:
            screen.say(f"gate: not run on {provider.label} ({problem})")
        elif not provider.runs_anywhere:
            devices.append(provider.device)
    return devices


ADVICE = {"fp16": "; export fp32", "int8": "; try more --calibration-images, or export fp32"}
"""What else can be done about a network that a precision does not suit."""


SHOWN = 5
"""Labels that differ are shown up to this number; the evidence lists more."""


def ask_network(
    network: PixelNet, table: Table, card: ModelCard, precision: str, limit: int | None, screen: Screen
) -> Reference:
    """The network's answers to the table's images, or to `limit` of them, spread evenly.

    Raises:
        DataError: there are none, or half of them or more cannot be read.
        ParityError: `precision` is fp16, and its numbers cannot hold what the network computes.
    """
    if not len(table):
        raise DataError(f"{table.source} has no validation images for the gate; name a data set that has, with --data")
    table = table.take(spread(len(table), limit))
    watch = Watch(at_precision(network, "fp32")) if precision == "fp16" else None
    with screen.bar("asking the network", len(table)) as bar:
        reference = ask(network, table.files(), table.labels, card.pixels, watch, bar.step)
    if reference.unreadable:
        names = listed([str(error) for error in reference.unreadable])
        screen.say(f"{len(reference.unreadable)} of the gate's images cannot be read and are left out: {names}")
    # looked at here, since ONNX Runtime computes fp16 in float32 on a CPU, where nothing overflows
    if watch and (problem := watch.beyond_half()):
        raise ParityError(f"half precision cannot hold what this network computes: {problem}; export fp32")
    return reference


def pass_gate(
    file: Path, reference: Reference, batch_size: int, devices: Sequence[Device], screen: Screen, outcome: str
) -> Parity:
    """Run the gate and show what it found. Raises ParityError, which ends with `outcome`, where it does not pass."""
    with screen.bar("gate", len(reference.files)) as bar:
        parity = run_gate(file, reference, batch_size, devices, bar.step)
    screen.say(
        f"parity with the network on {parity.images} images (flips: labels that differ; network, file: accuracy; "
        "difference: of accuracy, 95% interval)"
    )
    screen.show(parity_table(parity))
    screen.say(rule_line(parity))
    classes, whole = read_card(file).classes, max(parity.checks, key=lambda check: check.images)
    for flip in whole.flips[:SHOWN]:
        names = f"the network says {classes[flip.network]}, the file {classes[flip.file]}"
        screen.say(f"differs: {reference.files[flip.image]}: {names}, by a margin of {flip.margin:.2g} in the logits")
    if parity.failures:
        why, advice = listed(parity.failures, 3), ADVICE.get(parity.precision, "")
        raise ParityError(f"the file does not answer as the network did: {why}; {outcome}{advice}")
    return parity
