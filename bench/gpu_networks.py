"""Steps of bench/gpu_day.py with ONNX Runtime alone: opsets, options, the gate, CUDA graphs, exhausted memory."""

import contextlib
import copy
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from gpu_setting import Row, Setting

from infer.core.arrays import Pixels
from infer.core.console import Screen
from infer.core.errors import DeviceError, LabError
from infer.model.cuda_graphs import MAX_IMAGES
from infer.model.onnx_session import open_onnx
from infer.model.providers import CPU, CUDA_GRAPH, DIVIDED, Options, Provider
from infer.model.session import Session
from infer.pipeline.classify import Runner

TUNED = ("use_tf32", "fuse_conv_bias", "prefer_nhwc")
GRAPH_BATCHES = (1, 4, MAX_IMAGES)
PRECISIONS = ("fp32", "fp16")


def opsets(setting: Setting) -> Iterator[Row]:
    """Whether the provider opens a ResNet-18 of each opset and precision without the CPU."""
    from precision import make_network

    from exporter.graph import at_precision, finish, trace
    from exporter.opsets import OLDEST_OPSET, newest_opset

    network, card = make_network("resnet18", setting.sizes.image_size)
    provider = setting.provider
    for precision in PRECISIONS:
        own = replace(card, precision=precision)
        graph = trace(at_precision(network, precision), own)
        for opset in range(OLDEST_OPSET, newest_opset() + 1):
            model = finish(copy.deepcopy(graph), replace(own, opset=opset)).SerializeToString()
            problem = ""
            try:
                open_onnx(model, provider, None, provider.default_options(precision))
            except LabError as error:
                problem = str(error)
            expected = provider.newest_opset is None or opset <= provider.newest_opset
            row: Row = {"precision": precision, "opset": opset, "opens": not problem}
            yield {**row, "as expected": expected != bool(problem), "problem": problem, "n": 1}


def options_of(provider: Provider) -> list[Options]:
    """All combinations of TF32, bias fusion and channels last, over the provider's options for fp16."""
    default = provider.default_options("fp16")
    return [{**default, **dict(zip(TUNED, values, strict=True))} for values in product("10", repeat=len(TUNED))]


def network_alone(setting: Setting, architecture: str) -> Iterator[Row]:
    """Images/s of an fp16 file by its options, its pixels and results bound to the device's memory."""
    if not setting.has(architecture):
        return
    sizes, file = setting.sizes, setting.model(architecture, "fp16")
    for options in options_of(setting.provider):
        names = {name: options[name] == "1" for name in TUNED}
        try:
            session = open_onnx(file, setting.provider, None, options)
        except DeviceError as error:
            yield {"network": architecture, **names, "problem": str(error), "n": 1}
            continue
        for batch in sizes.batches:
            shape = (batch, sizes.image_size, sizes.image_size, 3)
            runs = [bound_run(session, setting.provider, shape) for _ in range(2)]
            start = time.perf_counter()
            runs[0]()
            first = time.perf_counter() - start
            for run in runs:
                run()
            rates = [images_per_second(runs[:count], batch, sizes.seconds, sizes.rounds) for count in (1, 2)]
            row: Row = {"network": architecture, "batch": batch, **names, "images/s": rates[0]}
            yield {**row, "images/s, two at once": rates[1], "first run, s": first, "n": sizes.rounds}


def bound_run(session: Any, provider: Provider, shape: tuple[int, ...]) -> Callable[[], None]:
    """A run of uint8 images of this shape that lie in the device's memory, as its results do; it waits for the end."""
    import onnxruntime as ort

    binding = session.io_binding()
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    binding.bind_ortvalue_input("images", ort.OrtValue.ortvalue_from_numpy(pixels, provider.memory, 0))
    for output in session.get_outputs():
        results = ort.OrtValue.ortvalue_from_shape_and_type((shape[0], output.shape[1]), np.float32, provider.memory, 0)
        binding.bind_ortvalue_output(output.name, results)
    return lambda: session.run_with_iobinding(binding)


def images_per_second(runs: Sequence[Callable[[], object]], images: int, seconds: float, rounds: int) -> float:
    """The median over rounds of images/s of runs of so many images each, all at once, each on a thread of its own."""

    def repeat(run: Callable[[], object], end: float) -> int:
        count = 0
        while not count or time.perf_counter() < end:
            run()
            count += 1
        return count

    rates = []
    with ThreadPoolExecutor(len(runs)) as pool:
        list(pool.map(repeat, runs, [0.0] * len(runs)))  # CUDA's provider opens its handles for each thread
        for _ in range(rounds):
            start = time.perf_counter()
            counts = pool.map(repeat, runs, [start + seconds] * len(runs))
            rates.append(sum(counts) * images / (time.perf_counter() - start))
    return statistics.median(rates)


def gate(setting: Setting) -> Iterator[Row]:
    """The gate's comparison of exported files with their network, at every batch size that it tries."""
    from precision import make_network
    from rich.console import Console

    from exporter.gate import run_gate, run_reference
    from infer.dataset.source import read_table
    from infer.dataset.table import TRAIN

    table = read_table(setting.cells()).split(TRAIN)
    for architecture in setting.sizes.networks[:2]:
        network, card = make_network(architecture, setting.sizes.image_size)
        reference = run_reference(network, table, card, "fp32", None, Screen(Console(quiet=True)))
        for precision in PRECISIONS:
            parity = run_gate(
                setting.model(architecture, precision), reference, setting.sizes.batch, [setting.provider]
            )
            for check in parity.checks:
                yield {
                    "network": architecture,
                    "precision": precision,
                    "provider": check.provider,
                    "batch": check.batch,
                    "images": check.images,
                    "max diff": check.logit_difference,
                    "labels that differ": check.labels_differ,
                    "problem": "; ".join(check.failures),
                    "n": check.images,
                }


def graphs(setting: Setting) -> Iterator[Row]:
    """Small batches with and without a captured graph, from pixels in host memory, as `lab predict` runs them."""
    sizes = setting.sizes
    for architecture in sizes.networks[:2]:
        plain = setting.session(architecture, "fp16")
        captured = plain.with_options({**plain.options, CUDA_GRAPH: "1"})
        for batch in GRAPH_BATCHES:
            captured.prepare(batch)
        for batch in GRAPH_BATCHES:
            pixels = noise(plain, batch)
            logits = [session.run(pixels)[0] for session in (plain, captured)]
            both = [
                images_per_second([partial(session.run, pixels)], batch, sizes.seconds, sizes.rounds)
                for session in (plain, captured)
            ]
            yield {
                "network": architecture,
                "batch": batch,
                "images/s": both[0],
                "images/s, CUDA graph": both[1],
                "max diff": float(np.abs(logits[0] - logits[1]).max()),
                "n": sizes.rounds,
            }


def exhausted_memory(setting: Setting) -> Iterator[Row]:
    """A batch that does not fit: the session's error is lab's own, and the pipeline halves the batch and goes on."""
    session = setting.session("resnet18", "fp32")
    if session.provider is CPU:  # parts of a batch fit where the whole does not
        session = session.with_options({**session.options, DIVIDED: "0"})
    count = setting.sizes.too_many
    pixels = noise(session, count)
    session.run(pixels[:1])
    parts = [session.run(pixels[start : start + 16])[1] for start in range(0, count, 16)]
    for title, scarce in (("the provider's limit", _limited), ("taken by others", _taken)):
        with scarce(setting, session) as little:
            if little is None:
                continue
            raised = ""
            try:
                little.run(pixels)
            except DeviceError as error:
                raised = str(error)
            messages: list[str] = []
            probabilities = Runner(little, count, messages.append).run(pixels)
        yield {
            "memory": title,
            "images": count,
            "error": raised or "none",
            "pipeline": messages[-1] if messages else "ran the whole batch",
            "max diff": float(np.abs(probabilities - np.concatenate(parts)).max()),
            "n": 1,
        }


@contextlib.contextmanager
def _limited(setting: Setting, session: Session) -> Iterator[Session | None]:
    """The session with a limit of its provider's own; the CPU's has none."""
    cuda = setting.provider.memory == "cuda"
    yield session.with_options({**session.options, "gpu_mem_limit": str(setting.sizes.memory)}) if cuda else None


@contextlib.contextmanager
def _taken(setting: Setting, session: Session) -> Iterator[Session | None]:
    """A new session while all memory but a little is taken: the GPU's by torch, this process's by a limit."""
    if setting.provider.memory == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info()
        taken = torch.empty(max(0, free - setting.sizes.memory), dtype=torch.uint8, device="cuda")
        try:
            yield session.with_options(session.options)
        finally:
            del taken
            torch.cuda.empty_cache()
        return
    import resource

    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + setting.sizes.memory, limits[1]))
    try:
        yield session
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def noise(session: Session, count: int) -> Pixels:
    """Random images for a session, uint8 [count, H, W, 3]."""
    return np.random.default_rng(1).integers(0, 256, (count, *session.card.pixels.window, 3), dtype=np.uint8)
