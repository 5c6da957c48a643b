"""What another decoder changes is measured on pixels and answers, and another picture is refused."""

import shutil
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infer.core.errors import DeviceError, ImageError
from infer.images.archive import File
from infer.images.listing import list_images
from infer.images.preprocess import read_window
from infer.model.session import Session
from infer.pipeline.batches import Read, read_each
from infer.pipeline.decoder_comparison import SAMPLE, Difference, compare_decoders


class Changed:
    """A reader whose pixels are those of the processor, changed."""

    chunk, lanes = 5, 2

    def __init__(self, session: Session, shift: int = 0, missing: str = "", turned: bool = False) -> None:
        self.specs, self.shift, self.missing, self.turned = [session.card.pixels], shift, missing, turned
        self.asked: list[File] = []

    def __call__(self, files: Sequence[File]) -> list[Read]:
        self.asked += files
        return [self._changed(str(file), found) for file, found in zip(files, self._read(files), strict=True)]

    def _read(self, files: Sequence[File]) -> list[Read]:
        return list(read_each(self.specs, "none", files))

    def _changed(self, file: str, found: Read) -> Read:
        if self.missing and file.endswith(self.missing):
            return ImageError(file, "lost")
        if isinstance(found, ImageError):
            return found
        return tuple((255 - views if self.turned else np.minimum(views, 250) + self.shift) for views in found)


@pytest.fixture(scope="module")
def session(model: Path) -> Session:
    return Session(model, "cpu")


@pytest.fixture
def files(cells: Path) -> list[str]:
    return [str(cells / name) for name in list_images(cells)]


def test_the_same_pixels_differ_in_nothing(session: Session, files: list[str]) -> None:
    reader = Changed(session)
    found = compare_decoders([session], files, 7, "none", reader)
    assert (found.images, found.labels) == (len(files), 0)
    assert found.probability < 0.2
    assert found.told().startswith(f"--decode gpu beside cpu, on {len(files)} images: no label differs; prob")


def test_a_level_more_is_told_by_its_size(session: Session, files: list[str]) -> None:
    found = compare_decoders([session], files, 7, "none", Changed(session, shift=1))
    plain = compare_decoders([session], files, 7, "none", Changed(session))
    assert 0.5 < found.levels - plain.levels < 1.001
    assert found.probability > 0


def test_labels_that_change_are_counted() -> None:
    told = Difference(128, 3, 0.25, 0.013).told()
    assert told == (
        "--decode gpu beside cpu, on 128 images: 3 of 128 images get another label; probabilities differ by at most "
        "0.25, pixels by 0.013 of 255 on average"
    )


def test_another_picture_is_refused(session: Session, files: list[str]) -> None:
    with pytest.raises(DeviceError, match="of 255 from the CPU's; choose --decode cpu"):
        compare_decoders([session], files, 7, "none", Changed(session, turned=True))


def test_a_file_that_only_one_can_decode_is_told_by_name_and_left_out(session: Session, files: list[str]) -> None:
    found = compare_decoders([session], files, 4, "none", Changed(session, missing=files[9]))
    assert (found.images, found.damaged) == (len(files) - 1, (files[9],))
    assert found.told().endswith(f"; only one of both decodes {files[9]}")
    whole = compare_decoders([session], [*files[:9], *files[10:]], 4, "none", Changed(session))
    assert abs(found.levels - whole.levels) < 1e-6


def test_decoding_at_reduced_scale_is_no_other_picture(session: Session, tmp_path: Path) -> None:
    lines = np.zeros((900, 900, 3), dtype=np.uint8)
    lines[::3] = lines[:, ::3] = 255
    Image.fromarray(lines).save(tmp_path / "grid.jpg", quality=95)
    spec = session.card.pixels
    assert spec.reduced_decode
    in_full = replace(spec, reduced_decode=False)
    cpu, full = (read_window(str(tmp_path / "grid.jpg"), item).astype(int) for item in (spec, in_full))
    assert np.abs(cpu - full).mean() > 0.5
    reader = Changed(session)
    reader.specs = [in_full]
    assert compare_decoders([session], [str(tmp_path / "grid.jpg")], 4, "none", reader).levels == 0


def test_the_warnings_of_the_process_are_as_before(session: Session, files: list[str]) -> None:
    before = warnings.filters[:]
    compare_decoders([session], files, 4, "none", Changed(session))
    assert warnings.filters == before


def test_files_that_neither_can_decode_are_left_out(session: Session, files: list[str], tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    assert compare_decoders([session], [str(bad), *files], 4, "none", Changed(session)).images == len(files)
    assert compare_decoders([session], [str(bad)], 4, "none", Changed(session)).images == 0
    assert "no image" in compare_decoders([session], [], 4, "none", Changed(session)).told()


def test_of_many_files_some_are_taken_from_everywhere(session: Session, files: list[str], tmp_path: Path) -> None:
    many = [shutil.copy(files[0], tmp_path / f"{number}.png") for number in range(3 * SAMPLE)]
    reader = Changed(session)
    assert compare_decoders([session], list(map(str, many)), 64, "none", reader).images == SAMPLE
    assert {reader.asked[0], reader.asked[-1]} == {str(many[0]), str(many[-1])}
    places = [int(Path(str(file)).stem) for file in reader.asked]
    assert np.diff(sorted(places)).max() <= 4
