"""Where the limit of `lab data check --near` comes from, and how long the search takes.

    python bench/likeness.py DATA... [--copies 100] [--pictures 100000]

Of each data set: how alike its most alike different pictures are, and how alike altered copies are to their originals.
Then the search among that many pictures that are made up.
"""

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import machine
from PIL import Image
from rich.console import Console

from infer.core.console import Screen
from infer.dataset.image_facts import measure_images
from infer.dataset.near_duplicates import SIDE, SIGNATURE, Floats, likeness, near_pairs, signature
from infer.dataset.source import Source, read_source
from infer.images.preprocess import read_rgb

COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG quality 20": lambda image: recompressed(image, 20),
    "half the size": lambda image: recompressed(image.resize((image.width // 2, image.height // 2)), 85),
    "a quarter of the size": lambda image: recompressed(image.resize((image.width // 4, image.height // 4)), 85),
    "larger by 1.7": lambda image: recompressed(image.resize((image.width * 17 // 10, image.height * 17 // 10)), 85),
    "darker by a fifth": lambda image: recompressed(image.point(lambda level: int(0.8 * level)), 90),
    "brighter by 0.15": lambda image: recompressed(image.point(lambda level: int(min(255, 1.15 * level))), 90),
    "brighter by 0.3": lambda image: recompressed(image.point(lambda level: int(min(255, 1.3 * level))), 90),
    "a quarter turn": lambda image: recompressed(image.transpose(Image.Transpose.ROTATE_90), 90),
    "2 pixels cut off all round": lambda image: cropped(image, 2),
    "5 pixels cut off all round": lambda image: cropped(image, 5),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", type=Path)
    parser.add_argument("--copies", type=int, default=100)
    parser.add_argument("--pictures", type=int, default=100_000)
    args = parser.parse_args()
    for folder in args.data:
        measure(folder, args.copies)
    if args.pictures:
        search(args.pictures)


def measure(folder: Path, copies: int) -> None:
    """Print how alike different pictures are, and copies."""
    table, _ = read_source(Source(data=folder))
    facts, _ = measure_images(folder, table.paths, Screen(Console(quiet=True)))
    _, first = np.unique(facts["pixels"], return_index=True)
    near, below = near_pairs(facts["signature"][first], 0.99)
    print(f"{folder.name}: {len(first)} different pictures, {len(near.likeness)} pairs at 0.99 or more")
    print(f"  the most alike below that: {', '.join(f'{value:.3f}' for value in below.likeness[:5])}")
    rows = np.random.default_rng(0).choice(first, min(copies, len(first)), replace=False)
    images = [read_rgb(str(folder / table.paths[row])) for row in rows]
    for name, change in COPIES.items():
        found = likeness(facts["signature"][rows], np.stack([reduced(change(image)) for image in images]))
        print(f"  {name}: least {found.min():.3f}, median {np.median(found):.3f}")


def search(pictures: int) -> None:
    """Print how long a search among made-up pictures takes, a hundredth of which have a turned copy."""
    rng = np.random.default_rng(0)
    made = rng.normal(size=(pictures, SIGNATURE, SIGNATURE)).astype(np.float32)
    made[:, :4, :4] *= 4  # the coarse part is the larger one, as in real pictures
    made[: pictures // 100] = made[-(pictures // 100) :].transpose(0, 2, 1)
    made /= np.linalg.norm(made, axis=(1, 2), keepdims=True)
    start = time.perf_counter()
    near, _ = near_pairs(made, 0.99)
    seconds = time.perf_counter() - start
    print(
        f"{machine()}: {pictures} made-up pictures compared in {seconds:.1f} s, {len(near.likeness)} pairs found; n = 1"
    )


def reduced(image: Image.Image) -> Floats:
    """The signature of an image, as measure_image computes it."""
    return signature(np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)))


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    """The image after a JPEG file."""
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return Image.open(content).convert("RGB")


def cropped(image: Image.Image, margin: int) -> Image.Image:
    """The image without its margin, after a JPEG file."""
    return recompressed(image.crop((margin, margin, image.width - margin, image.height - margin)), 90)


if __name__ == "__main__":
    main()
