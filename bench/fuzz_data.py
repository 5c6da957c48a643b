"""Kinds of inputs for bench/fuzz.py that hold images, or say something of them: image files, archives, tables, sets."""

import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from fuzz_formats import mutated_png, mutated_tar, mutated_zip
from fuzz_images import image_seeds
from fuzz_mutators import Mutator, mutated_bytes, mutated_table, mutated_text, spliced
from fuzz_run import Kind
from fuzz_values import mutated_json, mutated_toml
from helpers.packed_files import pictures, save_npz, save_pair, save_parquet, save_tar
from PIL import Image

from infer.config import PredictConfig
from infer.core.console import SILENT
from infer.dataset.config import DataCheckConfig
from infer.dataset.exclude import read_exclusions
from infer.dataset.source import find_source, read_source
from infer.images.archive import read_content
from infer.images.decode import bombs_are_errors
from infer.images.preprocess import read_window
from infer.model.card import ModelCard, read_card
from infer.tables.inputs import Inputs, read_inputs
from infer.tables.labels import find_truth
from infer.tables.submission import choose_form

FEW = 4
"""Images beside a table."""
LINES: tuple[Mutator, ...] = (mutated_table, mutated_table, mutated_table, mutated_text, mutated_bytes)


@dataclass(frozen=True)
class Setting:
    """What the inputs are used with.

    Attributes:
        base: a folder for everything.
        cells: a data set.
        run: a run that was trained on it.
        model: the run's exported file.
    """

    base: Path
    cells: Path
    run: Path
    model: Path

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return read_card(self.model)

    def folder(self, name: str) -> Path:
        """A new folder below the base."""
        shutil.rmtree(self.base / name, ignore_errors=True)
        (self.base / name).mkdir(parents=True)
        return self.base / name

    def few_images(self, folder: Path) -> list[str]:
        """Copy some test images of the data set into a folder; their names."""
        files = sorted(path for path in (self.cells / "test").iterdir() if path.is_file())[:FEW]
        return [Path(shutil.copy(path, folder)).name for path in files]

    def predict(self, source: Path, *options: str | Path) -> list[str | Path]:
        """The arguments that predict a source."""
        out: list[str | Path] = [
            "--out",
            self.base / "out" / "s.csv",
            "--device",
            "cpu",
            "--no-pictures",
            "--thumbnails",
            "0",
        ]
        return ["predict", source, "--model", self.model, *out, *options]


def image_kinds(setting: Setting) -> list[Kind]:
    """The files of each image format."""
    folder, spec = setting.folder("images"), setting.card.pixels

    def read(path: Path) -> None:
        with bombs_are_errors():
            read_window(str(path), spec)

    kinds = []
    for name, seeds in image_seeds(folder).items():
        mutators = [mutated_bytes, mutated_bytes, mutated_bytes, spliced(list(seeds.values()))]
        mutators += [mutated_png] * 3 if name == "PNG" else []
        kinds.append(Kind(name, dict(seeds), mutators, folder, read, setting.predict, 100))
    return kinds


def archive_kinds(setting: Setting) -> list[Kind]:
    """Zip and tar files of images."""
    folder, spec, classes = setting.folder("archives"), setting.card.pixels, setting.card.classes
    names = setting.few_images(folder)
    contents = {name: (folder / name).read_bytes() for name in names}
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        for number, (name, content) in enumerate(contents.items()):
            archive.writestr(f"{number % 2}/{name}", content, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[number % 2])
    with tarfile.open(fileobj=tarred, mode="w") as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(f"a/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))

    def read(path: Path) -> None:
        inputs = read_inputs(path, classes)
        with bombs_are_errors():
            for file in inputs.files[:FEW]:
                read_window(file, spec)
                read_content(file)

    plain = {
        "zip": ({"x.zip": zipped.getvalue()}, mutated_zip(mutated_bytes)),
        "tar": ({"x.tar": tarred.getvalue()}, mutated_tar(mutated_bytes)),
    }
    return [
        Kind(name, seeds, (mutate, mutate, mutated_bytes), setting.folder(name), read, setting.predict)
        for name, (seeds, mutate) in plain.items()
    ]


def prediction_tables(setting: Setting) -> list[Kind]:
    """The tables of `lab predict`: truth, listing and sample submission."""
    folder, classes = setting.folder("tables"), setting.card.classes
    names = setting.few_images(folder)
    inputs = Inputs(folder, names, [str(folder / name) for name in names])
    labels = [classes[number % 2].label for number in range(len(names))]
    truth = table(["Path", "label", "patient"], [[n, x, f"p{x}"] for n, x in zip(names, labels, strict=True)])
    sample = table(["ID", "label"], [[name, "0"] for name in names])
    chances = table(["ID", *(item.label for item in classes)], [[name, *["0.5"] * len(classes)] for name in names])
    out = setting.base / "out" / "s.csv"

    def read_truth(path: Path) -> None:
        find_truth(PredictConfig(source=folder, out=out, truth=path), inputs, classes, SILENT)

    def read_sample(path: Path) -> None:
        choose_form(PredictConfig(source=folder, out=out, sample=path), inputs, classes, SILENT)

    lists = {"list.csv": truth, "list.txt": "\n".join(names).encode(), "list.jsonl": json_lines(truth)}
    return [
        Kind("truth", {"t.csv": truth, "t.tsv": truth.replace(b",", b"\t")}, LINES, setting.folder("truth"), read_truth,
             lambda path: setting.predict(folder, "--truth", path, "--no-sample"), 200),
        Kind("listing", lists, LINES, folder, lambda path: read_inputs(path, classes), setting.predict),
        Kind("sample", {"s.csv": sample, "chances.csv": chances}, LINES, setting.folder("sample"), read_sample,
             lambda path: setting.predict(folder, "--sample", path)),
    ]  # fmt: skip


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """Rows as CSV."""
    return "".join(",".join(row) + "\n" for row in [header, *rows]).encode()


def json_lines(content: bytes) -> bytes:
    """A CSV as JSON lines."""
    header, *rows = [line.split(",") for line in content.decode().splitlines()]
    return "\n".join(json.dumps(dict(zip(header, row, strict=True))) for row in rows).encode()


def data_kinds(setting: Setting) -> list[Kind]:
    """Data sets: labels tables, those of a folder, lists of images to leave out, dataset cards, packed images."""
    folder, packed = setting.folder("labels"), setting.folder("packed")
    names = setting.few_images(folder)
    rows = [[name, str(number % 2), f"p{number}", ("train", "valid")[number // 2]] for number, name in enumerate(names)]
    labels = table(["image", "label", "patient", "split"], rows)
    out = setting.base / "out" / "check"

    def read(path: Path) -> None:
        config = DataCheckConfig(data=path)
        read_source(find_source(path, config))

    def read_folder(path: Path) -> None:
        read(path.parent)

    def check(path: Path) -> list[str | Path]:
        return ["data", "check", path, "--out", out]

    inside = setting.folder("folder")
    setting.few_images(inside)
    tables = {
        "train.csv": table(["Path", "label"], [row[:2] for row in rows[:2]]),
        "valid.csv": table(["Path", "label"], [row[:2] for row in rows[2:]]),
    }
    for name, content in tables.items():
        (inside / name).write_bytes(content)
    card = f'labels = "labels.csv"\nimages = ["{folder}"]\nimage_column = "image"\nlabel_column = "label"\n'
    card += 'split_column = "split"\nkeep_masks = false\n'
    cards = setting.folder("cards")
    (cards / "labels.csv").write_bytes(labels)
    sets, seeds = setting.folder("sets"), packed_seeds(packed)
    for path in packed.glob("*_y.h5"):
        shutil.copy(path, sets)
    excluded = table(["path", "reason"], [[name, "copy"] for name in names])
    return [
        Kind("labels table", {"l.csv": labels, "l.jsonl": json_lines(labels)}, LINES, folder, read, check, 200),
        Kind("split tables", tables, LINES, inside, read_folder),
        Kind("exclusions", {"exclude.csv": excluded}, LINES, setting.folder("exclude"), read_exclusions),
        Kind("dataset card", {"d.toml": card.encode()}, (mutated_toml, mutated_toml, mutated_text), cards, read),
        Kind("packed images", seeds, packed_mutators(), sets, read),
    ]


def packed_seeds(folder: Path) -> dict[str, bytes]:
    """A small file of each kind that holds images."""
    image = io.BytesIO()
    Image.fromarray(pictures(1, 20, 20, 3)[0]).save(image, "PNG")
    content = image.getvalue()
    save_npz(folder / "m.npz", counts=(2, 1, 1))
    save_parquet(folder / "p.parquet", [{"bytes": content, "path": f"{n}.png"} for n in range(3)], label=[0, 1, 0])
    members: dict[str, bytes] = {}
    for number in range(3):
        members |= {f"{number}.png": content, f"{number}.cls": b"1", f"{number}.json": b'{"label": 1, "group": "p"}'}
    save_tar(folder / "w.tar", members)
    save_pair(folder, "train", 2)
    return {path.name: path.read_bytes() for path in folder.iterdir() if "_y" not in path.name}


def packed_mutators() -> list[Mutator]:
    """For files of several formats: each changes those of its own, and the bytes of all others."""

    def part(chance: Random, content: bytes) -> bytes:
        return (mutated_json if content[:1] == b"{" else mutated_bytes)(chance, content)

    def changed(chance: Random, content: bytes) -> bytes:
        if content.startswith(b"PK"):
            return mutated_zip(mutated_bytes)(chance, content)
        return (mutated_tar(part) if content[257:262] == b"ustar" else mutated_bytes)(chance, content)

    return [changed, changed, mutated_bytes]
