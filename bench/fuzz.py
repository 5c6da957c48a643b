"""Mutated inputs of each kind that lab reads from outside, and how it ends: read, refused in one line, or broken.

    python bench/fuzz.py DIR [--inputs 10000] [--kind zip truth] [--seed 0] [--share 10]

Each input is a valid file that a seeded mutator has changed: bytes flipped, cut, repeated, exchanged; cells, columns,
JSON and TOML values replaced; fields of protobuf, entries of zip and tar files, chunks of PNG changed with checksums
that hold. Most are given to the function that reads their kind, and one in some to the whole command, in child
processes that may take 10 s of processor time and 2 GB of memory more than at their start.

    read      the input was used; of a command, exit code 0
    refused   one line of error, exit code 1 or 2 (3 of lab reproduce)
    broken    anything else: an exception that is no LabError, other lines on standard error, a signal, too long
    slowest   seconds of processor time; most memory: what a process grew by at most

What broke is listed by where in lab it did; how often; and, with --indices, which inputs did it. Needs what the
tests need, and Linux.
"""
# ruff: noqa: E402  # the imports below need the path

import argparse
import functools
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from machine import installed, machine

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT))

import pytest
import torch
import typer.main
from fuzz_data import Setting, archive_kinds, data_kinds, image_kinds, prediction_tables
from fuzz_kept import kept_kinds
from fuzz_model import checkpoint_kinds, model_kinds, progress_kind, record_kinds
from fuzz_run import BROKEN, READ, REFUSED, Kind, Outcome, attempts
from helpers.exports import reuse_exports
from helpers.networks import FULL_SIZE, small_resnet

import cli
from infer.model import openvino_runtime
from trainer.data.synthetic import make_set
from trainer.model.architectures import ARCHITECTURES

SMALL = ("--epochs", "2", "--batch-size", "8", "--image-size", "32", "--device", "cpu")


def kinds(setting: Setting) -> list[Kind]:
    """All kinds of inputs."""
    found = [*image_kinds(setting), *archive_kinds(setting), *prediction_tables(setting), *data_kinds(setting)]
    return [
        *found,
        *model_kinds(setting),
        *checkpoint_kinds(setting),
        progress_kind(setting),
        *record_kinds(setting),
        *kept_kinds(setting),
    ]


def make_setting(base: Path) -> Setting:
    """Make a data set, and train and export a small network on it, or take those that are there."""
    cells, runs = base / "cells", base / "runs"
    if not (runs / "made").is_file():
        make_set(cells, {"train": 24, "valid": 12, "test": 12})
        cli.app(["train", "resnet18", "--data", str(cells), *SMALL, "--out", str(runs)], standalone_mode=False)
        (run,) = runs.iterdir()
        cli.app(["export", str(run), "--opset", "17", "--device", "cpu"], standalone_mode=False)
        (runs / "made").touch()
    run = next(path for path in runs.iterdir() if path.is_dir())
    setting = Setting(base, cells, run, run / "model.onnx")
    setting.folder("out")
    return setting


def prepare(base: Path) -> None:
    """Make commands fast: small networks, one thread, graphs and parsers made once; a cache of the script's own."""
    os.environ["LAB_CACHE"] = str(base / "cache")
    torch.set_num_threads(1)
    patch = pytest.MonkeyPatch()
    for name, architecture in FULL_SIZE.items():
        patch.setitem(ARCHITECTURES, name, replace(architecture, build=partial(small_resnet, name)))
    base.mkdir(parents=True, exist_ok=True)
    reuse_exports(patch, base / "graphs")
    patch.setattr(openvino_runtime, "find_problem", lambda: "openvino is not used here")
    patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))


def require_read(kind: Kind) -> None:
    """Raise AssertionError unless the files that are changed are read as they are."""
    plain = replace(kind, mutators=[lambda _, content: content])
    ends = {
        outcome.what or outcome.state
        for outcome in attempts([(plain, index) for index in range(4 * len(kind.seeds))], 0)
    }
    assert ends == {READ}, f"{kind.name}: {ends}"


def show(kind: Kind, outcomes: Sequence[Outcome], indices: bool) -> None:
    """Print a row of the table, and what broke."""
    states = Counter(outcome.state for outcome in outcomes)
    codes = Counter(outcome.code for outcome in outcomes if outcome.state == REFUSED)
    figures = (
        *(len(outcomes), sum(outcome.whole for outcome in outcomes), states[READ], states[REFUSED], states[BROKEN]),
        ", ".join(f"{code}: {count}" for code, count in sorted(codes.items())),
        f"{max(outcome.seconds for outcome in outcomes):.2f} s",
        f"{max(outcome.megabytes for outcome in outcomes):.0f} MB",
    )
    print(f"| {kind.name} | " + " | ".join(map(str, figures)) + " |", flush=True)
    broken = defaultdict[str, list[int]](list)
    for outcome in outcomes:
        if outcome.state == BROKEN:
            broken[outcome.what].append(outcome.index)
    for what, inputs in sorted(broken.items(), key=lambda item: -len(item[1])):
        print(f"    {len(inputs)} x {what}" + (f": {inputs[:8]}" if indices else ""), flush=True)


def main() -> None:
    """Mutate, run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--inputs", type=int, default=10_000, help="of each kind")
    parser.add_argument("--kind", nargs="+", help="all without it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=int, help="one input in so many goes through the command, where there is one")
    parser.add_argument("--indices", action="store_true", help="print which inputs broke something")
    options = parser.parse_args()
    base = options.folder.resolve()
    prepare(base)
    known = kinds(make_setting(base))
    if unknown := set(options.kind or ()) - {kind.name for kind in known}:
        parser.error(f"unknown: {unknown}; there are {', '.join(kind.name for kind in known)}")
    versions = ", ".join(f"{name} {installed(name)}" for name in ("pillow", "torch", "onnxruntime-gpu"))
    print(f"{machine()}, {versions}, seed {options.seed}\n")
    print("| kind | inputs | commands | read | refused | broken | exit codes | slowest | most memory |")
    print("|---|---|---|---|---|---|---|---|---|")
    start = time.monotonic()
    for kind in known:
        if not options.kind or kind.name in options.kind:
            require_read(kind)
            chosen = replace(kind, share=options.share or kind.share)
            inputs = [(chosen, index) for index in range(options.inputs)]
            show(chosen, list(attempts(inputs, options.seed)), options.indices)
    print(f"\n{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
