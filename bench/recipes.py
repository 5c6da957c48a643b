"""The recipes against each other: from scratch, one network, equal image budgets, several seeds, scored on test images.

    python bench/recipes.py --data DIR [DIR ...] --epochs 12 [12 ...] [--image-size 64] [--seeds 3] --out results/

Each run sees every training image as often as any other run on that data set. The epoch that is best by the recipe's
own metric on validation images is scored on the test images, once. Differences to `lab` are paired: means over seeds
of right answers, image by image, with 95% bootstrap intervals over the images. Finished runs in --out are not repeated,
so it can be broken off and started again. A data set's test truth is its own, or test_labels.csv beside it.

To choose recipe lab's values, give --tune and recipe files by --recipes: it prints how well each does on its validation
images, and test images are not looked at.

Precisions of training are compared in the same way, on a machine whose hardware has them:

    python bench/recipes.py --data DIR --epochs 12 --arch resnet18 --precisions fp32 bf16 --out results/
"""

import argparse
import csv
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import installed, machine
from numpy.typing import NDArray
from rich.console import Console

from infer.core.console import Screen
from infer.core.csv_files import read_csv
from infer.dataset.source import read_table
from infer.dataset.table import TEST, Table
from infer.images.preprocess import read_window
from infer.model.card import class_index
from trainer.model.checkpoint import load_checkpoint
from trainer.recipe import DEFAULT, apply_recipe, load_recipe, recipe_names
from trainer.train import train

RESAMPLES = 10_000


def main() -> None:
    """Train what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--epochs", type=int, nargs="+", required=True, help="one for each data set")
    parser.add_argument("--recipes", nargs="+", default=recipe_names())
    parser.add_argument("--precisions", nargs="+", default=[], help="precisions of recipe lab instead of recipes")
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    variants = args.precisions or args.recipes
    for data, epochs in zip(args.data, args.epochs, strict=True):
        scored = with_truth(read_table(data), data)
        if args.tune:
            scored = scored.take([])
        for seed in range(args.seeds):
            for variant in variants:
                run_once(args, data, epochs, variant, seed, scored)
        if args.tune:
            print(f"\n{data.name}, validation, mean of the three best epochs:")
            for variant in variants:
                found = [load(result_file(args, data, variant, seed))["valid"] for seed in range(args.seeds)]
                print(f"{np.mean(found):.4f}  {[f'{value:.4f}' for value in found]}  {variant}", flush=True)
            continue
        answers = {
            variant: np.stack([load(result_file(args, data, variant, seed))["answers"] for seed in range(args.seeds)])
            for variant in variants
        }
        print(f"\n{data.name}: {len(scored)} test images, {epochs} epochs, {args.image_size} px, ", end="")
        print(f"{args.arch}, {args.seeds} seeds\n\n{as_markdown(answers, scored.labels)}", flush=True)
    print(f"\n{machine()}, torch {installed('torch')}")


def with_truth(table: Table, data: Path) -> Table:
    """The test images with their labels, which may lie in a test_labels.csv of name and label."""
    part = table.split(TEST)
    if (part.labels >= 0).all():
        return part
    known, (_, *rows) = class_index(table.classes), read_csv(data / "test_labels.csv")
    truth = {Path(name).name: known[label] for name, label in rows}
    return replace(part, labels=np.array([truth[Path(path).name] for path in part.paths], dtype=np.int64))


def run_once(args: argparse.Namespace, data: Path, epochs: int, variant: str, seed: int, scored: Table) -> None:
    """Train one recipe or precision with one seed and write its answers, unless they are there."""
    file = result_file(args, data, variant, seed)
    if file.is_file():
        return
    options: dict[str, Any] = {
        "data": str(data), "seed": seed, "epochs": epochs, "image_size": args.image_size, "pretrained": False,
        "device": args.device, "out": str(args.out / "runs"),
    }  # fmt: skip
    if args.precisions:
        options["precision"] = variant
    start = time.perf_counter()
    config = apply_recipe(args.arch, load_recipe(DEFAULT if args.precisions else variant), options)
    trained = train(config, Screen(Console(quiet=True)))
    network, card = load_checkpoint(trained.run / "best.safetensors")
    answers: list[int] = []
    with torch.inference_mode():
        for path in scored.files():
            answers.append(int(network(torch.from_numpy(read_window(path, card.pixels).copy()[None]))[0].argmax()))
    history = [float(row["monitored"]) for row in csv.DictReader((trained.run / "history.csv").open())]
    file.parent.mkdir(parents=True, exist_ok=True)
    scores = {
        "recipe": variant,
        "seed": seed,
        "data": data.name,
        "valid": float(np.mean(sorted(history)[-3:])),
        "answers": answers,
    }
    file.write_text(json.dumps(scores))
    print(
        f"{data.name} {variant} seed {seed}: valid {scores['valid']:.4f}, {time.perf_counter() - start:.0f} s",
        flush=True,
    )


def result_file(args: argparse.Namespace, data: Path, variant: str, seed: int) -> Path:
    """Where the answers of one run are kept."""
    return (
        Path(args.out)
        / f"{data.name}-{'tune' if args.tune else 'test'}"
        / f"{Path(variant).stem}-{args.arch}-{args.image_size}-{seed}.json"
    )


def load(file: Path) -> dict[str, Any]:
    """A result that `run_once` wrote."""
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def as_markdown(answers: dict[str, NDArray[np.int64]], truth: NDArray[np.int64]) -> str:
    """A row for each variant: mean accuracy and balanced accuracy, and how far the first or `lab` is ahead."""
    first = DEFAULT if DEFAULT in answers else next(iter(answers))
    lines = [
        f"| variant | accuracy, mean of seeds (each) | {first}'s lead, points "
        f"| balanced accuracy | {first}'s lead, points |",
        "|---|---|---|---|---|",
    ]
    drawn = np.random.default_rng(0).integers(0, len(truth), (RESAMPLES, len(truth)))
    for variant, found in answers.items():
        right = (found == truth).astype(float)
        cells = [f"{right.mean():.2%} ({', '.join(f'{value:.2%}' for value in right.mean(1))})"]
        ahead = (answers[first] == truth).mean(0) - right.mean(0)
        cells.append("-" if variant == first else lead(ahead.mean(), ahead[drawn].mean(1)))
        cells.append(f"{balanced(right.mean(0), truth):.2%}")
        each = np.array([balanced(ahead[rows], truth[rows]) for rows in drawn[:2000]])
        cells.append("-" if variant == first else lead(balanced(ahead, truth), each))
        lines.append(f"| {Path(variant).stem} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def balanced(values: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """The mean over the classes that are there of the mean over a class's images."""
    return float(np.mean([values[truth == label].mean() for label in np.unique(truth)]))


def lead(value: float, resampled: NDArray[np.float64]) -> str:
    """A difference in percentage points with its 95% interval."""
    low, high = np.percentile(resampled, [2.5, 97.5])
    return f"{100 * value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


if __name__ == "__main__":
    main()
