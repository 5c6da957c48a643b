"""bench/long_run.py tells growth after the first minute from what a process holds from its start."""

from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def long_run(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "bench")
    import long_run

    monkeypatch.setattr(long_run, "EVERY", 0.0)
    return long_run


def test_the_most_that_was_held_later_is_compared_with_the_first_minute(
    long_run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = iter([(50.0, 9, 4), (100.0, 10, 4), (150.0, 10, 5), (120.0, 12, 4)])
    busy = iter([0.0, 30.0, 61.0])  # at the start, and at each line until it is settled
    monkeypatch.setattr(long_run, "state", lambda: long_run.State(*next(held)))
    monkeypatch.setattr(long_run.time, "process_time", lambda: next(busy))
    watch = long_run.Watch()
    for count in range(4):
        watch.look(count)
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert watch.summary().endswith("memory +50.0 MB, descriptors +2, threads +1")


def test_a_short_run_says_nothing_of_growth(long_run: ModuleType) -> None:
    watch = long_run.Watch()
    watch.look(0)
    assert watch.summary() == "it ended within its first minute on the processor"


def test_what_this_process_holds_is_counted(long_run: ModuleType) -> None:
    before = long_run.state()
    with Path(__file__).open():
        assert long_run.state().descriptors == before.descriptors + 1
    assert before.threads >= 1
    assert before.megabytes > 10
