"""The comparison of decoders with Pillow: what a library writes becomes two cells."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def decoders(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "bench")
    import decoders

    return decoders


@pytest.mark.parametrize(
    ("task", "kind", "step", "cells"),
    [("decode", "rgb", 0, ("none", "0")), ("decode", "rgb", 3, ("0.1%", "3")), ("resize", "small", 3, ("0.5%", "3"))],
)
def test_values_that_differ_from_pillows_are_counted(
    task: str,
    kind: str,
    step: int,
    cells: tuple[str, str],
    decoders: ModuleType,
    save_image: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for seed in range(2):
        save_image(tmp_path / "images" / f"{seed}.jpg", 40, 30, seed=seed)
    assert decoders.lay_down([tmp_path / "images"], 60, 10, tmp_path / "pictures") == 2
    script = tmp_path / "library.py"
    # it hands out Pillow's values, with `step` added to three of each picture
    script.write_text(
        "import sys\nname, folder, count, size = sys.argv[1:]\nfor k in range(int(count)):\n"
        f"    values = bytearray(open(f'{{folder}}/{{k}}.{kind}', 'rb').read())\n"
        f"    for at in ({step} and (0, 7, 9)) or ():\n"
        f"        values[at] += {step} if values[at] < 128 else -{step}\n"
        "    open(f'{folder}/{k}.{name}', 'wb').write(values)\n"
    )
    row = decoders.Row(name="a library", task=task, function="library", packages=("library==1",))
    monkeypatch.setattr(decoders, "command", lambda _row, _work: [sys.executable, script])
    share = {"rgb": 40 * 30 * 3, "small": 10 * 10 * 3}[kind]
    expected = cells if not step else (f"{3 / share:.1%}", cells[1])
    assert decoders.result(row, tmp_path, 2, 10) == expected


def test_a_library_that_fails_or_cannot_be_installed_has_the_reason_in_its_cells(
    decoders: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = decoders.Row(name="a library", task="decode", function="library", packages=("library==1",))
    monkeypatch.setattr(decoders, "command", lambda _row, _work: [sys.executable, "-c", "raise SystemExit('no JPEG')"])
    assert decoders.result(row, tmp_path, 0, 10) == ("failed", "no JPEG")

    def refused(_row: object, _work: Path) -> list[str]:
        raise decoders.InstallError("no wheel")

    monkeypatch.setattr(decoders, "command", refused)
    assert decoders.result(row, tmp_path, 0, 10) == ("skipped", "no wheel")
