"""Mean and scale inside the first 8-bit convolution, so that an int8 file's network reads bytes.

    python bench/folded_input.py FILE [--batch-size 16] [--threads 1] [--rounds 21]

An int8 file that lab exports normalises in float and quantises the result. ONNX Runtime runs three files in turns:

- as exported;
- `bytes, 4 channels`: the pixels are the first convolution's 8-bit input as they are. Its weights hold the scale, its
  bias the mean, and a fourth channel of 255s takes off the mean where the border is padded, so that zero padding stays
  what it was;
- `bytes, 3 channels`: without that channel, which is wrong at the border: the bound of any other way to pad.

Images/s, the median of the rounds' ratios, and how far the logits are off the exported file's, on noise. The times are
those of the processor, so that other programs count less.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from machine import machine
from onnx import helper, numpy_helper

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from exporter.parity import relative_error  # noqa: E402
from infer.core.arrays import Floats  # noqa: E402
from infer.core.cpu import instructions  # noqa: E402
from infer.model.onnx_session import runtime_version  # noqa: E402
from infer.model.providers import CPU  # noqa: E402
from infer.model.session import Session  # noqa: E402

NORMALISATION = ("Cast", "Div", "Sub", "Mul", "Transpose", "QuantizeLinear")


def fold(model: onnx.ModelProto, channels: int) -> onnx.ModelProto:
    """The int8 graph with bytes as the input of its first convolution, of 3 or 4 channels.

    Raises:
        ValueError: the graph does not begin as lab's int8 graphs for uint8 do.
    """
    graph = model.graph
    made_by = {node.output[0]: node for node in graph.node}
    constants = {item.name: item for item in graph.initializer}
    conv = next(node for node in graph.node if node.op_type == "Conv")
    before = []
    name = made_by[conv.input[0]].input[0]
    while name != "images":
        before.append(made_by[name])
        name = made_by[name].input[0]
    if tuple(node.op_type for node in reversed(before)) != NORMALISATION:
        raise ValueError("the file does not normalise as lab's int8 files for uint8 do")
    divisor, mean, scale = (
        numpy_helper.to_array(constants[made.input[1]]) for made in (before[4], before[3], before[2])
    )
    weight, bias = (dequantised(made_by[name], constants) for name in conv.input[1:])
    folded = weight * (scale / divisor).reshape(1, -1, 1, 1)
    taken_off = (weight * (mean * scale).reshape(1, -1, 1, 1)).sum(1, keepdims=True)
    if channels == 4:
        folded = np.concatenate([folded, -taken_off / 255], axis=1)
    else:
        bias = bias - taken_off.sum((1, 2, 3))
    steps = np.abs(folded).max((1, 2, 3)) / 127
    put(constants, made_by[conv.input[1]], np.round(folded / steps[:, None, None, None]).astype(np.int8), steps)
    put(constants, made_by[conv.input[2]], np.round(bias / steps).astype(np.int32), steps)
    for node in before:
        graph.node.remove(node)
    pixels = made_by[conv.input[0]]
    pixels.input[:] = ["planes", "one", "zero"]
    first = [helper.make_node("Transpose", ["padded" if channels == 4 else "images"], ["planes"], perm=[0, 3, 1, 2])]
    if channels == 4:
        first.insert(0, helper.make_node("Pad", ["images", "one_more", "full"], ["padded"]))
    nodes = [*first, pixels, *(node for node in graph.node if node != pixels)]
    del graph.node[:]
    graph.node.extend(nodes)
    for name, value in (("one", np.float32(1)), ("zero", np.uint8(0)), ("full", np.uint8(255))):
        graph.initializer.append(numpy_helper.from_array(np.array(value), name))
    graph.initializer.append(numpy_helper.from_array(np.array([0] * 7 + [1]), "one_more"))
    return model


def dequantised(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> Floats:
    """The values of a DequantizeLinear of constants, one scale for each entry of the first axis."""
    codes, scale, zero = (numpy_helper.to_array(constants[name]) for name in node.input)
    around = (-1,) + (1,) * (codes.ndim - 1)
    values: Floats = (codes.astype(np.float32) - zero.reshape(around)) * scale.reshape(around)
    return values


def put(constants: dict[str, onnx.TensorProto], node: onnx.NodeProto, codes: np.ndarray, scale: np.ndarray) -> None:
    """Other constants for a DequantizeLinear, with zero points of 0."""
    values = (codes, scale.astype(np.float32), np.zeros(len(scale), codes.dtype))
    for name, value in zip(node.input, values, strict=True):
        constants[name].CopyFrom(numpy_helper.from_array(value, name))


def main() -> None:
    """Parse, make the files, run them in turns, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=21)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sessions = {"as exported": Session(args.file, threads=args.threads, provider=CPU)}
        for channels in (4, 3):
            path = Path(folder) / f"{channels}.onnx"
            onnx.save(fold(onnx.load(args.file), channels), path)
            sessions[f"bytes, {channels} channels"] = Session(path, threads=args.threads, provider=CPU)
        report(sessions, args.batch_size, args.rounds)


def report(sessions: dict[str, Session], batch_size: int, rounds: int) -> None:
    """Run the files in turns and print a row for each."""
    first = next(iter(sessions.values()))
    height, width = first.card.pixels.window
    pixels = np.random.default_rng(0).integers(0, 256, (batch_size, height, width, 3), dtype=np.uint8)
    logits = {name: session.run(pixels)[0] for name, session in sessions.items()}
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(rounds):
        for name, session in sessions.items():
            start = time.process_time()
            session.run(pixels)
            times[name].append(time.process_time() - start)
    print(f"{machine()}, {' '.join(instructions())}, onnxruntime {runtime_version()}, n = {rounds} rounds")
    print(
        f"| {first.path.name}, {height} px, batch {batch_size} | images/s | ratio | logits off by |\n|---|---|---|---|"
    )
    expected, own = logits["as exported"], times["as exported"]
    for name, taken in times.items():
        ratio = statistics.median(a / b for a, b in zip(own, taken, strict=True))
        off = relative_error(logits[name], expected)
        print(f"| {name} | {batch_size / statistics.median(taken):.1f} | {ratio:.2f} | {off:.1%} |", flush=True)


if __name__ == "__main__":
    main()
