import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import trainer.data.cache
import trainer.data.cache_key
import trainer.data.decode
from infer.core.console import Screen
from infer.core.errors import ImageError, OutputError
from infer.dataset.table import Table
from infer.images.preprocess import PixelSpec, read_canvas
from infer.model.card import ClassName
from trainer.data.cache import Canvases, load_canvases

SPEC = PixelSpec.default(32)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache for each test."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "canvases"


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8))


def table_of(root: Path, images: int = 5) -> Table:
    """Images of noise below `root`, as BMP, whose size does not depend on what they show."""
    root.mkdir()
    for number in range(images):
        noise(number).save(root / f"{number}.bmp")
    return Table(
        name="noise",
        layout="",
        root=root,
        classes=(ClassName("a", "a"), ClassName("b", "b")),
        paths=tuple(f"{number}.bmp" for number in range(images)),
        labels=np.arange(images) % 2,
        groups=tuple(f"patient {number}" for number in range(images)),
        splits=("train",) * images,
    )


def load(table: Table, spec: PixelSpec = SPEC) -> Canvases:
    return load_canvases(table, spec, 2, Screen())


def check_rows(canvases: Canvases) -> None:
    """Every row's pixels are those of the image of that row in the table."""
    assert canvases.pixels_nhwc.dtype == np.uint8
    assert len(canvases.pixels_nhwc) == len(canvases.table)
    for pixels, file in zip(canvases.pixels_nhwc, canvases.table.files(), strict=True):
        np.testing.assert_array_equal(pixels, read_canvas(file, SPEC))


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """From here on, decoding fails the test."""

    def fail(path: str, spec: PixelSpec) -> None:
        raise AssertionError(f"{path} is decoded")

    monkeypatch.setattr(trainer.data.decode, "read_canvas", fail)
    return monkeypatch


def test_every_row_is_the_canvas_of_its_image(tmp_path: Path) -> None:
    canvases = load(table_of(tmp_path / "images"))
    assert canvases.pixels_nhwc.shape == (5, *SPEC.canvas, 3)
    assert canvases.bad == ()
    check_rows(canvases)


def test_the_second_load_decodes_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    table = table_of(tmp_path / "images")
    first = load(table)
    request.getfixturevalue("no_decoding")
    again = load(table)
    np.testing.assert_array_equal(again.pixels_nhwc, first.pixels_nhwc)
    assert again.table.paths == first.table.paths


def test_rows_are_read_from_disk_when_they_are_needed(tmp_path: Path) -> None:
    assert isinstance(load(table_of(tmp_path / "images")).pixels_nhwc, np.memmap)


def test_a_changed_file_of_the_same_size_is_decoded_again(tmp_path: Path) -> None:
    table = table_of(tmp_path / "images")
    load(table)
    path = tmp_path / "images" / "3.bmp"
    before = path.stat()
    noise(99).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
    assert path.stat().st_size == before.st_size
    check_rows(load(table))


def test_a_missing_file_that_came_back_is_decoded(tmp_path: Path) -> None:
    table = table_of(tmp_path / "images")
    path = tmp_path / "images" / "3.bmp"
    content = path.read_bytes()
    path.unlink()
    (error,) = load(table).bad
    assert str(error) == "3.bmp: no such file"
    path.write_bytes(content)
    assert load(table).bad == ()


def test_another_spec_has_canvases_of_its_own(tmp_path: Path) -> None:
    table = table_of(tmp_path / "images")
    load(table)
    other = PixelSpec.default(40)
    assert load(table, other).pixels_nhwc.shape == (5, *other.canvas, 3)
    check_rows(load(table))


def test_other_rows_have_canvases_of_their_own(tmp_path: Path) -> None:
    table = table_of(tmp_path / "images")
    load(table)
    check_rows(load(table.take([4, 1, 2])))


@pytest.mark.parametrize("again", [False, True], ids=["decoded", "found again"])
def test_bad_images_are_left_out_and_the_rows_stay_aligned(tmp_path: Path, again: bool) -> None:
    table = table_of(tmp_path / "images", images=13)  # 13 and 11 rows: headers of one length
    (tmp_path / "images" / "0.bmp").write_bytes(b"no image")
    (tmp_path / "images" / "7.bmp").unlink()
    canvases = load(table)
    if again:
        canvases = load(table)
    good = [row for row in range(13) if row not in (0, 7)]
    assert canvases.table.paths == tuple(f"{row}.bmp" for row in good)
    assert canvases.table.labels.tolist() == [row % 2 for row in good]
    assert canvases.table.groups == tuple(f"patient {row}" for row in good)
    check_rows(canvases)
    assert [error.path for error in canvases.bad] == ["0.bmp", "7.bmp"]
    assert all(isinstance(error, ImageError) for error in canvases.bad)
    assert canvases.bad[1].reason == "no such file"


@pytest.mark.parametrize("images", [10, 12, 101])
def test_the_file_is_whole_where_the_number_of_good_rows_has_fewer_digits(tmp_path: Path, images: int) -> None:
    table = table_of(tmp_path / "images", images)
    bad = range(0, images, images // 3 if images > 100 else 4)
    for row in bad:
        (tmp_path / "images" / f"{row}.bmp").write_bytes(b"no image")
    check_rows(load(table))


def test_a_table_without_one_readable_image_is_empty(tmp_path: Path) -> None:
    table = table_of(tmp_path / "images", images=2)
    for path in (tmp_path / "images").iterdir():
        path.write_bytes(b"no image")
    canvases = load(table)
    assert len(canvases.table) == len(canvases.pixels_nhwc) == 0
    assert len(canvases.bad) == 2


def test_decoding_that_was_broken_off_leaves_nothing(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(tmp_path / "images")

    def interrupted(path: str, spec: PixelSpec) -> np.ndarray:
        if path.endswith("3.bmp"):
            raise KeyboardInterrupt
        return read_canvas(path, spec)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.data.decode, "read_canvas", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load(table)
    assert list(own_cache.iterdir()) == []
    check_rows(load(table))


def test_a_cache_that_cannot_be_written_is_an_error_that_names_lab_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OutputError, match=r"cannot write .*file/cache.*; set LAB_CACHE to a folder"):
        load(table_of(tmp_path / "images"))


@pytest.fixture
def hiccup(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """From here on, no image can be read for the moment whose name ends so; "" ends that."""

    def begin(ending: str) -> None:
        def read(file: str, spec: PixelSpec) -> np.ndarray:
            if ending and file.endswith(ending):
                raise ImageError(file, "Input/output error", transient=True)
            return read_canvas(file, spec)

        monkeypatch.setattr(trainer.data.decode, "read_canvas", read)
        monkeypatch.setattr(trainer.data.cache, "read_canvas", read)

    return begin


def test_an_image_that_could_not_be_read_for_the_moment_is_tried_again(
    tmp_path: Path, hiccup: Callable[[str], None]
) -> None:
    table = table_of(tmp_path / "data")
    hiccup("2.bmp")
    assert len(load(table).table) == 4
    hiccup("")
    canvases = load(table)
    assert len(canvases.table) == 5
    check_rows(canvases)


def test_the_others_are_not_decoded_again_while_an_image_still_cannot_be_read(
    tmp_path: Path, hiccup: Callable[[str], None], request: pytest.FixtureRequest
) -> None:
    table = table_of(tmp_path / "data")
    hiccup("2.bmp")
    load(table)
    request.getfixturevalue("no_decoding")
    (error,) = load(table).bad
    assert (error.reason, error.transient) == ("Input/output error", True)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def change_last_pixel(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def lose(path: Path) -> None:
    path.unlink()


def forget_a_row(path: Path) -> None:
    notes = json.loads(path.read_text())
    path.write_text(json.dumps({**notes, "crc32": notes["crc32"][:-1]}))


def name_a_row_too_many(path: Path) -> None:
    notes = json.loads(path.read_text())
    path.write_text(json.dumps({**notes, "bad": {"5": ["no such file", False]}}))


def give_a_reason_that_is_no_text(path: Path) -> None:
    notes = json.loads(path.read_text())
    path.write_text(json.dumps({"bad": {"4": [[3.5], False]}, "crc32": notes["crc32"][:-1]}))


def count_from_the_end(path: Path) -> None:
    notes = json.loads(path.read_text())
    path.write_text(json.dumps({"bad": {"-1": ["no such file", False]}, "crc32": notes["crc32"][:-1]}))


def quote_the_header(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"False", b'"("1e', 1))


def close_no_bracket(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b")", b"(", 1))


def other_json(path: Path) -> None:
    path.write_text("[1, 2]")


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        *(("npy", damage) for damage in (shorten, lengthen, change_last_pixel, empty)),
        *(("npy", damage) for damage in (quote_the_header, close_no_bracket)),
        *(("json", damage) for damage in (shorten, empty, lose, forget_a_row, name_a_row_too_many, other_json)),
        *(("json", damage) for damage in (give_a_reason_that_is_no_text, count_from_the_end)),
    ],
)
def test_a_damaged_cache_is_reported_and_decoded_again(
    tmp_path: Path,
    own_cache: Path,
    heard: tuple[Screen, StringIO],
    suffix: str,
    damage: Callable[[Path], None],
) -> None:
    table = table_of(tmp_path / "images")
    load(table)
    (path,) = own_cache.glob(f"*.{suffix}")
    damage(path)
    screen, said = heard
    check_rows(load_canvases(table, SPEC, 2, screen))
    assert said.getvalue().count("the cache of decoded images is damaged: decoding again") == 1
    load_canvases(table, SPEC, 2, screen)
    assert said.getvalue().endswith("decoded images found in the cache: 21 kB\n")


def test_the_size_of_the_cache_is_printed_after_decoding(
    tmp_path: Path, own_cache: Path, heard: tuple[Screen, StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_CACHE_GB", "2.5")
    load_canvases(table_of(tmp_path / "images"), SPEC, 2, heard[0])
    assert heard[1].getvalue() == f"cache: 21 kB of at most 2.5 GB in {own_cache}\n"


def test_a_data_set_larger_than_the_bound_is_refused_before_decoding(
    tmp_path: Path, own_cache: Path, no_decoding: pytest.MonkeyPatch
) -> None:
    no_decoding.setenv("LAB_CACHE_GB", "1e-6")
    with pytest.raises(OutputError, match="set LAB_CACHE_GB to 1 or more"):
        load(table_of(tmp_path / "images"))
    assert list(own_cache.iterdir()) == []


def test_processes_and_threads_write_the_same_cache(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(tmp_path / "images", images=40)
    (tmp_path / "images" / "7.bmp").write_bytes(b"no image")
    (tmp_path / "images" / "20.bmp").unlink()
    contents = []
    for few in (1000, 0):
        monkeypatch.setattr(trainer.data.decode, "PROCESSES_FROM", few)
        canvases = load(table)
        check_rows(canvases)
        assert [error.path for error in canvases.bad] == ["7.bmp", "20.bmp"]
        assert [error.transient for error in canvases.bad] == [False, True]
        contents.append({path.name: path.read_bytes() for path in own_cache.iterdir()})
        for path in own_cache.iterdir():
            path.unlink()
    assert contents[0] == contents[1]


def test_other_code_that_decodes_has_canvases_of_its_own(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(tmp_path / "images")
    code = tmp_path / "code.py"
    monkeypatch.setattr(trainer.data.cache_key, "pixel_sources", lambda _: [code])
    for number, text in enumerate(("one way", "another way"), 1):
        code.write_text(text)
        load(table)
        assert len(list(own_cache.glob("*.npy"))) == number


@pytest.mark.skipif(os.name == "nt", reason="Windows tells no change time")
def test_a_changed_file_of_the_same_size_and_modification_time_is_decoded_again(tmp_path: Path) -> None:
    table = table_of(tmp_path / "images")
    path = tmp_path / "images" / "3.bmp"
    os.utime(path, ns=(0, 0))
    load(table)
    size = path.stat().st_size
    noise(99).save(path)
    os.utime(path, ns=(0, 0))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (size, 0)
    check_rows(load(table))


def test_exchanged_images_are_decoded_again_where_the_file_system_shows_no_change(
    tmp_path: Path, own_cache: Path, heard: tuple[Screen, StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer.data.cache, "cache_key", lambda files, spec: "always the same")
    table = table_of(tmp_path / "images", images=20)
    load(table)
    for number in range(20):
        noise(100 + number).save(tmp_path / "images" / f"{number}.bmp")
    screen, text = heard
    check_rows(load_canvases(table, SPEC, 2, screen))
    assert "the images are not those in the cache of decoded images: decoding again\n" in text.getvalue()
    assert len(list(own_cache.glob("*.npy"))) == 1
    (tmp_path / "images" / "0.bmp").write_bytes(b"no image")
    monkeypatch.setattr(trainer.data.cache, "DECODED", 20)
    assert [error.path for error in load(table).bad] == ["0.bmp"]


def test_a_few_images_are_compared_however_many_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(tmp_path / "images", images=20)
    load(table)
    compared: list[str] = []

    def read(file: str, spec: PixelSpec) -> np.ndarray:
        compared.append(file)
        return read_canvas(file, spec)

    monkeypatch.setattr(trainer.data.cache, "read_canvas", read)
    load(table)
    assert len(set(compared)) == len(compared) == 8


def test_two_that_need_the_same_cache_decode_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, decoded, decode = table_of(tmp_path / "images"), [], trainer.data.cache.decode_files

    def slowly(*arguments: Any) -> Any:
        decoded.append(1)
        time.sleep(0.3)
        return decode(*arguments)

    monkeypatch.setattr(trainer.data.cache, "decode_files", slowly)
    with ThreadPoolExecutor(2) as pool:
        for canvases in pool.map(load, [table, table]):
            check_rows(canvases)
    assert decoded == [1]
