"""Which libraries decode and resize a JPEG to Pillow's pixels? Prints the table of docs/onnx.md.

    python bench/decoders.py --work DIR --images FOLDER... [--size 224] [--count 60] [--only NAME...]

Every library is installed in an environment of its own, at a pinned version. It decodes the first `count` files of each
folder, or resizes Pillow's pixels of them to a square. All values are compared, resizes with Pillow's bilinear filter.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from consumer_environments import InstallError, chromium, install, npm_folder
from machine import installed, machine
from PIL import Image

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class Row:
    """A way to decode or to resize."""

    name: str
    task: str
    """`decode` or `resize`."""
    function: str
    """In decoder_functions.py, or the name that decoder_functions.mjs knows."""
    packages: tuple[str, ...]
    runs_in: str = "python"
    """`python`, `node` or `chromium`."""


OPENCV, CODECS = ("opencv-python-headless==5.0.0.93", "numpy==2.4.6"), ("numpy==2.4.6",)
SHARP, TENSORFLOW, BROWSER = ("sharp@0.35.5",), ("tensorflow-cpu==2.21.0",), ("chromium of the system",)
ROWS = (
    Row(name="OpenCV", task="decode", function="opencv", packages=OPENCV),
    Row(name="simplejpeg", task="decode", function="simplejpeg", packages=("simplejpeg==1.9.0", *CODECS)),
    Row(name="imagecodecs jpeg8", task="decode", function="imagecodecs", packages=("imagecodecs==2026.3.6", *CODECS)),
    Row(name="pyvips", task="decode", function="pyvips", packages=("pyvips-binary==8.18.7", "pyvips==3.2.0", *CODECS)),
    Row(name="sharp", task="decode", function="sharp", packages=SHARP, runs_in="node"),
    Row(name="TensorFlow, INTEGER_ACCURATE", task="decode", function="tensorflow_accurate", packages=TENSORFLOW),
    Row(name="TensorFlow", task="decode", function="tensorflow", packages=TENSORFLOW),
    Row(name="kornia-rs", task="decode", function="kornia", packages=("kornia-rs==0.2.0", *CODECS)),
    Row(name="jpeg-js", task="decode", function="jpeg_js", packages=("jpeg-js@0.4.4",), runs_in="node"),
    Row(name="Chromium, canvas", task="decode", function="chromium", packages=BROWSER, runs_in="chromium"),
    Row(name="OpenCV INTER_LINEAR", task="resize", function="opencv_linear", packages=OPENCV),
    Row(name="OpenCV INTER_AREA", task="resize", function="opencv_area", packages=OPENCV),
    Row(name="sharp, lanczos3 (its default)", task="resize", function="sharp_lanczos3", packages=SHARP, runs_in="node"),
    Row(name="sharp, linear", task="resize", function="sharp_linear", packages=SHARP, runs_in="node"),
    Row(name="Chromium, low", task="resize", function="chromium_low", packages=BROWSER, runs_in="chromium"),
    Row(name="Chromium, medium", task="resize", function="chromium_medium", packages=BROWSER, runs_in="chromium"),
    Row(name="Chromium, high", task="resize", function="chromium_high", packages=BROWSER, runs_in="chromium"),
    Row(name="tf.image.resize, antialias", task="resize", function="tensorflow_resize", packages=TENSORFLOW),
)


def main() -> None:
    """Parse, lay down the files, ask each library, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for files and environments")
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders of JPEGs")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--count", type=int, default=60, help="files of each folder")
    parser.add_argument("--only", nargs="+", default=[row.name for row in ROWS], metavar="NAME")
    args = parser.parse_args()
    count = lay_down(args.images, args.count, args.size, args.work / "pictures")
    print(f"{machine()}; Pillow {installed('pillow')}, {count} JPEGs, resized to {args.size} x {args.size}\n")
    print("| library | package | | values that differ | by at most |\n|---|---|---|---|---|")
    for row in ROWS:
        if row.name in args.only:
            cells = [row.name, row.packages[0], f"{row.task}s", *result(row, args.work, count, args.size)]
            print(f"| {' | '.join(cells)} |", flush=True)


def lay_down(folders: list[Path], count: int, size: int, out: Path) -> int:
    """Write k.jpg, its pixels by Pillow as k.rgb with k.json, and the resized ones as k.small; return how many."""
    out.mkdir(parents=True, exist_ok=True)
    files = [file for folder in folders for file in sorted(folder.glob("*.jp*g"))[:count]]
    for number, file in enumerate(files):
        image = Image.open(file).convert("RGB")
        (out / f"{number}.jpg").write_bytes(file.read_bytes())
        (out / f"{number}.rgb").write_bytes(image.tobytes())
        (out / f"{number}.small").write_bytes(image.resize((size, size), Image.Resampling.BILINEAR).tobytes())
        (out / f"{number}.json").write_text(json.dumps({"width": image.width, "height": image.height}))
    return len(files)


def result(row: Row, work: Path, count: int, size: int) -> tuple[str, str]:
    """The last two cells: the share of values that differ and the largest difference, or why there is none."""
    pictures = work / "pictures"
    try:
        subprocess.run(
            [*command(row, work), row.function, str(pictures), str(count), str(size)], check=True, capture_output=True
        )
    except InstallError as error:
        return "skipped", str(error)
    except subprocess.CalledProcessError as error:
        return "failed", error.stderr.decode(errors="replace").strip().splitlines()[-1][:120]
    answers = (np.fromfile(pictures / f"{number}.{row.function}", np.uint8) for number in range(count))
    kind = "rgb" if row.task == "decode" else "small"
    pillow = (np.fromfile(pictures / f"{number}.{kind}", np.uint8) for number in range(count))
    difference = np.concatenate(
        [np.abs(ours.astype(int) - theirs) for ours, theirs in zip(pillow, answers, strict=True)]
    )
    return ("none", "0") if not difference.any() else (f"{(difference > 0).mean():.1%}", str(difference.max()))


def command(row: Row, work: Path) -> list[str | Path]:
    """How the row's script is started, once its packages are installed."""
    if row.runs_in == "chromium":
        chromium()  # raises InstallError
        return [sys.executable, HERE / "decoder_browser.py"]
    folder = work / "decoders" / row.packages[0].replace("/", "-")
    if row.runs_in == "node":
        npm_folder(row.packages, folder, ("decoder_functions.mjs",))
        return ["node", folder / "decoder_functions.mjs"]
    python = folder / "bin" / "python"
    if not python.exists():
        install([sys.executable, "-m", "venv", folder])
        install([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *row.packages])
    return [python, HERE / "decoder_functions.py"]


if __name__ == "__main__":
    main()
