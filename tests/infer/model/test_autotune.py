"""`--tune`: every option is measured, the fastest is used and saved, and outputs stay the same."""

import io
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import infer.model.autotune
from infer.core.console import Screen
from infer.core.errors import DeviceError
from infer.model.autotune import tune
from infer.model.provider_options import saved_options
from infer.model.providers import CPU, CUDA_GRAPH, Provider
from infer.model.session import Session


@pytest.fixture
def session(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(infer.model.autotune, "SECONDS", 0.0)
    return Session(model, "cpu")


def rates_of(*rates: float) -> Callable[..., list[float]]:
    return lambda runs, images: list(itertools.islice(rates, len(runs)))


def test_the_fastest_options_are_used_by_every_later_session(
    session: Session, heard: tuple[Screen, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infer.model.autotune, "_rates", rates_of(100, 120, 150))
    chosen = tune(session, 4, heard[0])
    assert chosen["session.intra_op.allow_spinning"] == "0"
    assert saved_options(session.path, CPU, "fp32") == chosen
    later = Session(session.path, "cpu")
    assert later.options == chosen
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    assert later.run(pixels)[0].tobytes() == session.run(pixels)[0].tobytes()
    assert "150   chosen" in heard[1].getvalue()


def test_what_is_hardly_faster_leaves_the_default(
    session: Session, quiet: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infer.model.autotune, "_rates", rates_of(100, 101, 100))
    assert tune(session, 4, quiet) == CPU.default_options("fp32")


def test_rates_are_images_per_second_of_runs_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 0.5)
    monkeypatch.setattr(infer.model.autotune.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(infer.model.autotune, "SECONDS", 0.0)
    ran: list[str] = []
    rates = infer.model.autotune._rates([lambda: ran.append("a"), lambda: ran.append("b")], images=8)
    assert ran == ["a", "b"] * infer.model.autotune.ROUNDS
    assert rates == [8.0, 8.0]  # one second from the clock's first question to its third


def test_options_that_cannot_run_are_skipped_with_a_message(
    session: Session, heard: tuple[Screen, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Session.with_options

    def without_spinning_fails(self: Session, options: dict[str, str]) -> Session:
        if options["session.intra_op.allow_spinning"] == "0":
            raise DeviceError("no memory")
        return opened(self, options)

    monkeypatch.setattr(Session, "with_options", without_spinning_fails)
    monkeypatch.setattr(infer.model.autotune, "_rates", rates_of(100, 100, 150))
    assert tune(session, 4, heard[0]) == CPU.default_options("fp32")
    assert "skipped: cannot run with allow_spinning=0, divide_batches=0: no memory" in heard[1].getvalue()


@pytest.mark.parametrize(("batch_size", "tried"), [(4, 2), (64, 1)])
def test_cuda_graphs_are_tried_for_small_batches_only(
    session: Session, quiet: Screen, monkeypatch: pytest.MonkeyPatch, batch_size: int, tried: int
) -> None:
    plain = CPU.default_options("fp32")
    counted: list[int] = []
    monkeypatch.setattr(Provider, "tuning_candidates", lambda *_: [plain, {**plain, CUDA_GRAPH: "1"}])
    monkeypatch.setattr(
        infer.model.autotune, "_rates", lambda runs, _: counted.append(len(runs)) or [100.0] * len(runs)
    )
    tune(session, batch_size, quiet)
    assert counted == [tried]


@pytest.mark.parametrize("change", [lambda logits: logits[::-1], lambda logits: logits * np.nan])
def test_options_with_other_outputs_are_skipped_with_a_message(
    session: Session,
    heard: tuple[Screen, io.StringIO],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[np.ndarray], np.ndarray],
) -> None:
    answered = Session.run

    def run(self: Session, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, probabilities = answered(self, pixels)
        return (logits if self.options["session.intra_op.allow_spinning"] == "1" else change(logits)), probabilities

    monkeypatch.setattr(Session, "run", run)
    monkeypatch.setattr(infer.model.autotune, "_rates", rates_of(100, 100, 150))
    assert tune(session, 4, heard[0]) == CPU.default_options("fp32")
    assert "skipped: its outputs differ: allow_spinning=0, divide_batches=0" in heard[1].getvalue()


def test_predict_tunes_tells_and_writes_the_same_file(
    lab: Callable, session: Session, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("predict", cells / "test", "--model", session.path, "--device", "cpu", "--out")
    assert lab(*command, tmp_path / "a.csv").code == 0
    monkeypatch.setattr(infer.model.autotune, "_rates", rates_of(100, 120, 150))
    ran = lab(*command, tmp_path / "b.csv", "--tune")
    assert ran.code == 0, ran.err
    assert "from now on this model runs here with allow_spinning=0, divide_batches=0" in ran.out
    assert "with options that --tune chose" in lab(*command, tmp_path / "c.csv").out
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes() == (tmp_path / "c.csv").read_bytes()
