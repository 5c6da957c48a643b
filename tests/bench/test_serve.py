"""The load beyond what `lab serve` can carry is a multiple of what the same server, with the same options, reaches."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = ["python", "-m", "cli", "serve", "model.onnx", "--max-queue", "4"]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "bench")
    import serve

    return serve


@pytest.mark.parametrize(
    ("reached", "rates", "unloaded", "verdict"),
    [
        (20, [2.0, 30.0], 0.05, "p99 at 3 times: 100 ms, below 105 ms"),
        (7, [0.7, 10.5], 0.04, "100 ms, NOT below 85 ms"),
    ],
)
def test_the_rates_are_multiples_of_what_the_server_with_these_options_reaches(
    bench: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reached: int,
    rates: list[float],
    unloaded: float,
    verdict: str,
) -> None:
    started: list[list[str]] = []
    asked: list[float] = []

    @contextlib.contextmanager
    def running(command: list[str]) -> Iterator[tuple[int, int]]:
        started.append(command)
        yield 1, os.getpid()

    def closed_loop(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> object:
        return bench.Load(seconds=2.0, answered=[0.1] * reached if clients == 4 else [unloaded])

    def open_loop(port: int, requests: Sequence[bytes], rate: float, seconds: float) -> object:
        asked.append(rate)
        return bench.Load(seconds=2.0, answered=[0.1], refused=[0.002] * 3, processor=0.5)

    for function in (running, closed_loop, open_loop):
        monkeypatch.setattr(bench, function.__name__, function)
    bench.print_open(COMMAND, [b""], 4, 2.0)
    assert started == [COMMAND]
    assert asked == pytest.approx(rates)
    *lines, last = capsys.readouterr().out.splitlines()[-5:]
    assert verdict in last
    _, *rows = (line.split(" | ") for line in lines)
    assert lines[0].startswith("| 1 client | ")
    assert [row[0] for row in rows] == ["| 4 clients", "| 0.2 times", "| 3 times"]
    assert rows[0][2] == f"{reached / 2:.1f}"
    assert rows[2][1:3] == ["2.0", "0.5"]
    assert rows[2][5:9] == ["75%", "2 ms", "0", "25% of a core"]
