"""The pages in docs/: their commands run, and their tables are complete."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers.commands import lab_arguments
from helpers.onnx_files import save_unsealed
from PIL import Image

import trainer.config
from infer.images.preprocess import STEPS as PIXEL_STEPS
from infer.model.card import read_card
from infer.model.evidence import read_evidence
from infer.model.session import Session
from trainer.augment.parse import STEPS as AUGMENTATION_STEPS
from trainer.data.pixel_spec import pixel_spec
from trainer.options import build_config
from trainer.recipe import recipe_names

DOCS = Path(__file__).parent.parent / "docs"
COMMANDS = [
    (page.name, line)
    for page in sorted(DOCS.glob("*.md"))
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_command_in_the_docs_runs(
    page: str, line: str, lab: Callable, cells: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(cells, tmp_path / "cells")
    shutil.copytree(model.parent, tmp_path / "runs" / model.parent.name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(trainer.config.BY_DEVICE, "cpu", {"epochs": 1, "batch_size": 8, "image_size": 32})
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))  # what --tune remembers must not reach other tests
    monkeypatch.setattr("trainer.find_rate.STEPS", 6)
    monkeypatch.setattr("infer.model.autotune.SECONDS", 0)
    ran = lab(*lab_arguments(line))
    assert ran.code == 0, f"{page}: {line}: {ran.err}"


def test_every_augmentation_step_has_its_line() -> None:
    text = (DOCS / "augmentation.md").read_text(encoding="utf-8")
    for name in AUGMENTATION_STEPS:
        assert re.search(rf"^\|.*`{name}[(`]", text, re.MULTILINE), name


def test_every_recipe_is_on_the_page_that_compares_them() -> None:
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    for name in recipe_names():
        assert re.search(rf"^\| {name} \|", text, re.MULTILINE), name


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


def required_packages(pyproject: str) -> dict[str, set[str]]:
    """The packages that each extra asks for, and `base`, by their names without versions."""
    project = tomllib.loads(pyproject)["project"]
    groups = {"base": project["dependencies"], **project["optional-dependencies"]}
    return {group: {re.split(r"[^\w.-]", line)[0] for line in lines} for group, lines in groups.items()}


def explained_packages(page: str) -> dict[str, set[str]]:
    """The packages in the tables of docs/dependencies.md that say why, by the heading above them."""
    sections = re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    rows = re.compile(r"^\| ([^|]+) \| [^|]{5,} \| [^|]*\|$", re.MULTILINE)
    packages = re.compile(r"^\| package \|.*\n(?:\|.*\n?)*", re.MULTILINE)
    return {
        heading.lower(): {name for table in packages.findall(text) for name in rows.findall(table)} - {"package"}
        for heading, text in sections
    }


def test_each_dependency_is_explained_and_no_other() -> None:
    required = required_packages((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert explained_packages((DOCS / "dependencies.md").read_text(encoding="utf-8")) == required


def test_a_dependency_that_is_not_explained_is_found() -> None:
    required = required_packages(
        '[project]\ndependencies = ["numpy>=2; os_name == \'nt\'", "a_b[c]~=1"]\n'
        'optional-dependencies = {more = ["x.y-z"]}'
    )
    assert required == {"base": {"numpy", "a_b"}, "more": {"x.y-z"}}
    table = "| package | why | brings |\n|---|---|---|\n| numpy | arrays | |\n| a_b |  | |\n"
    other = "| version | MB of it | packages |\n|---|---|---|\n| before | 1 and more | 2 |\n"
    assert explained_packages(f"## Base\n\n{table}\n{other}") == {"base": {"numpy"}}


PAGE = (DOCS / "onnx.md").read_text(encoding="utf-8")


@pytest.fixture
def pictures(tmp_path: Path, save_image: Callable[..., Path]) -> list[Path]:
    """JPEGs large enough to be decoded at reduced scale, one turned by EXIF, and PNGs of all kinds."""
    folder = tmp_path / "pictures"
    files = [save_image(folder / f"{k}.{kind}", *size, seed=k) for k, (kind, size) in enumerate(SIZES)]
    with Image.open(files[0]) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(folder / "turned.jpg", exif=exif)
    with Image.open(files[-1]) as image:
        image.convert("RGB").save(folder / "transparent.png", transparency=tuple(image.convert("RGB").getpixel((0, 0))))
    deep = np.random.default_rng(0).integers(0, 65536, (50, 60), dtype=np.uint16)
    Image.fromarray(deep).save(folder / "deep.png")
    return sorted(folder.iterdir())


SIZES = [("jpg", (450, 450)), ("jpg", (333, 501)), ("jpg", (901, 300)), ("png", (40, 90)), ("png", (300, 211))]


def probabilities_of(lab: Callable, model: Path, folder: Path, out: Path) -> dict[str, list[float]]:
    """The probabilities that lab predict writes for each image of a folder, by name."""
    ran = lab(
        "predict", folder, "--model", model, "--no-sample", "--out", out, "--probabilities", out.with_suffix(".p.csv")
    )
    assert ran.code == 0, ran.err
    rows = [line.split(",") for line in out.with_suffix(".p.csv").read_text().splitlines()[1:]]
    return {row[0]: [float(cell) for cell in row[-2:]] for row in rows}


@pytest.mark.parametrize("fit", ["shorter", "longer", "stretch"])
def test_the_python_example_predicts_as_lab_does(
    fit: str, lab: Callable, model: Path, pictures: list[Path], tmp_path: Path
) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "example.py").write_text(script, encoding="utf-8")
    changed = onnx.load(model)
    (prop,) = [item for item in changed.metadata_props if item.key == "lab.card"]
    card = json.loads(prop.value)
    spec = pixel_spec(build_config("resnet18", "lab", {"image_size": 32, "fit": fit}).resolved("cpu")[0], 1.0)
    prop.value = json.dumps({**card, "pixels": spec.to_json()})
    save_unsealed(changed, tmp_path / "model.onnx")
    expected = probabilities_of(lab, tmp_path / "model.onnx", pictures[0].parent, tmp_path / "out.csv")
    command = [sys.executable, tmp_path / "example.py", tmp_path / "model.onnx", *pictures]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == len(expected) == len(pictures) > 6
    for line in lines:
        path, _, *values = line.split()
        assert list(map(float, values)) == pytest.approx(expected[Path(path).name], abs=1e-6), path


def test_the_python_example_feeds_a_file_that_takes_float_planes(
    lab: Callable, run: Path, pictures: list[Path], tmp_path: Path
) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "example.py").write_text(script, encoding="utf-8")
    planes = tmp_path / "planes.onnx"
    assert lab("export", run, "--input", "float", "--out", planes).code == 0
    expected = probabilities_of(lab, planes, pictures[0].parent, tmp_path / "out.csv")
    command = [sys.executable, tmp_path / "example.py", planes, *pictures]
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        path, _, *values = line.split()
        assert list(map(float, values)) == pytest.approx(expected.pop(Path(path).name), abs=1e-6), path
    assert not expected


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
@pytest.mark.skipif(not (DOCS / "examples" / "node_modules").is_dir(), reason="run make node for Node's packages")
@pytest.mark.parametrize("kind", ["uint8", "float"])
def test_the_javascript_example_predicts_as_lab_does(
    kind: str, lab: Callable, run: Path, model: Path, pictures: list[Path], tmp_path: Path
) -> None:
    if kind == "float":
        model = tmp_path / "planes.onnx"
        assert lab("export", run, "--input", "float", "--out", model).code == 0
    exact = [path for path in pictures if path.suffix == ".png" and path.stem != "deep"]
    expected = probabilities_of(lab, model, pictures[0].parent, tmp_path / "out.csv")
    command = ["node", DOCS / "examples" / "predict.mjs", model, *exact]
    output = subprocess.run(command, capture_output=True, check=True).stdout
    results = [json.loads(line) for line in output.splitlines()]
    assert len(results) == len(exact) > 2
    for result in results:
        image = result["image"]
        assert result["probabilities"] == pytest.approx(expected[Path(image).name], abs=1e-5), image


@pytest.fixture
def c_example(tmp_path: Path) -> Path:
    """docs/examples/predict.c, compiled."""
    source, program = DOCS / "examples" / "predict.c", tmp_path / "predict"
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folders = [DOCS / "examples" / "include", *(Path("/usr") / "include" / name for name in ("onnxruntime", "."))]
    include = next((folder for folder in folders if (folder / "onnxruntime_c_api.h").exists()), None)
    if include is None:
        pytest.skip("run make c-header for ONNX Runtime's header, or install libonnxruntime-dev")
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-I", include, source, "-o", program, "-ldl"], check=True)
    return program


def runtime_library() -> Path:
    """ONNX Runtime's C library in the Python package."""
    (folder,) = onnxruntime.__path__
    return next(Path(folder).glob("capi/libonnxruntime.so.*"))


def test_the_c_example_predicts_as_lab_does(
    c_example: Path, model: Path, save_image: Callable[..., Path], tmp_path: Path
) -> None:
    height, width = read_card(model).pixels.window
    images = [save_image(tmp_path / f"{seed}.ppm", width, height, seed=seed) for seed in range(3)]
    _, expected = Session(model, device="cpu").run(np.stack([np.asarray(Image.open(path)) for path in images]))
    command = [c_example, runtime_library(), model, *images]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == len(images)
    for line, image, probabilities in zip(lines, images, expected, strict=True):
        path, index, *values = line.split()
        assert path == str(image)
        assert list(map(float, values)) == pytest.approx(probabilities.tolist(), abs=1e-6)
        assert int(index) == probabilities.argmax()
    card = subprocess.run([*command[:3], "--card"], capture_output=True, text=True, check=True).stdout
    assert json.loads(card) == json.loads(read_card(model).to_json())


def test_the_c_example_refuses_images_of_another_size_and_files_that_are_cut_off(
    c_example: Path, model: Path, tmp_path: Path
) -> None:
    height, width = read_card(model).pixels.window
    Image.new("RGB", (width + 1, height)).save(tmp_path / "wide.ppm")
    Image.new("RGB", (width, height)).save(tmp_path / "whole.ppm")
    (tmp_path / "half.ppm").write_bytes((tmp_path / "whole.ppm").read_bytes()[:-100])
    for name, message in (("wide.ppm", f"the model takes {width} x {height}"), ("half.ppm", "is cut off")):
        ran = subprocess.run([c_example, runtime_library(), model, tmp_path / name], capture_output=True, text=True)
        assert ran.returncode == 1
        assert message in ran.stderr


def test_the_page_on_the_file_names_every_key_of_the_card_and_of_the_evidence(model: Path) -> None:
    evidence = read_evidence(model)
    assert evidence is not None
    for key in (*json.loads(read_card(model).to_json()), "sha256_before", "checks", "rule", "when", "machine"):
        assert f"`{key}`" in PAGE, key
    for key in evidence.content:
        assert f"`{key}`" in PAGE, key
    for step in PIXEL_STEPS:
        assert f"`{step}`" in PAGE, step
