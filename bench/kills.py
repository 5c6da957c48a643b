"""Kills small commands at each change to their files and at random moments, runs them again, and compares the results.

    python bench/kills.py DIR [--kills 1000] [--command predict train compare web] [--seed 0]

Half of the kills of a command strike before one of its changes to files (see steps.py), spread over all of them; the
others at random moments. After each:

    whole     the files of each set (the CSV with list and probabilities, the report, the split, the model) are the old
              ones or the new ones, after what the next reader of the set does; all checkpoints of a run can be read
    left      hidden files that the kill left (locks in the cache are not counted), deleted by the next command
    same      the command, run again (train: resumed, where an epoch was finished), gives the undisturbed result: bytes
              of CSVs and reports, weights, all bytes of an exported file before its evidence
    litter    hidden files and locks that are there after that

Standard error gets the counts so far after every tenth kill, so that a run that is stopped has its figures too.

Commands run in children of this process that share its imports; networks are small. Needs what the tests need.
"""
# ruff: noqa: E402, F401  # the imports below need the path, and are made once for all children

import argparse
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from machine import installed, machine
from steps import Step, steps

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT))

import pytest
import torch
from helpers.exports import reuse_exports
from helpers.faults import contents, hidden
from helpers.networks import FULL_SIZE, small_resnet
from safetensors.numpy import load_file

import cli
import exporter.deploy
import exporter.export
import infer.dataset.check
import infer.pipeline.resume
import infer.predict
import infer.reports.compare
import infer.reports.report
import trainer.preview
import trainer.train
from infer.core.errors import LabError
from infer.core.file_sets import finish_interrupted
from infer.dataset.rows import SPLIT_FILES
from infer.model.evidence import read_evidence
from infer.model.runs import CHECKPOINT, SNAPSHOT
from infer.reports.files import REPORT_JSON, report_files
from trainer.data.synthetic import make_set
from trainer.model.architectures import ARCHITECTURES
from trainer.run.snapshot import load_snapshot

SMALL = ("--epochs", "2", "--batch-size", "8", "--image-size", "32", "--device", "cpu")
LONGEST = 600.0
"""Seconds after which a command counts as hung, also on a machine that does other work for minutes."""
COMMANDS = ("predict", "train", "export", "split", "compare", "check", "preview", "web", "triton")
COLUMNS = ("steps", "killed", "whole", "left", "same", "litter")


@dataclass(frozen=True)
class Case:
    """A command to kill."""

    name: str
    command: Callable[[], list[str]]
    """Its arguments; those that resume it, where it has something to resume."""
    prepare: Callable[[], None]
    """Brings its folders into the state before it."""
    result: Callable[[], tuple[object, ...]]
    """What each set of its files holds. Raises LabError where one is damaged."""
    folders: Sequence[Path]


def in_child(work: Callable[[], None], kill_after: float = LONGEST) -> int:
    """Run in a child process, which is killed after some seconds; its status, as of `os.waitpid`."""
    child = os.fork()
    if not child:
        code = 99
        try:
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (1, 2):
                os.dup2(null, descriptor)
            torch.set_num_threads(1)
            work()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            os._exit(code)
    deadline = time.monotonic() + kill_after
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            return os.waitpid(child, 0)[1]
        time.sleep(0.001)


class Killer:
    """Ends this process at a step, counted from 0; without one it counts them, in a file."""

    def __init__(self, number: int, counts: Path) -> None:
        self.number, self.count, self.counts = number, 0, counts

    def __call__(self, step: Step) -> None:
        if self.count == self.number:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1

    def run(self, case: Case) -> None:
        """Run the command, with a progress file that is written at every batch."""
        infer.pipeline.resume.INTERVAL = 0.0
        try:
            with steps(case.folders, self):
                cli.main(case.command())
        finally:
            self.counts.write_text(str(self.count))


def measure(case: Case, folder: Path, kills: int, rng: random.Random) -> dict[str, int]:
    """Kill a command so often; count what is there afterwards, and after another run."""
    counts = folder / "count"
    case.prepare()
    old, start = case.result(), time.monotonic()
    assert in_child(partial(Killer(-1, counts).run, case)) == 0, f"{case.name} fails undisturbed"
    seconds, new = time.monotonic() - start, case.result()
    total = int(counts.read_text())
    seen = Counter({"steps": total})
    for turn in range(kills):
        case.prepare()
        if turn % 2 == 0:
            at = turn * total // kills if kills < total else turn // 2 % total
            status = in_child(partial(Killer(at, counts).run, case))
        else:
            status = in_child(partial(Killer(-1, counts).run, case), rng.uniform(0, seconds))
        seen["killed"] += status == signal.SIGKILL
        seen["left"] += sum(not name.endswith(".lock") for name in hidden(case.folders))
        try:
            sets = zip(case.result(), old, new, strict=True)
            found = readable(case.folders[0]) if case.name == "train" else all(now in either for now, *either in sets)
            seen["whole"] += found
        except LabError as error:
            print(f"{case.name}, turn {turn}: {error}", flush=True)
        status = in_child(partial(Killer(-1, counts).run, case))
        seen["same"] += status == 0 and case.result() == new
        seen["litter"] += len(hidden(case.folders))
        if status or case.result() != new:
            print(f"{case.name}, turn {turn}: status {status}, another result", flush=True)
        if turn % 10 == 9:
            print(table_row(case.name, seen), file=sys.stderr, flush=True)
    return dict(seen)


def table_row(name: str, seen: Mapping[str, int]) -> str:
    """What was counted for a command, as a row of the table."""
    return f"| {name} | " + " | ".join(str(seen.get(column, 0)) for column in COLUMNS) + " |"


def readable(runs: Path) -> bool:
    """Whether all checkpoints of the runs can be read."""
    try:
        for run in runs.iterdir():
            if (run / SNAPSHOT).exists():
                load_snapshot(run)
            if (run / CHECKPOINT).exists():
                load_file(run / CHECKPOINT)
    except (LabError, OSError, ValueError):
        return False
    return True


def emptied(folder: Path) -> Path:
    """An empty folder of this name."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def cases(base: Path, cells: Path, model: Path, cache: Path) -> list[Case]:
    """The commands, with what they replace."""
    out, runs = base / "out", base / "out-runs"
    predict = ["predict", str(cells / "test"), "--model", str(model), "-b", "4", "--no-sample", "--no-pictures"]
    predict += ["--truth", str(cells / "test_labels.csv"), "--out", str(out / "s.csv")]
    predict += ["--probabilities", str(out / "p.parquet")]
    split = ["data", "split", str(cells), "--out", str(out), "--force"]
    export = ["export", str(model.parent), "--opset", "17", "--device", "cpu", "--out", str(out / "model.onnx")]
    new_run = ["train", "resnet18", "--data", str(cells), *SMALL, "--out", str(runs)]

    def with_old(*files: str) -> None:
        emptied(out)
        for name in files:
            (out / name).parent.mkdir(exist_ok=True)
            (out / name).write_text("Path,label\n")

    def predict_result() -> tuple[object, ...]:
        finish_interrupted(out / "s.csv", ("s.csv", "s.bad.csv", "s.prediction.json", "p.parquet"))
        finish_interrupted(out / "s.report" / REPORT_JSON, report_files())  # as any command that reads it
        files = visible(out)
        return tuple({name: text for name, text in files.items() if ("/" in name) == below} for below in (False, True))

    def split_result() -> tuple[object, ...]:
        finish_interrupted(out / SPLIT_FILES[0], SPLIT_FILES)  # as any command that reads them
        return (visible(out),)

    def export_result() -> tuple[object, ...]:
        evidence = read_evidence(out / "model.onnx") if (out / "model.onnx").stat().st_size > 99 else None
        return ((evidence.intact, evidence.content["sha256_before"]) if evidence else visible(out)["model.onnx"],)

    def start_training() -> None:
        emptied(runs)
        emptied(cache)

    def train() -> list[str]:
        resumable = sorted(runs.glob(f"*/{SNAPSHOT}"))
        return ["train", "--resume", str(resumable[-1].parent), "--device", "cpu"] if resumable else new_run

    def weights() -> tuple[object, ...]:
        finished = sorted(runs.glob(f"*/{CHECKPOINT}"))
        return ({key: value.tobytes() for key, value in load_file(finished[-1]).items()} if finished else None,)

    old = ("s.csv", "s.bad.csv", "s.report/report.json", "s.report/confusion.png")
    return [
        Case("predict", lambda: predict, lambda: with_old(*old), predict_result, (out, cache)),
        Case("train", train, start_training, weights, (runs, cache)),
        Case("export", lambda: export, lambda: with_old("model.onnx"), export_result, (out, cache)),
        Case("split", lambda: split, lambda: with_old(*SPLIT_FILES), split_result, (out, cache)),
        *other_cases(base, cells, model, cache),
    ]


def other_cases(base: Path, cells: Path, model: Path, cache: Path) -> list[Case]:
    """Commands that write pictures, or a folder that nothing replaces."""
    out, report = base / "out-other", model.parent / "report"
    second = shutil.copytree(report, base / "second.report", dirs_exist_ok=True)
    compared = ("confusions.png", "confusions.svg", "disagreements.csv")
    checked = ("data-check.json", "data-check.html", "exclude.csv")
    sheets = ("0-0.png", "1-1.png")
    drawn = ["--image-size", "32", "--per-class", "2", "--draws", "2"]
    commands = {
        "compare": ["compare", str(report), str(second)],
        "check": ["data", "check", str(cells)],
        "preview": ["data", "preview", str(cells), *drawn],
    }

    def with_old(*files: str) -> None:
        emptied(out)
        for name in files:
            (out / name).write_text("old")

    def set_of(*names: str) -> tuple[object, ...]:
        finish_interrupted(out / names[0], names)  # as the next command that writes them
        return (visible(out),)

    def each_sheet() -> tuple[object, ...]:
        return tuple(visible(out).get(name) for name in sheets)

    def folder(option: str) -> list[str]:
        shutil.rmtree(out / "folder", ignore_errors=True)  # one that is finished is not replaced
        return ["export", str(model), option, str(out / "folder")]

    results: dict[str, tuple[tuple[str, ...], Callable[[], tuple[object, ...]]]] = {
        "compare": (compared, partial(set_of, *compared)),
        "check": (checked, partial(set_of, *checked)),
        "preview": (sheets, each_sheet),
    }
    written = [
        Case(name, partial(list, [*commands[name], "--out", str(out)]), partial(with_old, *old), result, (out, cache))
        for name, (old, result) in results.items()
    ]
    folders = [
        Case(option[2:], partial(folder, option), with_old, lambda: (visible(out),), (out, cache))
        for option in ("--web", "--triton")
    ]
    return [*written, *folders]


def visible(folder: Path) -> dict[str, bytes]:
    """The files that a user sees, which are not in a folder in the making either."""
    files = contents(folder).items()
    return {name: content for name, content in files if not any(part.startswith(".") for part in Path(name).parts)}


def main() -> None:
    """Make a data set, a run and its exported file, kill the commands, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=1000, help="of all commands together")
    parser.add_argument("--command", nargs="+", choices=COMMANDS, default=COMMANDS[:4])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    base = emptied(options.folder.resolve())
    os.environ["LAB_CACHE"] = str(emptied(base / "cache"))
    patch = pytest.MonkeyPatch()
    for name, architecture in FULL_SIZE.items():
        patch.setitem(ARCHITECTURES, name, replace(architecture, build=partial(small_resnet, name)))
    reuse_exports(patch, base / "graphs")
    in_child(lambda: make_set(base / "cells", {"train": 24, "valid": 12, "test": 12}))
    commands = (["train", "resnet18", "--data", str(base / "cells"), *SMALL, "--out", str(base / "runs")],)
    assert all(in_child(partial(cli.main, command)) == 0 for command in commands)
    run = next((base / "runs").iterdir())
    assert in_child(partial(cli.main, ["export", str(run), "--opset", "17", "--device", "cpu"])) == 0
    rng, start = random.Random(options.seed), time.monotonic()
    print(f"{machine()}, torch {installed('torch')}, onnxruntime {installed('onnxruntime-gpu')}, seed {options.seed}\n")
    print("| command | steps | kills | whole | left by kills | same result | litter |\n|---|---|---|---|---|---|---|")
    for case in cases(base, base / "cells", run / "model.onnx", base / "cache"):
        if case.name in options.command:
            seen = measure(case, base, options.kills // len(options.command), rng)
            print(table_row(case.name, seen), flush=True)
    print(f"\n{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
