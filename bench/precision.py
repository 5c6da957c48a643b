"""How much faster int8 is than fp32 on this CPU: the network alone, through the session that predicts.

    python bench/precision.py [--arch resnet50 ...] [--run RUN ...] [--batch-size 1 16] [--rounds 9]

Both files run the same random images in turns, so that a busy machine slows both; the ratio is the median of the
rounds' ratios. Without --run, networks with random weights are made: what the weights are does not matter for the time.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from machine import machine

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from infer.core.cpu import instructions  # noqa: E402
from infer.model.onnx_session import runtime_version  # noqa: E402
from infer.model.session import Session  # noqa: E402

if TYPE_CHECKING:
    from infer.model.card import ModelCard
    from trainer.model.network import PixelNet


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", nargs="+", default=["resnet18", "resnet50", "resnet152"])
    parser.add_argument(
        "--run", type=Path, nargs="*", default=[], help="runs with model.onnx and model.int8.onnx instead"
    )
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    print(f"{machine()}, {' '.join(instructions())}, onnxruntime {runtime_version()}, n = {args.rounds} rounds")
    print(
        "| network | pixels | batch | fp32, images/s | int8, images/s | ratio |\n|---|---|---|---|---|---|", flush=True
    )
    with tempfile.TemporaryDirectory() as folder:
        made = ((arch, *make_models(arch, args.image_size, Path(folder))) for arch in args.arch)
        exported = ((run.name, run / "model.onnx", run / "model.int8.onnx") for run in args.run)
        for name, *files in exported if args.run else made:
            sessions = [Session(file, "cpu") for file in files]
            size = sessions[0].card.pixels.window[0]
            for batch in args.batch_size:
                times = np.array(list(rounds(sessions, batch, args.rounds)))
                rates = [batch / statistics.median(column) for column in times.T]
                ratio = statistics.median(times[:, 0] / times[:, 1])
                print(f"| {name} | {size} | {batch} | {rates[0]:.1f} | {rates[1]:.1f} | {ratio:.2f} |", flush=True)


def rounds(sessions: list[Session], batch: int, count: int) -> Iterator[list[float]]:
    """Seconds of each session for a batch, in turns; the first round, which warms up, is left out."""
    height, width = sessions[0].card.pixels.window
    images = np.random.default_rng(0).integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
    for number in range(count + 1):
        seconds = []
        for session in sessions:
            start = time.perf_counter()
            session.run(images)
            seconds.append(time.perf_counter() - start)
        if number:
            yield seconds


def make_network(arch: str, size: int) -> "tuple[PixelNet, ModelCard]":
    """A network with random weights, and with biases, as a trained one has; its card is of fp32 at opset 17."""
    import torch

    from infer.images.preprocess import PixelSpec
    from infer.model.card import IMAGENET, ClassName, ModelCard
    from trainer.model.network import build_network

    card = ModelCard(
        architecture=arch,
        classes=(ClassName("normal", "0"), ClassName("blast", "1")),
        pixels=PixelSpec.default(size),
        normalization=IMAGENET,
        ordered=False,
        opset=17,
    )
    torch.manual_seed(0)
    network = build_network(card).eval()
    for module in network.backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(module.weight, 0.5)  # new blocks have a last scale of 0: give them something to add
            for values in (module.bias, module.running_mean):  # a trained network's convolutions have biases
                if values is not None:
                    torch.nn.init.normal_(values, std=0.1)
    return network, card


def make_models(arch: str, size: int, folder: Path, precisions: Sequence[str] = ("fp32", "int8")) -> list[Path]:
    """A network with random weights as a file of each precision."""
    from exporter.graph import at_precision, build_graph, finish
    from exporter.quantize import to_int8

    network, card = make_network(arch, size)
    made = []
    for precision in precisions:
        own = replace(card, precision=precision)
        if precision == "int8":
            images = np.random.default_rng(1).integers(0, 256, (20, size, size, 3), dtype=np.uint8)
            graph, record = to_int8(build_graph(at_precision(network, "fp32"), card), images, lambda text: None)
            model = finish(graph, replace(own, provenance={"int8": record}))
        else:
            model = build_graph(at_precision(network, precision), own)
        made.append(folder / f"{arch}.{precision}.onnx")
        made[-1].write_bytes(model.SerializeToString())
    return made


if __name__ == "__main__":
    main()
