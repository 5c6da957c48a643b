"""Training speed: images/s of lab's real path beside the bare step, and beside what people run instead.

    python bench/train.py [--data DIR] [--arch resnet18 resnet50 resnet152] [--batch-size 256] [--image-size 224]

`bare step` is forward, backward and optimizer on one batch that lies on the device, without augmentation, in the same
process. `lab, warm` is an epoch of `lab train` (recipe lab: rotation, flips) from the cache; `with validation` is that
and the look at the validation images. `lab, cold` also decodes all files first. Medians of interleaved rounds. Without
--data it draws synthetic cells. Images are linked --repeat times, so that an epoch is long enough to time; all rows
read the same files. Peers (bench/peers.py) run one warm epoch of at most --peer-steps batches.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from machine import installed, machine
from peers import lab_report_loop, timm_loop
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from infer.core.console import Screen
from infer.dataset.source import read_table
from infer.dataset.stratify import with_validation
from infer.dataset.table import TEST, TRAIN, Table
from trainer.config import ResolvedConfig
from trainer.data.cache import load_canvases
from trainer.data.synthetic import make_set
from trainer.model.network import build_network
from trainer.recipe import apply_recipe, load_recipe
from trainer.run.loop import Trainer
from trainer.run.setup import make_card, pick_device, stage_spec

QUIET = Screen(Console(quiet=True))
Rows = dict[str, float]


def main() -> None:
    """Measure every architecture and print a table of images/s."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--repeat", type=int, default=1, help="how often each training image is linked")
    parser.add_argument("--arch", nargs="+", default=["resnet18", "resnet50", "resnet152"])
    parser.add_argument("--batch-size", type=int, nargs="+", default=[256], help="one, or one for each --arch")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--precision", default="auto", choices=["auto", "fp32", "bf16"], help="of lab and the bare step"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a bare step's measurement")
    parser.add_argument("--compile", action="store_true", help="measure compiled steps too")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="of the peers' loaders")
    parser.add_argument("--peer-steps", type=int, default=20)
    parser.add_argument("--no-peers", action="store_true", help="measure lab alone")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    device = pick_device(args.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    packages = ", ".join(f"{package} {installed(package)}" for package in ("torch", "torchvision", "timm", "pillow"))
    print(f"{machine()}\n{name}, {packages}; {args.image_size} px, medians of {args.rounds} rounds", flush=True)
    results: dict[str, Rows] = {}
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["LAB_CACHE"] = str(Path(scratch) / "cache")
        table = linked(source(args.data, Path(scratch)), Path(scratch) / "links", args.repeat)
        sizes = args.batch_size * len(args.arch) if len(args.batch_size) == 1 else args.batch_size
        for arch, size in zip(args.arch, sizes, strict=True):
            options = {
                "image_size": args.image_size,
                "batch_size": size,
                "device": device.type,
                "precision": args.precision,
            }
            settings = apply_recipe(arch, load_recipe("lab"), options).resolved(device.type)[0]
            results[f"{arch}, batch {size}"] = {
                **lab_rows(settings, table, device, args),
                **({} if args.no_peers else peer_rows(settings, table, device, args)),
            }
            print(json.dumps({arch: results[f"{arch}, batch {size}"]}), flush=True)
    print(f"\n{sum(table.counts(TRAIN))} training images, images/s:\n\n{as_markdown(results)}")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


def source(data: Path | None, scratch: Path) -> Table:
    """The data set to read, or a synthetic one."""
    folder = data or scratch / "cells"
    if data is None:
        make_set(folder, {"train": 256, "valid": 32, "test": 2})
    table = with_validation(read_table(folder), 0)
    return table.take([row for row, split in enumerate(table.splits) if split != TEST])


def linked(table: Table, folder: Path, repeat: int) -> Table:
    """The table with every training image `repeat` times, under names of their own."""
    links = []
    for row, split in enumerate(table.splits):
        for copy in range(repeat if split == TRAIN else 1):
            file = Path(table.files()[row]).resolve()
            target = folder / split / table.classes[table.labels[row]].label / f"{row}-{copy}{file.suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(file)
            links.append(target)
    return read_table(folder)


def lab_rows(settings: ResolvedConfig, table: Table, device: torch.device, args: argparse.Namespace) -> Rows:
    """images/s of lab's rows, and shares of the bare step."""
    trainer, rows = open_trainer(settings, table, device)
    for compiled in (False, True) if args.compile else (False,):
        rows |= epoch_rows(trainer, compiled, args.rounds, args.seconds)
    return rows


def open_trainer(settings: ResolvedConfig, table: Table, device: torch.device) -> tuple[Trainer, Rows]:
    """A trainer whose images are in the cache and whose first epoch is over, and images/s on the way there."""
    spec, images = stage_spec(settings), sum(table.counts(TRAIN))
    clear_cache()
    start = time.perf_counter()
    canvases = load_canvases(table, spec, settings.workers, QUIET)
    decoding = time.perf_counter() - start
    network = build_network(make_card(settings, canvases))
    trainer = Trainer(settings, spec, canvases, network, device)
    trainer.run_epoch(1, ignore)
    cold = time.perf_counter() - start
    return trainer, {"decode and prepare": len(table) / decoding, "lab, cold": images / cold}


def epoch_rows(trainer: Trainer, compiled: bool, rounds: int, seconds: float) -> Rows:
    """images/s of the bare step and of warm epochs, in turns, and their ratios; eager, or compiled with its seconds."""
    size, how = trainer.settings.batch_size, ", compiled" if compiled else ""
    if compiled:
        torch.compiler.reset()
        trainer.compile()
    step = bare_step(trainer, compiled)
    start = time.perf_counter()
    step()
    step()
    bare_compiling = time.perf_counter() - start
    start = time.perf_counter()
    trainer.run_epoch(1, ignore)
    compiling = time.perf_counter() - start
    bare, warm, whole = [], [], []
    for _ in range(rounds):
        bare.append(timed(step, size, seconds, trainer.device))
        epoch = trainer.run_epoch(1, ignore)
        warm.append(epoch.images_per_second)
        whole.append(trainer.steps * size / epoch.seconds)
    rows = {
        f"bare step{how}": statistics.median(bare),
        f"lab, warm{how}": statistics.median(warm),
        f"lab, warm, with validation{how}": statistics.median(whole),
        f"warm / bare{how}": statistics.median(w / b for w, b in zip(warm, bare, strict=True)),
        f"with validation / bare{how}": statistics.median(w / b for w, b in zip(whole, bare, strict=True)),
    }
    if compiled:
        usual = statistics.median(trainer.steps * size / speed for speed in whole)
        rows |= {
            "seconds of compiling the step": compiling - usual,
            "seconds of compiling the bare step": bare_compiling,
        }
    return rows


def clear_cache() -> None:
    """Forget all decoded images."""
    for path in (Path(os.environ["LAB_CACHE"]) / "canvases").glob("*"):
        path.unlink()


def bare_step(trainer: Trainer, compiled: bool) -> Callable[[], None]:
    """Forward, backward and optimizer on one resident batch of random windows."""
    size, (height, width) = trainer.settings.batch_size, trainer.spec.window
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (size, height, width, 3), dtype=torch.uint8, generator=generator).to(trainer.device)
    classes = trainer.network.backbone.head.out_features
    labels = torch.randint(0, classes, (size,), generator=generator).to(trainer.device)

    def loss_of(images: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(trainer.device.type, torch.bfloat16, enabled=trainer.mixed):
            logits, _ = trainer.network(images)
        return functional.cross_entropy(logits.float(), labels)

    forward = torch.compile(loss_of) if compiled else loss_of

    def step() -> None:
        trainer.network.train()
        forward(images, labels).backward()  # type: ignore[no-untyped-call]
        trainer.optimizer.step()
        trainer.optimizer.zero_grad(set_to_none=True)

    return step


def timed(step: Callable[[], None], images: int, seconds: float, device: torch.device) -> float:
    """images/s of a step, over at least `seconds`."""
    wait: Callable[[], None] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    step()
    wait()
    start, steps = time.perf_counter(), 0
    while steps < 3 or time.perf_counter() - start < seconds:
        for _ in range(5 if device.type == "cuda" else 1):
            step()
            steps += 1
        wait()
    return steps * images / (time.perf_counter() - start)


def peer_rows(settings: ResolvedConfig, table: Table, device: torch.device, args: argparse.Namespace) -> Rows:
    """images/s of a lab report's loop and of timm's on the same files."""
    part = table.split(TRAIN)
    labels = [int(label) for label in part.labels]
    steps = min(args.peer_steps, len(part) // settings.batch_size)
    rows = {}
    for name, loop in (("lab-report loop", lab_report_loop), ("timm's loop", timm_loop)):
        torch.cuda.empty_cache()
        try:
            rows[name] = loop(
                part.files(), labels, settings.architecture, settings.image_size, settings.batch_size, device,
                args.workers, steps=steps,
            )  # fmt: skip
        except ModuleNotFoundError as error:
            print(f"{name}: {error}")
    return rows


def as_markdown(results: dict[str, Rows]) -> str:
    """Rows of figures, a column for each network."""
    names = list(dict.fromkeys(name for rows in results.values() for name in rows))
    lines = ["| | " + " | ".join(results) + " |", "|---|" + "---|" * len(results)]
    for name in names:
        cells = [shown(name, rows.get(name)) for rows in results.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shown(name: str, value: float | None) -> str:
    """A figure for people."""
    if value is None:
        return "-"
    return f"{value:.1%}" if "/" in name else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def ignore(images: int, loss: float, rate: float) -> None:
    """No progress is shown here."""


if __name__ == "__main__":
    main()
