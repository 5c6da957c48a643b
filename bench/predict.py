"""Prediction speed, images/s: lab end to end beside its two ceilings, and beside what people run instead.

    python bench/predict.py DIR [--arch resnet18 resnet50] [--precision fp32 int8] [--decode cpu gpu] [--device auto]
        [--runtime openvino] [--no-peers]

In one process and in turns, over the same image files:

    decode        files to uint8 views, as `lab predict` decodes them on all cores, or on the GPU; no network
    network       the exported file on batches of pixels that are in memory already, as many at once as the provider
                  keeps in flight; no decoding
    lab           both, as `lab predict` does them, without writing a CSV
    bound         on a CPU, where both share the cores, 1 / (1/decode + 1/network); on a GPU the smaller of the two
    lab report    a DataLoader, torchvision's transforms and network, float32, eager
    timm          timm's evaluation loader and network, if timm is installed

Medians of rounds. `lab / bound` is the median of the rounds' ratios. Networks have random weights, which changes no
time. Start-up is a process of its own that predicts one image, less a bare interpreter.
"""

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from machine import installed, machine
from precision import make_models
from startup import run as seconds_of

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from peers import lab_report_prediction, timm_prediction  # noqa: E402

from infer.config import RUNTIMES  # noqa: E402
from infer.images.listing import list_images  # noqa: E402
from infer.images.preprocess import read_window  # noqa: E402
from infer.model.onnx_session import runtime_version  # noqa: E402
from infer.model.providers import providers_for  # noqa: E402
from infer.model.session import Session  # noqa: E402
from infer.pipeline.batches import CpuDecoder, Decoder, read_batches  # noqa: E402
from infer.pipeline.classify import Ensemble, classify  # noqa: E402
from infer.pipeline.gpu_decode import GpuDecoder  # noqa: E402

COLUMNS = (
    *("network", "precision", "decoded on", "decode", "network alone", "bound", "lab", "lab / bound"),
    *("lab report", "timm"),
)
NO_PEERS: Mapping[str, Callable[[], float]] = MappingProxyType({})


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder of images")
    parser.add_argument("--arch", nargs="+", default=["resnet18", "resnet50"])
    parser.add_argument("--precision", nargs="+", default=["fp32", "int8"], choices=["fp32", "fp16", "int8"])
    parser.add_argument("--decode", nargs="+", default=["cpu"], choices=["cpu", "gpu"])
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--images", type=int, default=512, help="of the folder, again and again if it has fewer")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--device", default="auto", choices=["auto", "cuda", "cpu"])
    parser.add_argument("--runtime", default="onnxruntime", choices=RUNTIMES[1:])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="of the peers' loaders")
    parser.add_argument("--no-peers", action="store_true", help="measure lab alone")
    args = parser.parse_args()
    names = list_images(args.folder)
    files = list(islice(cycle(str(args.folder / name) for name in names), args.images))
    libraries = ("openvino", "torch", "torchvision", "timm", "pillow")
    packages = ", ".join(f"{name} {installed(name)}" for name in libraries)
    print(f"{machine()}, {args.runtime}, onnxruntime {runtime_version()}, {packages}")
    print(f"{len(files)} images at {args.image_size} px, batches of {args.batch_size}; medians of {args.rounds} rounds")
    print(*(f"| {' | '.join(cells)} |" for cells in (COLUMNS, ["---"] * len(COLUMNS))), sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for arch in args.arch:
            for file in make_models(arch, args.image_size, Path(folder), args.precision):
                for decode in args.decode:
                    cells = [arch, file.suffixes[0][1:], decode, *row(arch, file, files, decode, args)]
                    print(f"| {' | '.join(cells)} |", flush=True)
        command = [sys.executable, "-m", "cli", "predict", files[0], "--model", file, "--no-sample"]
        started = [seconds_of([*command, "--out", Path(folder) / "o.csv"]) for _ in range(args.rounds)]
        bare = [seconds_of([sys.executable, "-c", "pass"]) for _ in range(args.rounds)]
    start = statistics.median(started) - statistics.median(bare)
    print(f"start-up and one image, {arch} {args.precision[-1]}: {start:.2f} s over a bare interpreter")


def row(arch: str, file: Path, files: Sequence[str], decode: str, args: argparse.Namespace) -> list[str]:
    """Images/s of each column for one model file, measured in turns."""
    provider = None if args.runtime == "onnxruntime" else providers_for("cpu", args.runtime)[0]
    session = Session(file, args.device, provider=provider)  # these files have no evidence
    peer = (files, arch, args.image_size, args.batch_size, torch.device(session.provider.memory), args.workers)
    peers: dict[str, Callable[[], float]] = {}
    if not args.no_peers:
        peers["lab report"] = partial(lab_report_prediction, *peer)
        with contextlib.suppress(ModuleNotFoundError):
            import timm  # type: ignore[import-not-found, unused-ignore]  # noqa: F401

            peers["timm"] = partial(timm_prediction, *peer)
    middle = median_rates(
        session, open_decoder(session, decode, len(files)), files, args.batch_size, args.rounds, peers
    )
    rates = [f"{middle[name]:.0f}" for name in ("decode", "network", "bound", "lab")]
    others = [f"{middle[name]:.0f}" if name in middle else "-" for name in ("lab report", "timm")]
    return [*rates, f"{middle['share']:.0%}", *others]


def open_decoder(session: Session, decode: str, count: int) -> Decoder:
    """The decoder of a session's images on the CPU (`cpu`), or where the session runs (`gpu`)."""
    spec = session.card.pixels
    return GpuDecoder([spec], "none", session.provider) if decode == "gpu" else CpuDecoder([spec], "none", count)


def median_rates(
    session: Session,
    decoder: Decoder,
    files: Sequence[str],
    batch_size: int,
    rounds: int,
    peers: Mapping[str, Callable[[], float]] = NO_PEERS,
) -> dict[str, float]:
    """Median images/s of `decode`, `network`, `lab` and the peers, measured in turns; `bound`, and `share` of it."""
    pixels = np.stack([read_window(path, session.card.pixels) for path in files[:batch_size]])
    ensemble = Ensemble([session], len(files), batch_size)
    rows: dict[str, Callable[[], float]] = {
        "decode": partial(rate, lambda: sum(len(batch.errors) for batch in read_batches(files, decoder, batch_size))),
        "network": partial(rate, lambda: repeat(session, pixels, len(files))),
        "lab": partial(rate, lambda: sum(1 for _ in classify(ensemble, files, decoder))),
        **peers,
    }
    repeat(session, pixels, 1)
    measured = [{name: measure() for name, measure in rows.items()} for _ in range(rounds)]
    for rates in measured:
        both = rates["decode"], rates["network"]
        rates["bound"] = 1 / (1 / both[0] + 1 / both[1]) if session.provider.memory == "cpu" else min(both)
        rates["share"] = rates["lab"] / rates["bound"]
    return {name: statistics.median(rates[name] for rates in measured) for name in measured[0]}


def rate(work: Callable[[], int]) -> float:
    """Images/s of what returns its number of images."""
    start = time.perf_counter()
    return work() / (time.perf_counter() - start)


def repeat(session: Session, pixels: np.ndarray, count: int) -> int:
    """Run a batch until `count` images are through, as many at once as a prediction keeps in flight; their number."""
    batches = max(1, count // len(pixels))
    with ThreadPoolExecutor(session.provider.batches_in_flight) as pool:
        for _ in pool.map(session.run, [pixels] * batches):
            pass
    return batches * len(pixels)


if __name__ == "__main__":
    main()
