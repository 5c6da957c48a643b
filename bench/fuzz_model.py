"""Kinds of inputs for bench/fuzz.py that lab wrote itself: models, checkpoints, recipes, progress files, records."""

import contextlib
import json
import random
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from fuzz_data import LINES, Setting
from fuzz_formats import encode, mutated_protobuf, mutated_safetensors, mutated_zip, parse
from fuzz_mutators import Mutator, mutated_bytes, mutated_text
from fuzz_run import Kind
from fuzz_values import mutated_json, mutated_toml
from safetensors.torch import save_file

import infer.predict
from infer.core.errors import LabError
from infer.core.files import sha256_of
from infer.dataset.table import read_run_table
from infer.inspect import describe
from infer.model.card import CARD_KEY
from infer.model.evidence import EVIDENCE_KEY, attach_evidence, read_evidence
from infer.model.onnx_reader import METADATA_PROPS, metadata_entry
from infer.model.seal import check_seal
from infer.pipeline import resume
from infer.prediction_record import read_record
from infer.reports.saved_report import read_report
from infer.reports.training_history import figures_table, read_run
from trainer.model.checkpoint import load_checkpoint
from trainer.model.network import build_network
from trainer.model.weights import load_weights
from trainer.recipe import load_recipe
from trainer.run.run_record import read_record as read_run_record
from trainer.run.snapshot import load_snapshot


def model_kinds(setting: Setting) -> list[Kind]:
    """ONNX files, with and without a valid seal, and cards in ONNX files and in checkpoints."""
    folder, model = setting.folder("models"), setting.model.read_bytes()
    checkpoint = (setting.run / "best.safetensors").read_bytes()
    evidence = read_evidence(setting.model)
    assert evidence is not None

    def sealed(mutate: Mutator) -> Mutator:
        """A mutator of a model without its evidence, which is then sealed, where it can be, as a stranger could."""

        def change(chance: random.Random, content: bytes) -> bytes:
            path = folder / "draft.onnx"
            path.write_bytes(mutate(chance, without_entry(content, EVIDENCE_KEY)))
            with contextlib.suppress(LabError, ValueError, OverflowError):
                attach_evidence(path, evidence.content)
            return path.read_bytes()

        return change

    def with_card(chance: random.Random, content: bytes) -> bytes:
        text = mutated_json(chance, setting.card.to_json().encode()).decode()
        return without_entry(content, CARD_KEY) + metadata_entry(CARD_KEY, text)

    def with_evidence(chance: random.Random, content: bytes) -> bytes:
        """The evidence, changed, with the checksum of the file before it."""
        path, plain = folder / "draft.onnx", without_entry(content, EVIDENCE_KEY)
        path.write_bytes(plain)
        values = {**evidence.content, "sha256_before": sha256_of(path)}
        return plain + metadata_entry(EVIDENCE_KEY, mutated_json(chance, json.dumps(values).encode()).decode())

    def card_of_checkpoint(chance: random.Random, content: bytes) -> bytes:
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        header["__metadata__"][CARD_KEY] = mutated_json(chance, header["__metadata__"][CARD_KEY].encode()).decode()
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + content[8 + size :]

    def read(path: Path) -> None:
        describe(path)
        check_seal(path)

    def predict(path: Path) -> list[str | Path]:
        return [*setting.predict(images, "--no-sample")[:2], "--model", path, *setting.predict(images)[4:]]

    def inspect(path: Path) -> list[str | Path]:
        return ["inspect", path]

    images = setting.folder("few")
    setting.few_images(images)
    seeds = {"m.onnx": model}
    graph = sealed(mutated_protobuf)
    return [
        Kind("ONNX file", seeds, (mutated_bytes, mutated_protobuf, graph, graph), folder, read, predict, 20),
        Kind("card in ONNX", seeds, [sealed(with_card)], folder, read, predict, 4),
        Kind("evidence", seeds, [with_evidence], folder, read, predict, 4),
        Kind("card in checkpoint", {"best.safetensors": checkpoint}, [card_of_checkpoint], folder, load_checkpoint,
             inspect, 4),
    ]  # fmt: skip


def without_entry(content: bytes, key: str) -> bytes:
    """A model file without a metadata entry."""
    return encode([field for field in parse(content) or [] if field[0] != METADATA_PROPS or not _has_key(field, key)])


def _has_key(field: Any, key: str) -> bool:
    return key.encode() in encode([field])[:80]


def checkpoint_kinds(setting: Setting) -> list[Kind]:
    """Checkpoints, snapshots and weights from elsewhere."""
    run, folder = setting.base / "resumed", setting.folder("weights")
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(setting.run, run)
    network = build_network(setting.card)
    torch.save(network.backbone.state_dict(), folder / "w.pth")
    save_file(network.backbone.state_dict(), folder / "w.safetensors")
    weights = {name: (folder / name).read_bytes() for name in ("w.pth", "w.safetensors")}
    best = {"best.safetensors": (run / "best.safetensors").read_bytes()}
    inner = mutated_zip(mutated_bytes)
    classes = ",".join(f"{item.label}={item.name}" for item in setting.card.classes)

    def export(path: Path) -> list[str | Path]:
        options = ["--arch", "resnet18", "--classes", classes, "--image-size", "32", "--device", "cpu"]
        return ["export", path, *options, "--data", setting.cells, "--out", setting.base / "out" / "w.onnx"]

    return [
        Kind("checkpoint", best, (mutated_safetensors, mutated_bytes), folder, load_checkpoint,
             lambda path: ["inspect", path], 4),
        Kind("snapshot", {"last.ckpt": (run / "last.ckpt").read_bytes()}, (inner, inner, mutated_bytes), run,
             lambda path: load_snapshot(path.parent), lambda path: ["train", "--resume", path.parent], 100),
        Kind("weights", weights,
             (lambda chance, content: (inner if content[:2] == b"PK" else mutated_safetensors)(chance, content),
              mutated_bytes),
             folder, lambda path: load_weights(network.backbone, path), export),
    ]  # fmt: skip


def progress_kind(setting: Setting) -> Kind:
    """Progress files, with blocks whose checksums are right, or damaged."""
    images, out = setting.folder("begun"), setting.folder("out progress")
    setting.few_images(images)
    begun: list[resume.Progress] = []

    class Kept(resume.Progress):
        """Remembers the prediction, and leaves its file."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            begun.append(self)

        def delete(self) -> None:
            """Nothing is deleted."""

    command = [*setting.predict(images)[:4], "--out", out / "s.csv", "--device", "cpu", "--no-sample"]
    with changed(resume, INTERVAL=0.0), changed(infer.predict, Progress=Kept):
        import cli

        cli.app([str(argument) for argument in command], standalone_mode=False)
    (first,) = begun
    content = first.path.read_bytes()

    def blocks(chance: random.Random, content: bytes) -> bytes:
        """Change the line or the numbers of a block; its length and checksum are right."""
        header, _, rest = content.partition(b"\n")
        size, _ = resume.BLOCK.unpack(rest[: resume.BLOCK.size])
        line, _, numbers = rest[resume.BLOCK.size :][:size].partition(b"\n")
        change = chance.randrange(4)
        line = mutated_json(chance, line) if change <= 1 else mutated_bytes(chance, line) if change == 2 else line
        numbers = mutated_bytes(chance, numbers) if change == 3 else numbers
        block = line + b"\n" + numbers
        packed = resume.BLOCK.pack(len(block), zlib.crc32(block)) + block
        return header + b"\n" + packed * chance.choice((1, 1, 2))

    def header(chance: random.Random, content: bytes) -> bytes:
        line, _, rest = content.partition(b"\n")
        return mutated_json(chance, line) + b"\n" + rest

    def read(path: Path) -> None:
        progress = resume.Progress(path, first.fingerprint, first.files, first.batch_size, first.classes)
        list(progress.saved())

    name = first.path.name
    return Kind("progress", {name: content}, (blocks, blocks, header, mutated_bytes), out, read, lambda _: command, 4)


@contextlib.contextmanager
def changed(owner: Any, **values: Any) -> Iterator[None]:
    """Give attributes other values for a block."""
    old = {name: getattr(owner, name) for name in values}
    try:
        for name, value in values.items():
            setattr(owner, name, value)
        yield
    finally:
        for name, value in old.items():
            setattr(owner, name, value)


def record_kinds(setting: Setting) -> list[Kind]:
    """Recipes, and the records, histories and reports that lab reads again."""
    run = setting.base / "kept"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(setting.run, run)
    toml = (mutated_toml, mutated_toml, mutated_toml, mutated_text, mutated_bytes)
    recipe = (setting.run / "recipe.toml").read_bytes()
    lab = (Path(__file__).parents[1] / "trainer" / "recipes" / "lab.toml").read_bytes()
    recipes = setting.folder("recipes")
    out = setting.folder("predicted")
    import cli

    cli.app([str(a) for a in [*setting.predict(setting.base / "few")[:4], "--out", out / "s.csv", "--device", "cpu",
                              "--no-sample"]], standalone_mode=False)  # fmt: skip
    values = (mutated_json, mutated_json, mutated_bytes)
    compare, evaluated = setting.base / "out" / "compared", setting.base / "out" / "evaluated"

    def named(folder: Path, *names: str) -> dict[str, bytes]:
        return {name: (folder / name).read_bytes() for name in names}

    return [
        Kind("recipe", {"r.toml": recipe, "lab.toml": lab}, toml, recipes, lambda path: load_recipe(str(path)),
             lambda path: ["recipes", path], 4),
        Kind("report", named(run / "report", "report.json"), values, run / "report", lambda p: read_report(p.parent),
             lambda path: ["compare", run / "report", setting.run / "report", "--out", compare]),
        Kind("report's predictions", named(run / "report", "predictions.csv"), LINES, run / "report",
             lambda path: read_report(path.parent),
             lambda path: ["compare", run / "report", setting.run / "report", "--out", compare]),
        Kind("history", named(run, "history.csv"), LINES, run,
             lambda path: figures_table([read_run(path.parent)], 2),
             lambda path: ["compare", run, setting.run, "--out", compare]),
        Kind("run's table", named(run, "data.csv"), LINES, run,
             lambda path: read_run_table(path, setting.cells, setting.card.classes),
             lambda path: ["evaluate", "--model", run / "model.onnx", "--device", "cpu", "--out", evaluated]),
        Kind("run record", named(run, "run.json"), values, run, lambda path: read_run_record(path.parent),
             lambda path: ["reproduce", run], 100),
        Kind("prediction record", named(out, "s.prediction.json"), values, out,
             lambda path: read_record(out / "s.csv").config({}), lambda path: ["reproduce", out / "s.csv"], 10),
    ]  # fmt: skip
