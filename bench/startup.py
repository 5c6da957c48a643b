"""What a command costs before it does anything: `lab --help`, and one image predicted, over a bare interpreter.

    python bench/startup.py [--model model.onnx] [--image image.jpg] [-n 10]

The three are run in turn, n times, as whole processes; medians and their differences are printed. Without a model a
ResNet-18 with random weights is made (which needs the train extra).
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import installed, machine

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--image", type=Path)
    parser.add_argument("-n", type=int, default=10, help="runs of each command")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        model = args.model or make_model(scratch / "model.onnx")
        image = args.image or make_image(scratch / "cell.jpg")
        predict = ["predict", image, "--model", model, "--device", "cpu", "--no-sample", "--out", scratch / "out.csv"]
        lab = [sys.executable, "-m", "cli"]
        commands: dict[str, list[object]] = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "lab --help": [*lab, "--help"],
            "lab predict IMAGE": [*lab, *predict],
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(args.n + 1):
            for name, command in commands.items():
                seconds[name].append(run(command))
    import onnxruntime  # asked itself: its wheel has several names

    print(f"{machine()}, onnxruntime {onnxruntime.__version__}, ", end="")
    print(f"typer {installed('typer')}, rich {installed('rich')}, n = {args.n}")
    bare = statistics.median(seconds["python -c pass"][1:])
    for name, times in seconds.items():
        middle = statistics.median(times[1:])  # the first run warms the disk's cache
        print(f"{name:20} {middle:.2f} s, {middle - bare:.2f} s over the interpreter")


def run(command: list[object]) -> float:
    """Seconds of one whole process."""
    start = time.perf_counter()
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def make_model(path: Path) -> Path:
    """A ResNet-18 for 224 px with random weights, exported at opset 17."""
    sys.path.insert(0, str(ROOT))
    from exporter.graph import build_graph
    from infer.images.preprocess import PixelSpec
    from infer.model.card import IMAGENET, ClassName, ModelCard
    from trainer.model.network import build_network

    classes = (ClassName("normal", "0"), ClassName("blast", "1"))
    spec = PixelSpec.default(224)
    card = ModelCard(
        architecture="resnet18", classes=classes, pixels=spec, normalization=IMAGENET, ordered=False, opset=17
    )
    path.write_bytes(build_graph(build_network(card).eval(), card).SerializeToString())
    return path


def make_image(path: Path) -> Path:
    """A synthetic cell, 450 x 450."""
    sys.path.insert(0, str(ROOT))
    from trainer.data.synthetic import draw_cell

    draw_cell(blast=True, seed=[0]).save(path)
    return path


if __name__ == "__main__":
    main()
