"""The parity gate: validation images run through a file, by the session that predicts, and through the network."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from exporter.gate_result import show_parity
from exporter.graph import at_precision
from exporter.parity import Check, Parity, Rule, judge
from exporter.precisions import EXPORTS, gate_rule
from exporter.reference import RangeWatch, Reference, compute_reference
from infer.config import Device, Runtime
from infer.core.arrays import Floats, Pixels
from infer.core.console import Screen
from infer.core.errors import DataError, DeviceError, ModelError, ParityError
from infer.core.text import listed
from infer.dataset.table import Table, spread
from infer.model.card import ModelCard
from infer.model.opset_limit import file_problem
from infer.model.providers import AUTO, Provider, providers_for
from infer.model.session import Session
from trainer.model.network import PixelNet

SMALL_BATCHES = (1, 2, 7)
SMALL_REPEATS = 8
"""The number of batches of each small size; the full size runs over all images."""


def gate_providers(
    device: Device, runtime: Runtime, precision: str, opset: int | None, screen: Screen
) -> list[Provider]:
    """The providers that the gate runs a file on: ONNX Runtime's on the CPU, and those that the options allow and that
    can run it.

    fp16 is slow on a CPU, but its results are right.

    Raises:
        DeviceError: the named device or runtime cannot be used, or cannot run this precision or opset.
    """
    providers = [row for row in providers_for(AUTO) if row.runs_anywhere]
    for row in providers_for(device, runtime):
        problem = None if row.runs_anywhere else file_problem(row, precision, opset)
        named = runtime != AUTO if row.optional else device != AUTO
        if problem and named:
            raise DeviceError(f"{row.option}: {problem}; or choose {row.instead}")
        if problem and not row.optional:
            screen.say(f"gate: not run on {row.label} ({problem})")
        elif not problem and not row.runs_anywhere:
            providers.append(row)
    return providers


def run_reference(
    network: PixelNet, table: Table, card: ModelCard, precision: str, limit: int | None, screen: Screen
) -> Reference:
    """Run the network on the table's images, or on `limit` of them, evenly spread.

    Raises:
        DataError: there are none, or half of them or more cannot be read.
        ParityError: the network computes numbers that `precision` cannot hold.
    """
    if not len(table):
        raise DataError(f"{table.source} has no validation images for the gate; name a data set that has, with --data")
    table = table.take(spread(len(table), limit))
    largest = EXPORTS[precision].largest
    watch = RangeWatch(at_precision(network, "fp32")) if largest is not None else None
    with screen.bar("running the network", len(table)) as bar:
        reference = compute_reference(network, table.files(), table.labels, card.pixels, watch, bar.step)
    if reference.unreadable:
        names = listed([str(error) for error in reference.unreadable])
        screen.say(f"{len(reference.unreadable)} of the gate's images cannot be read and are left out: {names}")
    # checked here, as ONNX Runtime computes fp16 in float32 on a CPU, where nothing overflows
    if watch and largest is not None and (problem := watch.problem(largest)):
        raise ParityError(f"{precision} cannot hold what this network computes: {problem}; export fp32")
    return reference


def require_parity(
    file: Path,
    reference: Reference,
    batch_size: int,
    providers: Sequence[Provider],
    screen: Screen,
    consequence: str,
    may_fail: Collection[str] = (),
) -> Parity:
    """Run the gate and show its result.

    Providers named in `may_fail` are left out of the result where the file does not pass on them, and a line says so.

    Raises:
        ParityError: it does not pass; the message ends with `consequence`.
    """
    with screen.bar("gate", len(reference.files)) as bar:
        parity = run_gate(file, reference, batch_size, providers, bar.step)
    return show_parity(parity, file, reference, screen, consequence, may_fail)


def run_gate(
    file: Path,
    reference: Reference,
    batch_size: int,
    providers: Sequence[Provider],
    on_progress: Callable[[int], None] = lambda count: None,
) -> Parity:
    """Compare a file with the network's outputs, on each provider and at each batch size.

    Args:
        file: the ONNX file. One that takes a single batch size is tried at that size only.
        reference: n images and the network's outputs.
        batch_size: the full batch size; at most n.
        providers: those of this machine to run it on, whatever the file's evidence says.
        on_progress: receives the number of images that are finished.

    Raises:
        ModelError: the file cannot be opened.
        DeviceError: a provider is not available, or its device's memory is exhausted.
    """
    sessions, checks = _open_all(file, providers)
    card, fixed, count = sessions[0].card, sessions[0].batch, len(reference.files)
    full_size = fixed or min(batch_size, count)
    small_sizes = () if fixed else tuple(size for size in SMALL_BATCHES if size != full_size)
    small_rows = spread(count, max(SMALL_BATCHES) * SMALL_REPEATS)
    full_runs = [FileRun(session, full_size) for session in sessions]
    small_views = _run_all(full_runs, reference, small_rows, on_progress)
    for session, full in zip(sessions, full_runs, strict=True):
        rule = gate_rule(card.precision, session.provider)
        for size in small_sizes:
            run = FileRun(session, size).add(np.stack(small_views[: size * SMALL_REPEATS]))
            checks.append(run.check(reference, small_rows[: run.images], rule, full))
        checks.append(full.check(reference, range(count), rule))
    return Parity(
        precision=card.precision,
        opset=card.opset or 0,
        images=count,
        unreadable=len(reference.unreadable),
        images_sha256=reference.images_sha256,
        checks=tuple(checks),
        rule=EXPORTS[card.precision].rule.to_json(),
    )


def _open_all(file: Path, providers: Sequence[Provider]) -> tuple[list[Session], list[Check]]:
    """The file on each provider, and a failed check for each optional one that cannot open it.

    Raises ModelError and DeviceError, as `run_gate`.
    """
    sessions: list[Session] = []
    failed: list[Check] = []
    for provider in providers:
        try:
            sessions.append(Session(file, provider=provider))
        except DeviceError as error:
            if not provider.optional:
                raise
            failed.append(Check(provider.name, 0, 0, (str(error),), runtime=provider.library))
    return sessions, failed


def _run_all(
    runs: "Sequence[FileRun]", reference: Reference, kept_rows: Sequence[int], on_progress: Callable[[int], None]
) -> list[Pixels]:
    """Run all images in full batches, which are read once; returns the views of `kept_rows`."""
    kept: list[Pixels] = []
    views = enumerate(reference.views())
    while chunk := list(islice(views, runs[0].batch)):
        kept += [view for row, view in chunk if row in kept_rows]
        pixels = np.stack([view for _, view in chunk])
        for run in runs:
            run.add(pixels)
        on_progress(chunk[-1][0] + 1)
    return kept


class FileRun:
    """The outputs of a session at one batch size, collected as images are added."""

    def __init__(self, session: Session, batch: int = 1) -> None:
        """`batch`: the batch size, unless the file takes another one only."""
        self.session, self.batch, self.images = session, session.batch or batch, 0
        self.logits: list[Floats] = []
        self.probabilities: list[Floats] = []
        self.failure = ""

    def add(self, pixels_nhwc: Pixels) -> "FileRun":
        """Run images [n, H, W, 3] in batches; an incomplete last batch is filled up with the first images."""
        count = len(pixels_nhwc)
        self.images += count
        cycled = np.resize(pixels_nhwc, (-(-count // self.batch) * self.batch, *pixels_nhwc.shape[1:]))
        for start in range(0, count, self.batch):
            if self.failure:
                return self
            try:
                logits, probabilities = self.session.run(cycled[start : start + self.batch])
            except ModelError as error:
                self.failure = str(error)
                return self
            self.logits.append(logits[: count - start])
            self.probabilities.append(probabilities[: count - start])
        return self

    def outputs(self) -> tuple[Floats, Floats]:
        """Logits and probabilities, [n, K] each. Raises ModelError where the file could not run."""
        if self.failure:
            raise ModelError(self.failure)
        return np.concatenate(self.logits), np.concatenate(self.probabilities)

    def check(self, reference: Reference, rows: Sequence[int], rule: Rule, full: "FileRun | None" = None) -> Check:
        """Judge the outputs for these rows of the reference by the network's.

        With `full`, the run over all images at the full batch size, this run is a small one: then its logits must equal
        those of the full run, as so few images say nothing about labels and accuracy.
        """
        provider, precision = self.session.provider, self.session.card.precision
        check = Check(
            provider.name,
            self.batch,
            self.images,
            (self.failure,) if self.failure else (),
            runtime=provider.library,
            runtime_precision=provider.computes.get(precision, ""),
        )
        if self.failure:
            return check
        part, temperature = reference.take(rows), self.session.card.temperature
        logits, probabilities = self.outputs()
        check = judge(
            check, rule, temperature, part.logits, logits, probabilities, part.truth, reference.magnitude, full is None
        )
        check = replace(check, flips=tuple(replace(flip, image=rows[flip.image]) for flip in check.flips))
        if full is None or full.failure or check.failures:
            return check
        difference = float(np.abs(logits - full.outputs()[0][list(rows)]).max())
        allowed = rule.own_tolerance(reference.magnitude)
        if difference <= allowed:
            return check
        failure = f"logits differ by {difference:.2e} from those in batches of {full.batch}, allowed is {allowed:.2e}"
        return replace(check, failures=(failure,))
