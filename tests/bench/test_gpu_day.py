"""A day on a GPU: every step runs on the CPU in small, and the runner keeps what was measured whatever happens."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import torch
from helpers.idle_day import exhausts, network_rows

ROOT = Path(__file__).parents[2]
AS_COMMANDS = ("doctor", "tests", "path")
"""Steps that start other programs."""


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "bench")
    import gpu_day

    return gpu_day


def rows_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


@pytest.mark.long
def test_every_step_measures_in_small_what_its_table_needs(
    day: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    setting = day.Setting(tmp_path, dry_run=True)
    try:
        rows = {
            step.name: list(step.measure(setting))
            for step in day.STEPS
            if step.name not in (*AS_COMMANDS, "memory")  # which limits its process's memory
        }
    finally:
        torch.compiler.set_stance("default")  # a dry run compiles nothing
    assert {name for name, found in rows.items() if not found} == {"resnet50", "resnet152"}  # left out of a dry run
    assert all("n" in row for found in rows.values() for row in found)
    assert [row["opset"] for row in rows["opsets"]][:10] == [*range(17, 27)][:10]
    assert all(row["opens"] and row["as expected"] for row in rows["opsets"])
    assert len({(row["use_tf32"], row["fuse_conv_bias"], row["prefer_nhwc"]) for row in rows["resnet18"]}) == 8
    assert all(row["images/s, two at once"] > 0 and row["first run, s"] > 0 for row in rows["resnet18"])
    assert {row["batch"] for row in rows["gate"]} == {1, 2, 4, 7}
    assert {row["precision"] for row in rows["gate"]} == {"fp32", "fp16"}
    assert not any(row["problem"] for row in rows["gate"] if row["precision"] == "fp32")
    assert [row.get("compiled") for row in rows["training-32"]] == [None, False, True]
    assert all(row["lab, warm"] > 0 and row["warm / bare"] > 0 for row in rows["training-32"][1:])
    assert [row["arithmetic"] for row in rows["validation"]] == ["fp32", "TF32", "bf16"]
    assert rows["validation"][0]["max diff from fp32"] == 0 < rows["validation"][2]["max diff from fp32"]
    for name in ("predict-cpu", "predict-gpu"):
        (row,) = rows[name]
        assert row["lab"] > 0
        assert row["bound"] < row["decode"]
    assert [row["sizes"] for row in rows["sizes"]] == [1, 4]
    assert [row["load hint"] for row in rows["load-hints"]] == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert all(row["images/s"] > 0 for row in rows["load-hints"])
    assert [row["subsampling"] for row in rows["decoders"]] == ["4:4:4", "4:2:2", "4:2:0", "grey"]
    assert all(row["mean level of 255"] < 1 for row in rows["decoders"])
    assert [row["batch"] for row in rows["graphs"]] == [1, 4, 16]
    assert all(row["max diff"] == 0 for row in rows["graphs"])
    run_memory_step(day, setting)


def run_memory_step(day: ModuleType, setting: object) -> None:
    """As a process of its own, as in a day, with the files that are there already."""
    (step,) = (step for step in day.STEPS if step.name == "memory")
    day.run_day([step], setting, 60, resume=False)
    row, end = rows_of(setting.work)
    assert end["status"] == "finished"
    assert "memory of CPUExecutionProvider is exhausted by 6000 images" in row["error"]
    assert "continuing with batches of" in row["pipeline"]
    assert row["max diff"] < 1e-5
    assert row["dry_run"] is end["dry_run"] is True
    assert row["machine"] == end["machine"]
    assert row["versions"]["torch"] != "?"


def test_on_a_gpu_all_combinations_of_options_are_known_to_its_row(day: ModuleType, tmp_path: Path) -> None:
    setting = day.Setting(tmp_path)
    assert (setting.provider.device, setting.device) == ("cuda", "cuda")
    combinations = day.gpu_networks.options_of(setting.provider)
    assert len({tuple(sorted(options.items())) for options in combinations}) == 8
    assert all(options.keys() == setting.provider.default_options("fp16").keys() for options in combinations)
    assert setting.sizes.networks == ("resnet18", "resnet50", "resnet152")


@pytest.mark.long
def test_onnx_runtimes_own_cuda_provider_takes_the_options_and_the_bound_pixels(
    day: ModuleType, idle_cuda: Callable, tmp_path: Path
) -> None:
    model = day.Setting(tmp_path, dry_run=True).model("resnet18", "fp16")
    rows, (error, is_known) = idle_cuda([partial(network_rows, tmp_path), partial(exhausts, model, 4096, 32, 8 << 20)])
    assert len(rows) == 8
    assert all(row["images/s"] > 0 and row["images/s, two at once"] > 0 for row in rows)
    assert is_known, error


def test_the_time_limits_fit_into_a_day_of_25_minutes(day: ModuleType) -> None:
    assert sum(step.seconds for step in day.STEPS) <= day.BUDGET == 25 * 60


def test_every_step_has_a_table_on_the_page(day: ModuleType) -> None:
    import gpu_tables

    shown = {gpu_tables.SAME_TABLE.get(step.name, step.name) for step in day.STEPS}
    assert shown - {"doctor"} == set(gpu_tables.TITLES)


SCRIPT = """
import sys, time
sys.path.insert(0, {bench!r})
import gpu_day
from gpu_day import Step

def good(setting):
    yield {{"images/s": 1.5, "n": 1}}

def slow(setting):
    yield {{"images/s": 2.5, "n": 1}}
    import subprocess
    subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"])

def bad(setting):
    yield {{"images/s": 3.5, "n": 1}}
    raise RuntimeError("the GPU fell off")

gpu_day.STEPS = (Step("bad", 30, bad), Step("slow", {limit}, slow), Step("good", 30, good))
gpu_day.__file__ = __file__
gpu_day.main()
"""


@pytest.fixture
def small_day(tmp_path: Path) -> Iterator[list[object]]:
    """A command that runs a day of three steps: one that fails, one that does not end, and a good one."""
    script = tmp_path / "day.py"
    script.write_text(SCRIPT.format(bench=str(ROOT / "bench"), limit=6))
    return [sys.executable, script, "--out", tmp_path / "out", "--dry-run"]


@pytest.mark.long
def test_a_step_that_fails_or_does_not_end_leaves_its_rows_and_a_line_and_the_day_goes_on(
    small_day: list[object], tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.monotonic()
    subprocess.run([*small_day, "--budget", "300"], env=environment, check=True, timeout=120)
    assert time.monotonic() - start < 60
    rows = rows_of(tmp_path / "out")
    assert [(row["step"], row.get("status", row.get("images/s"))) for row in rows] == [
        ("bad", 3.5),
        ("bad", "failed"),
        ("slow", 2.5),
        ("slow", "out of time"),
        ("good", 1.5),
        ("good", "finished"),
    ]
    assert rows[1]["output"][-1] == "RuntimeError: the GPU fell off"
    assert rows[3]["reason"] == "ended after 6 s"
    assert all(row["dry_run"] is True and row["machine"] and row["versions"] for row in rows)

    subprocess.run([*small_day, "--resume", "--budget", "1"], env=environment, check=True, timeout=60)
    again = rows_of(tmp_path / "out")[len(rows) :]
    assert [(row["step"], row["status"]) for row in again] == [("bad", "not run"), ("slow", "not run")]


def test_a_line_that_was_cut_off_does_not_spoil_the_next(day: ModuleType, tmp_path: Path) -> None:
    setting = day.Setting(tmp_path, dry_run=True)
    (tmp_path / "results.jsonl").write_text('{"step": "a", "n": 1}\n{"step": "b", "n"')
    day.append(setting, {"step": "c"})
    day.append(setting, {"step": "d"})
    assert [row["step"] for row in day.read(tmp_path / "results.jsonl")] == ["a", "c", "d"]


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_dry_run_and_a_day_on_a_gpu_do_not_share_a_folder(day: ModuleType, tmp_path: Path, dry_run: bool) -> None:
    day.append(day.Setting(tmp_path, not dry_run), {"step": "doctor", "dry_run": not dry_run})
    with pytest.raises(SystemExit, match="give another folder"):
        day.run_day(day.STEPS[:1], day.Setting(tmp_path, dry_run), 0, resume=True)


def test_without_a_gpu_only_a_dry_run_starts(day: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day, "find_problem", lambda: "no NVIDIA driver is installed")
    monkeypatch.setattr(sys, "argv", ["gpu_day.py", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="no NVIDIA driver is installed; --dry-run"):
        day.main()
    assert not (tmp_path / "out").exists()


def test_a_steps_process_finds_packages_on_pythonpath_first_and_sees_no_gpu_in_a_dry_run(
    day: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"/tmp/site{os.pathsep}.")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    real, dry = (day.environment(day.Setting(tmp_path, dry_run)) for dry_run in (False, True))
    assert real["PYTHONPATH"].split(os.pathsep) == ["/tmp/site", os.getcwd(), str(ROOT)]
    assert (real["CUDA_VISIBLE_DEVICES"], dry["CUDA_VISIBLE_DEVICES"]) == ("0", "")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("...\n12 passed, 2 skipped, 1900 deselected in 50.1s\n", (12, 0, 0, 2, "")),
        ("FAILED tests/a.py::b - x\n1 failed, 11 passed in 3s\n", (11, 1, 0, 0, "FAILED tests/a.py::b - x")),
        ("ERROR tests/c.py\n2 errors in 0.1s\n", (0, 0, 2, 0, "ERROR tests/c.py")),
    ],
)
def test_the_tests_result_is_read_from_pytests_last_lines(day: ModuleType, output: str, expected: tuple) -> None:
    row = day.gpu_steps.test_counts(output)
    assert tuple(row[name] for name in ("passed", "failed", "error", "skipped", "problem")) == expected


def test_tests_of_which_pytest_says_nothing_are_no_result(day: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="no summary"):
        day.gpu_steps.test_counts("ss\n")
