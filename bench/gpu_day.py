"""All that docs/performance.md wants to know of a GPU, in 25 minutes of a machine that may be taken away.

    python bench/gpu_day.py --out DIR [--budget SECONDS] [--resume] [--only STEP...]
    python bench/gpu_day.py --out DIR --dry-run                         the same on the CPU, with tiny sizes, in minutes
    python bench/gpu_day.py --render DIR/results.jsonl                  write the tables of docs/performance.md

Each step is a process of its own with a time limit. What it measures is appended to DIR/results.jsonl at once, with
the machine, versions and n; a step that fails or runs out of time leaves a line that says so, its output in
DIR/STEP.log, and the day goes on. DIR keeps models and images, so that a second call with --resume begins where the
first ended. ONNX Runtime may lie in a folder on PYTHONPATH.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import gpu_networks
import gpu_steps
from gpu_setting import ROOT, Measure, Row, Setting
from gpu_tables import read, render
from machine import installed, machine

from infer.model.cuda import find_problem
from infer.model.onnx_session import runtime_version

PACKAGES = ("torch", "torchvision", "onnx", "numpy", "pillow", "nvidia-nvimgcodec-cu13", "triton")
BUDGET = 1500.0
"""Seconds of a whole day."""
LAST_LINES = 20
"""Lines of a failed step's output that its line in the results holds."""


@dataclass(frozen=True)
class Step:
    """A part of the day."""

    name: str
    seconds: float
    """After which it is ended."""
    measure: Measure


STEPS = (
    Step("doctor", 30, gpu_steps.doctor),
    Step("tests", 140, gpu_steps.tests),
    Step("opsets", 60, gpu_networks.opsets),
    Step("resnet18", 70, partial(gpu_networks.network_alone, architecture="resnet18")),
    Step("resnet50", 90, partial(gpu_networks.network_alone, architecture="resnet50")),
    Step("resnet152", 130, partial(gpu_networks.network_alone, architecture="resnet152")),
    Step("gate", 80, gpu_networks.gate),
    Step("training-256", 150, partial(gpu_steps.training, batch=256)),
    Step("training-64", 110, partial(gpu_steps.training, batch=64)),
    Step("training-32", 100, partial(gpu_steps.training, batch=32)),
    Step("validation", 40, gpu_steps.validation),
    Step("predict-gpu", 90, partial(gpu_steps.predictions, decode="gpu")),
    Step("predict-cpu", 90, partial(gpu_steps.predictions, decode="cpu")),
    Step("sizes", 50, gpu_steps.image_sizes),
    Step("load-hints", 50, gpu_steps.load_hints),
    Step("decoders", 40, gpu_steps.decoders),
    Step("path", 100, gpu_steps.whole_path),
    Step("graphs", 40, gpu_networks.graphs),
    Step("memory", 40, gpu_networks.exhausted_memory),
)


def main() -> None:
    """Parse; measure, or render."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [step.name for step in STEPS]
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="STEP", help=", ".join(names))
    parser.add_argument("--resume", action="store_true", help="skip the steps that the results hold already")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds; steps that no longer fit are not run")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--render", type=Path, metavar="RESULTS")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md", help="the page to render to")
    parser.add_argument("--step", nargs=2, metavar=("STEP", "STARTED"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.render:
        print(render(args.render, args.page))
        return
    if not args.out:
        parser.error("--out or --render is required")
    setting = Setting(args.out.resolve(), args.dry_run)
    if args.step:
        (step,) = (step for step in STEPS if step.name == args.step[0])
        measure(step, setting, args.step[1])
        return
    if not args.dry_run and (problem := find_problem()):
        sys.exit(f"no GPU to measure: {problem}; --dry-run does all of it on the CPU")
    run_day([step for step in STEPS if step.name in args.only], setting, args.budget, args.resume)


def run_day(steps: Sequence[Step], setting: Setting, budget: float, resume: bool) -> None:
    """Run the steps, each in a process of its own, and append how each ended to the results."""
    setting.work.mkdir(parents=True, exist_ok=True)
    rows = read(results_file(setting)) if results_file(setting).exists() else []
    if any(row["dry_run"] is not setting.dry_run for row in rows):
        sys.exit(f"{setting.work} is of {'a GPU' if setting.dry_run else 'a dry run'}; give another folder with --out")
    finished = {row["step"] for row in rows if row.get("status") == "finished"} if resume else set()
    end = time.monotonic() + budget
    for step in steps:
        if step.name in finished:
            continue
        left, started = end - time.monotonic(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if step.seconds > left:
            reason = f"{left:.0f} of {budget:.0f} s are left, it may take {step.seconds:g}"
            found: Row = {"status": "not run", "reason": reason}
        else:
            found = run_step(step, setting, started)
        append(setting, {**header(step, setting, started), **found})
        print(f"{step.name}: {found['status']}, {found.get('seconds', 0):.1f} s", flush=True)


def run_step(step: Step, setting: Setting, started: str) -> Row:
    """Run a step in a process of its own: how it ended, and after how many seconds."""
    command = [sys.executable, Path(__file__).resolve(), "--out", setting.work, "--step", step.name, started]
    command += ["--dry-run"] if setting.dry_run else []
    log = setting.work / f"{step.name}.log"
    start = time.perf_counter()
    with log.open("wb") as output, process_group(command, environment(setting), output.fileno()) as child:
        try:
            code: int | None = child.wait(step.seconds)
        except subprocess.TimeoutExpired:
            code = None
    row: Row = {"seconds": time.perf_counter() - start}
    if code == 0:
        return {"status": "finished", **row}
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
    reason = f"ended after {step.seconds:g} s" if code is None else f"ended with {code}"
    return {"status": "out of time" if code is None else "failed", **row, "reason": reason, "output": lines}


@contextlib.contextmanager
def process_group(
    command: Sequence[object], variables: dict[str, str], output: int
) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output goes to a file; at the end it and all that it has started are gone."""
    child = subprocess.Popen(
        list(map(str, command)), cwd=ROOT, env=variables, stdout=output, stderr=output, start_new_session=True
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def environment(setting: Setting) -> dict[str, str]:
    """The variables of a step's process: lab is importable, its cache is the day's own, a dry run sees no GPU."""
    folders = [os.path.abspath(item) for item in os.environ.get("PYTHONPATH", "").split(os.pathsep) if item]
    own = {
        "PYTHONPATH": os.pathsep.join([*folders, str(ROOT)]),
        "PYTHONUTF8": "1",
        "LAB_CACHE": str(setting.work / "cache"),
    }
    dry = (
        {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"} if setting.dry_run else {}
    )  # tiny work, perhaps few cores
    return {**os.environ, **own, **dry}


def measure(step: Step, setting: Setting, started: str) -> None:
    """Append each row of a step to the results as soon as it is measured."""
    first = header(step, setting, started)
    for row in step.measure(setting):
        append(setting, {**first, **row})


def header(step: Step, setting: Setting, started: str) -> Row:
    """What every line of the results carries."""
    versions = {name: installed(name) for name in PACKAGES} | {"onnxruntime": runtime_version()}
    origin = {"dry_run": setting.dry_run, "machine": machine(), "versions": versions}
    return {"step": step.name, "started": started, **origin}


def append(setting: Setting, row: Row) -> None:
    """Append a line to the results; it is on disk when this returns."""
    with results_file(setting).open("ab+") as file:
        if file.tell() and not _ends_a_line(file):
            file.write(b"\n")  # the line before was cut off
        file.write(json.dumps(row).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _ends_a_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def results_file(setting: Setting) -> Path:
    """Where the results are."""
    return setting.work / "results.jsonl"


if __name__ == "__main__":
    main()
