"""The arrows: cli -> exporter -> trainer -> infer, and no torch where predictions are made."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("infer", "trainer", "exporter", "cli")
FORBIDDEN = {
    "infer": {"trainer", "exporter", "cli", "torch", "torchvision", "onnx", "onnxscript", "safetensors"},
    "trainer": {"exporter", "cli"},
    "exporter": {"cli"},
    "cli": set(),
}


def modules() -> list[tuple[str, Path]]:
    found = [(room, path) for room in ROOMS[:-1] for path in sorted((ROOT / room).rglob("*.py"))]
    return [*found, ("cli", ROOT / "cli.py")]


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize(("room", "path"), modules(), ids=lambda value: getattr(value, "name", value))
def test_a_module_imports_only_what_its_room_may(room: str, path: Path) -> None:
    assert not imported(path) & FORBIDDEN[room]


@pytest.mark.parametrize(("room", "path"), modules(), ids=lambda value: getattr(value, "name", value))
def test_a_module_is_short_enough_to_read(room: str, path: Path) -> None:
    limit = 430 if room == "cli" else 260
    assert path.read_text(encoding="utf-8").count("\n") <= limit


def test_every_module_with_code_has_its_test_file() -> None:
    tests = ROOT / "tests"
    expected = {(tests / path.relative_to(ROOT)).with_name(f"test_{path.name}") for _, path in modules()}
    elsewhere = {
        "test___init__.py",
        "test_config.py",
        "test_options.py",
    }  # tests of trainer/config.py, trainer/options.py
    assert not [path for path in expected if not path.exists() and path.name not in elsewhere]
