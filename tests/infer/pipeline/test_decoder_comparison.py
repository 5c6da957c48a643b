"""`lab predict --decode gpu` measures how it changes pixels and predictions, and refuses different images."""

import csv
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import infer.pipeline.gpu_decode
import infer.predict
from infer.core.errors import DeviceError, ImageError
from infer.images.archive import File
from infer.images.listing import list_images
from infer.images.preprocess import read_window
from infer.model.providers import CPU
from infer.model.session import Session
from infer.pipeline.batches import CpuDecoder, Decoder, Views
from infer.pipeline.classify import classify
from infer.pipeline.decoder_comparison import SAMPLE, Difference, compare_decoders


class ChangedDecoder(Decoder):
    """A decoder whose pixels are those of the CPU's, changed."""

    workers = 2

    def __init__(self, session: Session, shift: int = 0, missing: str = "", inverted: bool = False) -> None:
        super().__init__([session.card.pixels], "none")
        self.shift, self.missing, self.inverted = shift, missing, inverted
        self.requested: list[File] = []

    def chunk(self, batch_size: int) -> int:
        return min(5, batch_size)

    def decode(self, files: Sequence[File]) -> list[Views | ImageError]:
        self.requested += files
        decoded = CpuDecoder(self.specs, "none", len(files)).decode(files)
        return [self._changed(str(file), views) for file, views in zip(files, decoded, strict=True)]

    def _changed(self, file: str, views: Views | ImageError) -> Views | ImageError:
        if self.missing and file.endswith(self.missing):
            return ImageError(file, "lost")
        if isinstance(views, ImageError):
            return views
        return tuple((255 - item if self.inverted else np.minimum(item, 250) + self.shift) for item in views)


@pytest.fixture(scope="module")
def session(model: Path) -> Session:
    return Session(model, "cpu")


@pytest.fixture
def files(cells: Path) -> list[str]:
    return [str(cells / name) for name in list_images(cells)]


def test_the_same_pixels_differ_in_nothing(session: Session, files: list[str]) -> None:
    decoder = ChangedDecoder(session)
    found = compare_decoders([session], files, 7, "none", decoder)
    assert (found.images, found.labels) == (len(files), 0)
    assert found.probability < 0.2
    assert found.summary().startswith(f"--decode gpu compared with cpu on {len(files)} images: no label differs; prob")


def test_a_shift_by_one_level_is_measured(session: Session, files: list[str]) -> None:
    found = compare_decoders([session], files, 7, "none", ChangedDecoder(session, shift=1))
    plain = compare_decoders([session], files, 7, "none", ChangedDecoder(session))
    assert 0.5 < found.levels - plain.levels < 1.001
    assert found.probability > 0


def test_labels_that_change_are_counted() -> None:
    summary = Difference(128, 3, 0.25, 0.013).summary()
    assert summary == (
        "--decode gpu compared with cpu on 128 images: 3 of 128 images get another label; "
        "probabilities differ by at most 0.25, pixels by 0.013 of 255 on average"
    )


def test_different_images_are_refused(session: Session, files: list[str]) -> None:
    with pytest.raises(DeviceError, match="of 255 from the CPU's; choose --decode cpu"):
        compare_decoders([session], files, 7, "none", ChangedDecoder(session, inverted=True))


def test_a_file_that_only_one_decoder_can_read_is_named_and_left_out(session: Session, files: list[str]) -> None:
    found = compare_decoders([session], files, 4, "none", ChangedDecoder(session, missing=files[9]))
    assert (found.images, found.damaged) == (len(files) - 1, (files[9],))
    assert found.summary().endswith(f"; only one of the decoders can read {files[9]}")
    whole = compare_decoders([session], [*files[:9], *files[10:]], 4, "none", ChangedDecoder(session))
    assert abs(found.levels - whole.levels) < 1e-6


def test_decoding_at_reduced_scale_is_not_a_difference(session: Session, tmp_path: Path) -> None:
    lines = np.zeros((900, 900, 3), dtype=np.uint8)
    lines[::3] = lines[:, ::3] = 255
    Image.fromarray(lines).save(tmp_path / "grid.jpg", quality=95)
    spec = session.card.pixels
    assert spec.reduced_decode
    full_scale = replace(spec, reduced_decode=False)
    cpu, full = (read_window(str(tmp_path / "grid.jpg"), item).astype(int) for item in (spec, full_scale))
    assert np.abs(cpu - full).mean() > 0.5
    decoder = ChangedDecoder(session)
    decoder.specs = (full_scale,)
    assert compare_decoders([session], [str(tmp_path / "grid.jpg")], 4, "none", decoder).levels == 0


def test_the_warning_filters_are_restored(session: Session, files: list[str]) -> None:
    before = warnings.filters[:]
    compare_decoders([session], files, 4, "none", ChangedDecoder(session))
    assert warnings.filters == before


def test_files_that_neither_decoder_can_read_are_left_out(session: Session, files: list[str], tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    assert compare_decoders([session], [str(bad), *files], 4, "none", ChangedDecoder(session)).images == len(files)
    assert compare_decoders([session], [str(bad)], 4, "none", ChangedDecoder(session)).images == 0
    assert "no readable image" in compare_decoders([session], [], 4, "none", ChangedDecoder(session)).summary()


def test_of_many_files_a_sample_is_spread_evenly(session: Session, files: list[str], tmp_path: Path) -> None:
    many = [shutil.copy(files[0], tmp_path / f"{number}.png") for number in range(3 * SAMPLE)]
    decoder = ChangedDecoder(session)
    assert compare_decoders([session], list(map(str, many)), 64, "none", decoder).images == SAMPLE
    assert {decoder.requested[0], decoder.requested[-1]} == {str(many[0]), str(many[-1])}
    numbers = [int(Path(str(file)).stem) for file in decoder.requested]
    assert np.diff(sorted(numbers)).max() <= 4


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU stands in for the GPU."""
    pytest.importorskip("nvidia.nvimgcodec", reason="nvImageCodec is not installed")
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
def test_the_csv_is_that_of_the_cpu_and_the_images_decoded_on_each_device_are_counted(
    lab: Callable, model: Path, jpegs: Path, tmp_path: Path, tta: str
) -> None:
    command = ("predict", jpegs, "--model", model, "--tta", tta, "--batch-size", 5)
    ran = lab(*command, "--out", tmp_path / "gpu.csv", "--decode", "gpu")
    assert ran.code == 0, ran.err
    said = " ".join(ran.out.split())
    assert "--decode gpu compared with cpu on 12 images: no label differs" in said
    assert "decoded: 10 images on the GPU, 2 on the CPU (other formats, very large, or damaged)" in said
    assert lab(*command, "--out", tmp_path / "cpu.csv").code == 0
    assert rows(tmp_path / "gpu.csv") == rows(tmp_path / "cpu.csv")


@pytest.mark.usefixtures("on_cpu")
def test_where_no_image_is_a_jpeg_the_cpu_decodes(
    lab: Callable, model: Path, jpegs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(jpegs, tmp_path / "in", ignore=shutil.ignore_patterns("*.jpg"))
    decoders: list[object] = []
    monkeypatch.setattr(infer.predict, "classify", lambda *args: decoders.append(args[2]) or classify(*args))
    ran = lab("predict", folder, "--model", model, "--out", tmp_path / "o.csv", "--decode", "gpu")
    assert ran.code == 0, ran.err
    assert "note: --decode gpu can decode none of 2 images, spread evenly; the CPU decodes all" in " ".join(
        ran.out.split()
    )
    assert decoders == [None]


@pytest.mark.usefixtures("on_cpu")
def test_a_damaged_jpeg_is_unreadable_as_on_the_cpu(lab: Callable, model: Path, jpegs: Path, tmp_path: Path) -> None:
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
    ran = lab("predict", jpegs, "--model", model, "--out", tmp_path / "o.csv", "--decode", "gpu")
    assert ran.code == 1
    assert "--decode gpu needs a GPU: " in ran.err
    assert list(tmp_path.iterdir()) == []
