"""Peak memory of `lab predict` for few and for many images: it must not grow with their number but for their names.

    python bench/memory.py DIR --model model.onnx [--images 1000 100000]

DIR's images are linked under new names as often as it takes; each prediction is a process of its own.
"""

import argparse
import subprocess
import sys
import tempfile
from itertools import cycle
from pathlib import Path

from machine import machine

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from infer.images.listing import list_images  # noqa: E402
from infer.model.onnx_session import runtime_version  # noqa: E402

SCRIPT = """
import resource, sys, cli
try: cli.main(sys.argv[1:])
finally: print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 100_000])
    args = parser.parse_args()
    print(f"{machine()}, onnxruntime {runtime_version()}, n = 1")
    names = list_images(args.folder)
    peaks = []
    for count in args.images:
        with tempfile.TemporaryDirectory() as scratch:
            links = Path(scratch) / "images"
            links.mkdir()
            for number, name in zip(range(count), cycle(names), strict=False):
                (links / f"image_{number:06}{Path(name).suffix}").symlink_to((args.folder / name).resolve())
            command = [
                "predict",
                links,
                "--model",
                args.model.resolve(),
                "--no-sample",
                "--out",
                Path(scratch) / "o.csv",
            ]
            process = subprocess.run(
                [sys.executable, "-c", SCRIPT, *map(str, command)], cwd=ROOT, capture_output=True, text=True, check=True
            )
        peaks.append(int(process.stdout.rpartition("PEAK")[2]) / 1024)  # kilobytes, as Linux counts them
        print(f"{count} images: {peaks[-1]:.0f} MiB, {peaks[-1] / peaks[0] - 1:+.1%}", flush=True)


if __name__ == "__main__":
    main()
