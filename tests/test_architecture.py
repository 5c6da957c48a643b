"""Imports point one way: cli -> exporter -> trainer -> infer, and down the rooms inside; infer never imports torch."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("infer", "trainer", "exporter", "lab", "cli")
FORBIDDEN = {
    "infer": {"trainer", "exporter", "cli", "lab", "torch", "torchvision", "onnx", "onnxscript", "safetensors"},
    "trainer": {"exporter", "cli", "lab"},
    "exporter": {"cli", "lab"},
    "cli": {"lab"},
    "lab": {"trainer", "exporter"},
}
ORDER = {
    "infer": (
        ("infer.version",),
        ("infer.core",),
        # the values of --device and --runtime are made from the table of providers
        ("infer.model.cuda", "infer.model.cuda_driver", "infer.model.openvino_runtime", "infer.model.providers"),
        ("infer.config",),
        ("infer.images",),
        ("infer.model",),
        ("infer.metrics",),
        ("infer.dataset",),
        ("infer.tables", "infer.reports"),
        ("infer.pipeline",),
        ("infer.serve",),
        ("infer",),  # the commands
    ),
    "trainer": (
        ("trainer.choices",),
        ("trainer.augment", "trainer.model"),
        ("trainer.config",),
        ("trainer.optim", "trainer.data"),
        ("trainer.run",),
        ("trainer",),  # the commands
    ),
}
"""A room may import from itself and from those above it in this list, not from one beside it or below."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for package in PACKAGES[:-1] for path in sorted((ROOT / package).rglob("*.py"))} | {
    "cli": ROOT / "cli.py"
}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module that a file imports, and whether it does so as soon as it is loaded."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {id(node) for item in ast.walk(tree) if isinstance(item, ast.FunctionDef) for node in ast.walk(item)}
    late |= {id(node) for item in ast.walk(tree) if isinstance(item, ast.If) for node in ast.walk(item)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) not in late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            submodules = [name for alias in node.names if (name := f"{node.module}.{alias.name}") in MODULES]
            yield from ((name, id(node) not in late) for name in submodules or [node.module or ""])


def rank(module: str) -> int:
    """How late a room comes in the order of its package."""
    rooms = ORDER[module.partition(".")[0]]
    fits = [
        (len(room), place)
        for place, beside in enumerate(rooms)
        for room in beside
        if f"{module}.".startswith(f"{room}.")
    ]
    return max(fits)[1]


def room(module: str) -> str:
    return module.rpartition(".")[0] if module.count(".") > 1 else module


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_package_may(module: str) -> None:
    roots = {name.partition(".")[0] for name, _ in imports(MODULES[module])}
    assert not roots & FORBIDDEN[module.partition(".")[0]]


@pytest.mark.parametrize("module", [name for name in MODULES if name.partition(".")[0] in ORDER])
def test_a_module_imports_only_from_rooms_that_come_before_its_own(module: str) -> None:
    package = module.partition(".")[0]
    own = [name for name, _ in imports(MODULES[module]) if name.startswith(f"{package}.")]
    against = [
        name
        for name in own
        if rank(name) > rank(module)
        or (rank(name) == rank(module) < len(ORDER[package]) - 1 and room(name) != room(module))
    ]
    assert not against


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {
        name: {item for item, at_once in imports(path) if at_once and item in MODULES} for name, path in MODULES.items()
    }
    while free := [name for name, needed in graph.items() if not needed & graph.keys()]:
        for name in free:
            del graph[name]
    assert not graph


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short_enough_to_read(module: str) -> None:
    limit = 430 if module == "cli" else 260
    assert MODULES[module].read_text(encoding="utf-8").count("\n") <= limit


def test_every_module_with_functions_has_its_test_file() -> None:
    tests = ROOT / "tests"
    missing = []
    for module, path in MODULES.items():
        has_functions = any(
            isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
        expected = (tests / path.relative_to(ROOT)).with_name(f"test_{path.name}")
        if has_functions and path.name != "__init__.py" and not expected.exists():
            missing.append(module)
    assert not missing


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"infer.core.parse"}))
def test_json_and_toml_are_read_by_the_parser_whose_errors_are_value_errors(module: str) -> None:
    readers = {"json.load", "json.loads", "tomllib.load", "tomllib.loads"}
    calls = [
        node.func for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))) if isinstance(node, ast.Call)
    ]
    assert readers.isdisjoint(map(ast.unparse, calls)), (
        "use infer.core.parse: deep nesting is a RecursionError of theirs"
    )
