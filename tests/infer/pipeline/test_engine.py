"""`lab predict --decode gpu`: told what it changes, where images were decoded, and refused where it can't be had."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import infer.pipeline.engine
import infer.pipeline.gpu_decode
from infer.config import PredictConfig
from infer.core.errors import ConfigError
from infer.images.listing import list_images
from infer.model.cuda import CPU, find_problem

pytest.importorskip("nvidia.nvimgcodec", reason="nvImageCodec is not installed")


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor plays the GPU."""
    monkeypatch.setattr(infer.pipeline.gpu_decode, "CUDA", CPU)


@pytest.fixture(scope="module")
def jpegs(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test images as ten JPEGs and two PNGs."""
    folder = tmp_path_factory.mktemp("jpegs")
    for number, name in enumerate(list_images(cells / "test")):
        suffix = "jpg" if number < 10 else "png"
        Image.open(cells / "test" / name).convert("RGB").save(folder / f"{number}.{suffix}")
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("tta", ["none", "d4"])
def test_its_csv_is_that_of_the_processor_and_it_tells_what_was_decoded_where(
    lab: Callable, model: Path, jpegs: Path, tmp_path: Path, tta: str
) -> None:
    command = ("predict", jpegs, "--model", model, "--tta", tta, "--batch-size", 5)
    ran = lab(*command, "--out", tmp_path / "gpu.csv", "--decode", "gpu")
    assert ran.code == 0, ran.err
    said = " ".join(ran.out.split())
    assert "--decode gpu beside cpu, on 12 images: no label differs" in said
    assert "decoded: 10 images on the GPU, 2 on the CPU (other formats, very large, or damaged)" in said
    assert lab(*command, "--out", tmp_path / "cpu.csv").code == 0
    assert rows(tmp_path / "gpu.csv") == rows(tmp_path / "cpu.csv")


@pytest.mark.usefixtures("on_cpu")
def test_where_no_image_is_a_jpeg_the_processor_decodes_as_always(
    lab: Callable, model: Path, jpegs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(jpegs, tmp_path / "in", ignore=shutil.ignore_patterns("*.jpg"))
    given: list[object] = []
    classify = infer.pipeline.engine.classify
    monkeypatch.setattr(
        infer.pipeline.engine, "classify", lambda *a, **k: given.append(k["reader"]) or classify(*a, **k)
    )
    ran = lab("predict", folder, "--model", model, "--out", tmp_path / "o.csv", "--decode", "gpu")
    assert ran.code == 0, ran.err
    assert "note: of 2 images, spread evenly, the GPU can decode none; the CPU decodes all" in " ".join(ran.out.split())
    assert given == [None]


@pytest.mark.usefixtures("on_cpu")
def test_a_damaged_jpeg_is_treated_as_always(lab: Callable, model: Path, jpegs: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(jpegs, tmp_path / "in")
    bad = next(folder.glob("*.jpg"))
    bad.write_bytes(bad.read_bytes()[:-200])
    command = ("predict", folder, "--model", model, "--out", tmp_path / "o.csv", "--decode", "gpu")
    ran = lab(*command)
    assert ran.code == 1
    assert bad.name in ran.err
    assert not (tmp_path / "o.csv").exists()
    assert lab(*command, "--bad-images", "skip").code == 0
    assert len(rows(tmp_path / "o.csv")) == 11


def test_without_a_gpu_it_is_refused_with_the_reason(lab: Callable, model: Path, jpegs: Path, tmp_path: Path) -> None:
    if find_problem() is None:
        pytest.skip("there is a GPU")
    ran = lab("predict", jpegs, "--model", model, "--out", tmp_path / "o.csv", "--decode", "gpu")
    assert ran.code == 1
    assert "--decode gpu needs a GPU: " in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("option", "value"), [("engine", "ray"), ("device", "cpu")])
def test_what_uses_no_gpu_here_contradicts_it(option: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"--{option} {value} uses none"):
        PredictConfig(source=Path("a"), decode="gpu", **{option: value})
