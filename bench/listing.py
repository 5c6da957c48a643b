"""How long a large data set takes to open, and how much memory: all that happens before the first image is decoded.

    python bench/listing.py [--images 100000]

It writes that many copies of one small image, in class folders and in the CSV layout, and reads them as `lab predict`
and `lab train` do.
"""

import argparse
import io
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from machine import machine
from PIL import Image
from rich.console import Console

from infer.core.console import Screen
from infer.dataset.source import read_table
from infer.dataset.stratify import with_validation
from infer.dataset.summary import show_table
from infer.dataset.validation import check_trainable
from infer.model.card import ClassName
from infer.tables.inputs import read_inputs

T = TypeVar("T")


def main() -> None:
    """Make the data, read it, print seconds of each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    images = parser.parse_args().images
    print(f"{machine()}, {images} images, n = 1")
    with tempfile.TemporaryDirectory() as name:
        for layout in ("class folders", "CSV"):
            folder = Path(name) / layout
            make(folder, images, layout == "CSV")
            measure(folder, layout)


def make(folder: Path, images: int, as_csv: bool) -> None:
    """Two classes of one image with its number after its end, so that none are copies; a thousand in a folder."""
    folder.mkdir()
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "PNG")
    rows = []
    for number in range(images):
        label = "one" if number % 3 else "two"
        path = Path("images" if as_csv else label) / f"{label}{number // 1000}" / f"{number}.png"
        if number % 1000 < 3:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content.getvalue() + number.to_bytes(4))
        rows.append(f"{path},{label}\n")
    if as_csv:
        (folder / "train.csv").write_text("Path,label\n" + "".join(rows))


def measure(folder: Path, layout: str) -> None:
    """Time every step on the way to the decoder."""
    classes = (ClassName("one", "one"), ClassName("two", "two"))
    source = folder / "train.csv" if (folder / "train.csv").is_file() else folder
    timed("lab predict: list", lambda: read_inputs(source, classes))
    start = time.perf_counter()
    table = timed("read", lambda: read_table(folder))
    timed("check", lambda: check_trainable(table))
    split = timed("split", lambda: with_validation(table, 0))
    timed("show", lambda: show_table(split, Screen(Console(quiet=True))))
    timed("fingerprint", split.fingerprint)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{layout}: lab train {time.perf_counter() - start:.1f} s in all, {megabytes:.0f} MB at most")


def timed(title: str, step: Callable[[], T]) -> T:
    """Run a step and print its seconds."""
    start = time.perf_counter()
    result = step()
    print(f"    {title}: {time.perf_counter() - start:.2f} s")
    return result


if __name__ == "__main__":
    main()
