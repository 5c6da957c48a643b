"""Kinds of inputs for bench/fuzz.py that lab keeps for itself: in its cache, in journals, beside what it predicted."""

import contextlib
import json
import random
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_data import LINES, Setting
from fuzz_mutators import Mutator, mutated_bytes, mutated_text
from fuzz_run import Kind
from fuzz_values import mutated_json, mutated_toml
from helpers.packed_files import save_npz

from infer.core.console import SILENT
from infer.core.drafts import hidden_names
from infer.core.errors import OutputError
from infer.core.exclusive import exclusive, reserved
from infer.core.file_sets import finish_interrupted
from infer.core.files import cache_folder
from infer.core.locks import try_lock
from infer.dataset.config import DataCheckConfig
from infer.dataset.held_out import run_table
from infer.dataset.rows import SPLIT_FILES
from infer.dataset.source import find_source, read_source
from infer.dataset.unpack import MARKER, METADATA
from infer.model.provider_options import save_options
from infer.model.providers import CPU
from infer.model.session import Session
from infer.reports.provenance import Origin, model_card
from infer.tables.row_comparison import compare_rows
from trainer.data.cache import load_canvases

VALUES: tuple[Mutator, ...] = (mutated_json, mutated_json, mutated_bytes)


def kept_kinds(setting: Setting) -> list[Kind]:
    """What lab reads of its own files, beside models, runs and reports."""
    cached = [options_kind(setting), unpacked_kind(setting), canvases_kind(setting), lock_kind(setting)]
    return [*cached, *journal_kinds(setting), *other_kinds(setting)]


def options_kind(setting: Setting) -> Kind:
    """The options that `lab predict --tune` saved."""
    options = CPU.default_options("fp32")
    path = save_options(setting.model, CPU, options)
    content = path.read_bytes()
    path.unlink()

    def one_option(chance: random.Random, content: bytes) -> bytes:
        """Other names and values for this model's options, which stay texts."""
        saved = json.loads(content)
        (key,) = saved
        names, values = (
            [*options, "intra_op_num_threads", "no such", ""],
            ["0", "1", "-1", "x", "", "9" * 30, "\0", "é"],
        )
        saved[key] = {chance.choice(names): chance.choice(values) for _ in range(chance.choice((0, 1, 2)))}
        return json.dumps(saved).encode()

    def read(_: Path) -> None:
        session = Session(setting.model, "cpu")
        session.run(np.zeros((1, *session.card.pixels.window, 3), np.uint8))

    return Kind("tuned options", {path.name: content}, (*VALUES, one_option), path.parent, read,
                lambda _: setting.predict(setting.base / "few"), 4)  # fmt: skip


def unpacked_kind(setting: Setting) -> Kind:
    """The marker and the table of a data set that was unpacked into the cache."""
    source = setting.folder("unpacked from") / "kept.npz"
    save_npz(source, counts=(4, 2, 2))

    def read(_: Path) -> None:
        read_source(find_source(source, DataCheckConfig(data=source)))

    read(source)
    (folder,) = (cache_folder() / "unpacked").glob("kept-*")
    seeds = {name: (folder / name).read_bytes() for name in (MARKER, METADATA)}

    def class_names(chance: random.Random, content: bytes) -> bytes:
        """Change only what the marker is not compared by."""
        if not content.startswith(b"{"):
            return bytes([chance.randrange(256) if chance.random() < 0.1 else byte for byte in content])
        names = json.loads(mutated_json(chance, json.dumps({"label": ["a", "b"]}).encode()).replace(b"[" * 999, b""))
        return json.dumps({**json.loads(content), "class_names": names}).encode()

    def change(chance: random.Random, content: bytes) -> bytes:
        return (mutated_json if content.startswith(b"{") else chance.choice(LINES))(chance, content)

    return Kind("unpacked set", seeds, (suppressing(class_names), change, mutated_bytes), folder, read,
                lambda _: ["data", "check", source, "--out", setting.base / "out" / "check"], 50)  # fmt: skip


def suppressing(mutate: Mutator) -> Mutator:
    """A mutator that leaves a content as it is where another's result is no JSON."""

    def change(chance: random.Random, content: bytes) -> bytes:
        with contextlib.suppress(ValueError):
            return mutate(chance, content)
        return content

    return change


def canvases_kind(setting: Setting) -> Kind:
    """The decoded images in the cache, and the notes beside them."""
    source = setting.folder("decoded from")
    names = setting.few_images(source)
    (source / "damaged.bmp").write_bytes(b"BM")
    rows = "".join(f"{name},{number % 2}\n" for number, name in enumerate([*names, "damaged.bmp"]))
    (source / "train.csv").write_text(f"Path,label\n{rows}")
    table, _ = read_source(find_source(source, DataCheckConfig(data=source)))
    shutil.rmtree(cache_folder() / "canvases", ignore_errors=True)

    def read(_: Path) -> None:
        canvases = load_canvases(table, setting.card.pixels, 1, SILENT)
        assert len(canvases.table) == len(canvases.pixels_nhwc) == len(names), "rows are missing"
        assert [error.path for error in canvases.bad] == ["damaged.bmp"], "another image is left out"
        assert all(isinstance(error.reason, str) for error in canvases.bad), "a reason is no text"

    read(source)
    folder = cache_folder() / "canvases"
    seeds = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}

    def change(chance: random.Random, content: bytes) -> bytes:
        return (mutated_json if content.startswith(b"{") else mutated_bytes)(chance, content)

    return Kind("decoded images", seeds, (change, change, mutated_bytes), folder, read)


def lock_kind(setting: Setting) -> Kind:
    """What a process that is running has written into its lock."""
    out, locks = setting.base / "out" / "locked.csv", cache_folder() / "locks"
    with exclusive(out):
        (path,) = locks.glob("*.lock")
        content = path.read_bytes()
    folder = setting.folder("lock notes")

    def read(note: Path) -> None:
        locks.mkdir(parents=True, exist_ok=True)  # it goes with its last lock
        with path.open("w+b") as file:
            file.write(note.read_bytes())
            file.flush()
            try_lock(file.fileno())
            assert reserved(out.parent) >= 0
            with contextlib.suppress(OutputError), exclusive(out):
                raise AssertionError("the lock is not respected")

    return Kind("lock", {path.name: content}, VALUES, folder, read)


def journal_kinds(setting: Setting) -> list[Kind]:
    """Journals of interrupted sets, of which one may come with a data set; nothing outside of the set may change."""
    folder = setting.folder("interrupted")
    names = setting.few_images(folder)
    (folder.parent / "outside.csv").write_text("kept")
    texts = {name: f"Path,label\n{names[number]},{number % 2}\n" for number, name in enumerate(SPLIT_FILES[:2])}
    drafts = {name: next(hidden_names(folder / name)).name for name in texts}
    moves = [[draft, name] for name, draft in drafts.items()] + [["test.csv", ""]]
    journal = next(hidden_names(folder / SPLIT_FILES[0])).with_suffix(".journal")
    others = [*drafts.values(), *SPLIT_FILES, *names, "../outside.csv", str(folder.parent / "outside.csv"), "", "."]
    others += [path.name for name in ("\ud800.csv", "a\0b", "train.csv") for path in islice(hidden_names_of(name), 3)]

    def other_names(chance: random.Random, content: bytes) -> bytes:
        changed = json.loads(content)
        for _ in range(chance.choice((1, 2, 3))):
            chance.choice(changed)[chance.randrange(2)] = chance.choice(others)
        return json.dumps(changed).encode()

    def prepare() -> None:
        for name, text in texts.items():
            (folder / name).write_text(text)
            (folder / drafts[name]).write_text(text)
        (folder / "test.csv").write_text(f"Path\n{names[2]}\n")

    def read(names_of_set: Sequence[str] | None, path: Path) -> None:
        prepare()
        try:
            finish_interrupted(folder / SPLIT_FILES[0], names_of_set)
        finally:
            assert (folder.parent / "outside.csv").read_text() == "kept", "a file outside has changed"
            assert all((folder / name).is_file() for name in names), "an image is gone"

    def check(_: Path) -> list[str | Path]:
        prepare()
        return ["data", "check", folder, "--out", setting.base / "out" / "check"]

    seeds = {journal.name: json.dumps(moves).encode()}
    mutators = (*VALUES, other_names, other_names, mutated_text)
    return [
        Kind("journal", seeds, mutators, folder, partial(read, SPLIT_FILES), check),
        Kind("journal before a set is written", seeds, mutators, folder, partial(read, None)),
    ]


def hidden_names_of(name: str) -> Any:
    """The hidden names of a file whose name the system may not take."""
    with contextlib.suppress(ValueError):
        return hidden_names(Path(name))
    return iter(())


def other_kinds(setting: Setting) -> list[Kind]:
    """A run's recipe where its images are looked up, names of classes, and predictions that are compared again."""
    run, classes = setting.base / "described", setting.folder("classes")
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(setting.run, run)
    names = setting.few_images(classes)
    (classes / "train.csv").write_text("Path,label\n" + "".join(f"{name},{n % 2}\n" for n, name in enumerate(names)))
    toml = (mutated_toml, mutated_toml, mutated_toml, mutated_text, mutated_bytes)
    recipe = {"recipe.toml": (setting.run / "recipe.toml").read_bytes()}
    out = setting.folder("predicted again")
    import cli

    few = setting.predict(setting.base / "few")[:4]
    options = ["--out", out / "s.csv", "--probabilities", out / "p.parquet", "--device", "cpu", "--no-sample"]
    cli.app([str(argument) for argument in (*few, *options)], standalone_mode=False)
    written = {name: (out / name).read_bytes() for name in ("s.csv", "p.parquet")}
    original = {name: setting.base / f"same-{name}" for name in written}
    for name, path in original.items():
        path.write_bytes(written[name])

    def table_or_bytes(chance: random.Random, content: bytes) -> bytes:
        return (mutated_bytes if content.startswith(b"PAR1") else chance.choice(LINES))(chance, content)

    def compare(path: Path) -> None:
        for pair in ((path, original[path.name]), (original[path.name], path)):
            compare_rows(*pair, (1, 2)).text()

    def read_run(path: Path) -> None:
        run_table(path.parent, setting.card)
        model_card(Origin(card=setting.card, model=run / "model.onnx", run=run))

    def read_set(path: Path) -> None:
        read_source(find_source(path.parent, DataCheckConfig(data=path.parent)))

    evaluate: Callable[[Path], list[str | Path]] = lambda _: [  # noqa: E731
        *("evaluate", "--model", run / "model.onnx", "--device", "cpu", "--out", setting.base / "out" / "evaluated")
    ]
    return [
        Kind("run's recipe", recipe, toml, run, read_run, evaluate),
        Kind("class names", {"classes.csv": b"label,name\n0,normal\n1,blast\n"}, LINES, classes, read_set,
             lambda path: ["data", "check", path.parent, "--out", setting.base / "out" / "check"]),
        Kind("predicted rows", written, (table_or_bytes, mutated_bytes), out, compare,
             lambda path: ["reproduce", out / "s.csv"], 20),
    ]  # fmt: skip
