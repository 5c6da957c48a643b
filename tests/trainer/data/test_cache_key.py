import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import infer.images
import trainer.data.cache_key
from infer.images import preprocess
from infer.images.preprocess import PixelSpec
from trainer.data.cache_key import cache_key, pixel_sources

SPEC = PixelSpec.default(32)
TICK = 0.02
"""Seconds in which the clock that the kernel takes times from moves on, by 1 to 10 ms a step."""


def names(module: ModuleType) -> set[str]:
    return {path.stem for path in pixel_sources(module)}


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`preprocess` in a copy of its package, which a test may change, and which the key is made from."""
    package = tmp_path / "copy"
    package.mkdir()
    for source in Path(infer.images.__file__).parent.glob("*.py"):
        (package / source.name).write_text(source.read_text().replace("infer.images", "copy"))
    module = ModuleType("copy.preprocess")
    module.__file__, module.__package__ = str(package / "preprocess.py"), "copy"
    monkeypatch.setattr(trainer.data.cache_key, "preprocess", module)
    return module


def test_the_sources_are_the_modules_of_its_package_that_importing_it_loads() -> None:
    code = "import sys, infer.images.preprocess; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.removeprefix("infer.images.") for name in ran.stdout.split() if name.startswith("infer.images.")}
    assert {"preprocess", "enhance"} <= loaded
    assert names(preprocess) == loaded


def test_a_change_of_any_source_changes_the_key(copy: ModuleType) -> None:
    assert names(copy) == names(preprocess)
    keys = {cache_key([], SPEC)}
    for number, source in enumerate(pixel_sources(copy), 2):
        source.write_text(source.read_text() + "\n# changed\n")
        keys.add(cache_key([], SPEC))
        assert len(keys) == number


def test_code_that_does_not_make_pixels_leaves_the_key_as_it_is(copy: ModuleType) -> None:
    before = cache_key([], SPEC)
    Path(str(copy.__file__)).with_name("tta.py").write_text("CHANGED = True\n")
    assert cache_key([], SPEC) == before


@pytest.mark.parametrize(
    "statement",
    [
        "from copy.sharpen import sharpen",
        "from copy import sharpen",
        "import copy.sharpen as tool",
        "from .sharpen import sharpen",
        "from . import sharpen",
        "def late():\n    from copy.sharpen import sharpen",
    ],
)
def test_a_renamed_module_stays_in_the_key_however_it_is_imported(copy: ModuleType, statement: str) -> None:
    start = Path(str(copy.__file__))
    renamed = start.with_name("enhance.py").rename(start.with_name("sharpen.py"))
    start.write_text(
        f"{start.read_text().replace('from copy.enhance import ENHANCEMENTS, Enhancement', '')}\n{statement}\n"
    )
    assert names(copy) == names(preprocess) - {"enhance"} | {"sharpen"}
    before = cache_key([], SPEC)
    renamed.write_text(renamed.read_text() + "\n# changed\n")
    assert cache_key([], SPEC) != before


def test_a_missing_source_is_an_error(copy: ModuleType) -> None:
    Path(str(copy.__file__)).with_name("enhance.py").unlink()
    with pytest.raises(FileNotFoundError, match=r"enhance\.py"):
        cache_key([], SPEC)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def replace_by_rename(path: Path) -> None:
    written(path.with_name("other"), b"B").rename(path)


def replace_by_hard_link(path: Path) -> None:
    other = written(path.with_name("other"), b"B")
    path.unlink()
    path.hardlink_to(other)


@pytest.mark.skipif(os.name == "nt", reason="Windows tells no change time")
@pytest.mark.parametrize(
    "change", [lambda path: path.write_bytes(b"B"), replace_by_rename, replace_by_hard_link], ids=["w", "mv", "ln"]
)
def test_content_that_changes_under_the_same_size_and_modification_time_changes_the_key(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    path = written(tmp_path / "image.bmp", b"A")
    os.utime(path, ns=(0, 0))
    before = cache_key([str(path)], SPEC)
    assert cache_key([str(path)], SPEC) == before
    time.sleep(TICK)
    change(path)
    os.utime(path, ns=(0, 0))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (1, 0)
    assert cache_key([str(path)], SPEC) != before


@pytest.mark.skipif(os.name == "nt", reason="Windows needs a right to make links")
def test_a_link_that_points_elsewhere_changes_the_key(tmp_path: Path) -> None:
    for name, content in (("one", b"A"), ("two", b"B")):
        (tmp_path / name).mkdir()
        os.utime(written(tmp_path / name / "image.bmp", content), ns=(0, 0))
        time.sleep(TICK)
    keys = set()
    for name in ("one", "two"):
        (tmp_path / "data").unlink(missing_ok=True)
        (tmp_path / "data").symlink_to(tmp_path / name)
        keys.add(cache_key([str(tmp_path / "data" / "image.bmp")], SPEC))
    assert len(keys) == 2


def test_the_key_changes_with_path_size_modification_time_and_spec(tmp_path: Path) -> None:
    path = written(tmp_path / "a.bmp", b"A")
    keys = [
        cache_key([str(path)], SPEC),
        cache_key([str(path)], PixelSpec.default(33)),
        cache_key([str(path)] * 2, SPEC),
    ]
    os.utime(path, ns=(0, 1))
    keys.append(cache_key([str(path)], SPEC))
    keys.append(cache_key([str(written(path, b"AA"))], SPEC))
    keys.append(cache_key([str(path.rename(tmp_path / "b.bmp"))], SPEC))
    keys.append(cache_key([str(path)], SPEC))  # missing
    assert len(set(keys)) == len(keys)
    assert cache_key([str(path)], SPEC) == keys[-1]
