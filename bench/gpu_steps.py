"""Steps of bench/gpu_day.py with the whole of lab: doctor, tests, training, validation, predictions, the whole path."""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from gpu_setting import ROOT, Row, Setting

from infer.core.errors import DeviceError

TRAINED = "resnet50", "resnet18"
"""The last of them compiled too: what was measured before that remains if it runs out of time."""
SUMMARY = re.compile(r"(\d+) (passed|failed|skipped|errors?|deselected)")


def doctor(setting: Setting) -> Iterator[Row]:
    """What `lab doctor` finds."""
    command = [sys.executable, "-m", "cli", "doctor"]
    environment = {**os.environ, "COLUMNS": "400"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    rows = [[cell.strip() for cell in line.split("│")] for line in ran.stdout.splitlines()]
    findings = [cells[1:3] for cells in rows if len(cells) == 4 and cells[1]]
    if not findings:
        raise RuntimeError(f"lab doctor printed no table: {ran.stdout}")
    for part, finding in findings:
        yield {"part": part, "finding": finding, "n": 1}


def tests(setting: Setting) -> Iterator[Row]:
    """The tests that need a GPU; in a dry run those of one file, which are skipped without one."""
    paths = ["tests/infer/model/test_cuda_graphs.py"] if setting.dry_run else []
    options = ["-m", "gpu", "-rfEs", "-p", "no:cacheprovider", "--color=no", "--continue-on-collection-errors"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *paths], cwd=ROOT, capture_output=True, text=True, check=False
    )
    print(ran.stdout, ran.stderr)
    if ran.returncode not in (0, 1):  # 1: some failed
        raise RuntimeError(f"pytest ended with {ran.returncode}")
    yield test_counts(ran.stdout)


def test_counts(output: str) -> Row:
    """The numbers of tests in pytest's last line, and the names of those that failed."""
    lines = [line for line in output.splitlines() if SUMMARY.search(line)]
    if not lines:
        raise RuntimeError("pytest printed no summary")
    counts = {name.rstrip("s"): int(count) for count, name in SUMMARY.findall(lines[-1])}
    failures = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    row: Row = {name: counts.get(name, 0) for name in ("passed", "failed", "error", "skipped")}
    return {**row, "problem": "; ".join(failures), "n": 1}


def training(setting: Setting, batch: int) -> Iterator[Row]:
    """images/s of the bare step, of warm epochs, and with validation: eager, then compiled."""
    import torch
    from train import epoch_rows, linked, open_trainer, source

    from trainer.recipe import apply_recipe, load_recipe

    if setting.dry_run:
        torch.compiler.set_stance("force_eager")  # compiling for the CPU takes minutes, and is not what a GPU runs
    sizes, device = setting.sizes, torch.device(setting.device)
    size = min(batch, sizes.cells[0] * sizes.repeat // 2)
    with tempfile.TemporaryDirectory(dir=setting.work) as folder:
        table = linked(source(setting.cells(), setting.work), Path(folder), sizes.repeat)
        for architecture in filter(setting.has, TRAINED):
            values = {"image_size": sizes.image_size, "batch_size": size, "device": setting.device}
            settings = apply_recipe(architecture, load_recipe("lab"), values).resolved(setting.device)[0]
            trainer, rates = open_trainer(settings, table, device)
            row: Row = {"network": architecture, "batch": size, "n": sizes.rounds}
            yield {**row, **rates, "n": 1}
            for compiled in (False, True) if architecture == TRAINED[-1] else (False,):
                found = epoch_rows(trainer, compiled, sizes.rounds, sizes.seconds)
                yield {**row, "compiled": compiled, **{name.removesuffix(", compiled"): found[name] for name in found}}


def validation(setting: Setting) -> Iterator[Row]:
    """images/s of validation in float32, in float32 with TF32, and in bfloat16, from canvases on the device."""
    import torch
    from precision import make_network

    from trainer.run.validation import validation_logits

    sizes, device = setting.sizes, torch.device(setting.device)
    side, batch = sizes.image_size, sizes.batches[-1]
    images = torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8, device=device)
    for architecture in filter(setting.has, TRAINED):
        network, card = make_network(architecture, side)
        network = network.to(device).to(memory_format=torch.channels_last)
        exact = None
        for arithmetic, mixed, is_exact in (("fp32", False, True), ("TF32", False, False), ("bf16", True, False)):
            run = partial(validation_logits, network, [images] * 8, card.pixels, device, mixed, is_exact)
            rates = []
            for _ in range(sizes.rounds + 1):
                start = time.perf_counter()
                logits = run().cpu()
                rates.append(8 * batch / (time.perf_counter() - start))
            exact = logits if exact is None else exact
            rate, difference = statistics.median(rates[1:]), float((logits - exact).abs().max())
            row: Row = {"network": architecture, "arithmetic": arithmetic, "batch": batch, "images/s": rate}
            yield {**row, "max diff from fp32": difference, "n": sizes.rounds}


def predictions(setting: Setting, decode: str) -> Iterator[Row]:
    """images/s of `lab predict` beside decoding alone and the network alone, from JPEGs."""
    from predict import median_rates, open_decoder

    sizes, files = setting.sizes, setting.jpegs()
    for architecture in sizes.networks:
        session = setting.session(architecture, "fp16")
        decoder = open_decoder(session, decode, len(files))
        rates = median_rates(session, decoder, files, sizes.batch, sizes.rounds)
        row: Row = {"network": architecture, "decoded on": decode, "images": len(files), "batch": sizes.batch}
        named = {"decode": rates["decode"], "network alone": rates["network"], "bound": rates["bound"]}
        yield {**row, **named, "lab": rates["lab"], "lab / bound": rates["share"], "n": sizes.rounds}


def image_sizes(setting: Setting) -> Iterator[Row]:
    """images/s of decoding on the GPU for files of one size and of many, each with a new decoder, which knows none."""
    from predict import open_decoder
    from sizes import rates_of_passes

    sizes, session = setting.sizes, setting.session("resnet18", "fp16")
    mixed = setting.mixed_jpegs()
    same = setting.jpegs()[: len(mixed)]
    open_new = partial(open_decoder, session, "gpu", len(mixed))
    rates = rates_of_passes([same, mixed], open_new, sizes.batch, sizes.rounds)
    found = {kinds: [first for (first,) in rounds] for kinds, rounds in zip((1, len(mixed)), rates, strict=True)}
    medians = {kinds: statistics.median(rates) for kinds, rates in found.items()}
    for kinds, rate in medians.items():
        row: Row = {"sizes": kinds, "images": len(mixed), "images/s": rate}
        yield {**row, "rate / of one size": rate / medians[1], "n": sizes.rounds}


def load_hints(setting: Setting) -> Iterator[Row]:
    """images/s of decoding on the GPU by the share that is hinted for its JPEG engine; 1 is nvImageCodec's default."""
    from sizes import decoding_rate

    from infer.pipeline.gpu_decode import GpuDecoder

    sizes, session, files = setting.sizes, setting.session("resnet18", "fp16"), setting.jpegs()
    hints = (1.0, 0.75, 0.5, 0.25, 0.0)
    opened = {hint: GpuDecoder([session.card.pixels], "none", session.provider, hint) for hint in hints}
    found: dict[float, list[float]] = {hint: [] for hint in hints}
    for _ in range(sizes.rounds + 1):  # the first one warms up
        for hint, decoder in opened.items():
            found[hint].append(decoding_rate(files, decoder, sizes.batch))
    for hint, rates in found.items():
        yield {"load hint": hint, "images": len(files), "images/s": statistics.median(rates[1:]), "n": sizes.rounds}


def decoders(setting: Setting) -> Iterator[Row]:
    """How decoding on the GPU changes pixels and predictions, by how the JPEGs' chroma is subsampled."""
    from predict import open_decoder

    from infer.pipeline.decoder_comparison import compare_decoders

    session = setting.session("resnet18", "fp16")
    for kind, files in setting.jpegs_by_subsampling().items():
        row: Row = {"subsampling": kind, "images": len(files), "n": 1}
        try:
            found = compare_decoders([session], files, setting.sizes.batch, "none", open_decoder(session, "gpu", 1))
        except DeviceError as error:
            yield {**row, "problem": str(error)}
            continue
        differences = {"mean level of 255": found.levels, "probability": found.probability, "labels": found.labels}
        yield {**row, **differences}


def whole_path(setting: Setting) -> Iterator[Row]:
    """Seconds of train, export, predict, and predict without torch, each a process of its own (bench/path.py)."""
    from path import seconds_of_commands

    sizes = setting.sizes
    architecture = sizes.networks[min(1, len(sizes.networks) - 1)]
    options = ["--epochs", str(sizes.epochs), "--image-size", str(sizes.image_size)]
    options += ["--batch-size", str(min(64, sizes.cells[0] // 2))]
    found = seconds_of_commands(setting.cells(), "resnet_18_test.csv", architecture, "fp16", setting.device, options)
    for command, seconds in found.items():
        yield {"command": command, "network": architecture, "precision": "fp16", "seconds": seconds, "n": 1}
