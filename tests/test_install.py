"""What an installation holds: everything in the package `lab`, which a user's own modules cannot shadow."""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path

import pytest

from infer.core.output_paths import report_folder
from infer.version import __version__

ROOT = Path(__file__).parent.parent
PACKAGES = ("exporter", "infer", "lab", "trainer")
MOVED = ("cli", "exporter", "infer", "trainer")
DATA = (".css", ".js", ".toml", ".html")
PROGRAM = """
import json, sys
from lab.cli import main
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as end:
        assert not end.code
"""
"""Runs commands of an installed lab one after the other: each process would load torch anew."""


def load_setup() -> object:
    spec = importlib.util.spec_from_file_location("setup", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a source distribution in a folder where an older build left its files."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "cli.py"):
        shutil.copy(ROOT / name, source)
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(built)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        content.extractall(built, filter="data")
    unpacked = built / archive.name.removesuffix(".tar.gz")
    for name in ("infer/stale.py", "lab/infer/stale.py"):
        (unpacked / "build" / "lib" / name).parent.mkdir(parents=True)
        (unpacked / "build" / "lib" / name).touch()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-index"]
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", built]
    subprocess.run([*pip, *options, unpacked], check=True, capture_output=True)
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the wheel is installed."""
    folder = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


@pytest.fixture
def run_python(site: Path, tmp_path: Path) -> Callable[..., str]:
    """Run the interpreter where the wheel is installed, in a folder with a user's modules of the same names as ours."""
    for name in ("cli.py", "infer.py", "exporter/__init__.py", "trainer/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise RuntimeError('the module of the user was imported')\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((".", str(site)))}

    def run(*arguments: str | Path) -> str:
        command = [sys.executable, *map(str, arguments)]
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


def test_a_wheel_holds_the_package_lab_and_nothing_else(wheel: Path) -> None:
    sources = [
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", *DATA)
    ]
    expected = {name if name.startswith("lab/") else f"lab/{name}" for name in (*sources, "cli.py")}
    assert {"lab/infer/reports/page.css", "lab/infer/reports/page.js", "lab/trainer/recipes/lab.toml"} <= expected
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert {name.partition("/")[0] for name in names} == {"lab", f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"}


def test_a_wheels_metadata_names_lab_alone(site: Path) -> None:
    (metadata,) = site.glob("*.dist-info")
    assert (metadata / "top_level.txt").read_text(encoding="utf-8").split() == ["lab"]
    scripts = ConfigParser()
    scripts.read(metadata / "entry_points.txt")
    assert dict(scripts["console_scripts"]) == {"lab": "lab.__main__:main"}
    recorded = {line.split(",")[0] for line in (metadata / "RECORD").read_text(encoding="utf-8").splitlines()}
    files = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert recorded == files


def module_names(tree: ast.Module) -> set[str]:
    """Whatever a module's code, its docstrings apart, names as an absolute module: in an import or in a string."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {f"{alias.name}." for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(f"{node.module}.")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            names |= set(re.findall(r"\b[a-z_]+(?:\.[a-z_]+)+", node.value))
    return names


def test_an_installed_module_refers_to_no_other_by_its_name_in_the_repository(site: Path) -> None:
    files = list((site / "lab").rglob("*.py"))
    assert len(files) > 100
    outdated = tuple(f"{name}." for name in MOVED)
    for file in files:
        names = module_names(ast.parse(file.read_text(encoding="utf-8")))
        assert not [name for name in names if name.startswith(outdated)], file


def test_an_installed_lab_trains_and_predicts_beside_a_users_own_modules_of_the_same_names(
    run_python: Callable[..., str], lab: Callable, model: Path, cells: Path, tmp_path: Path
) -> None:
    small = ("--epochs", "1", "--batch-size", "8", "--image-size", "32", "--device", "cpu")
    options = ("--model", model, "--no-sample", "--device", "cpu", "--truth", cells / "test_labels.csv")
    commands = (
        ("train", "resnet18", "--data", cells, *small),
        ("predict", cells / "test", *options, "--out", "installed.csv"),
    )
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    run_python("program.py", json.dumps(commands, default=str))
    assert len(list(tmp_path.glob("runs/*/best.safetensors"))) == 1
    assert lab("predict", cells / "test", *options, "--out", tmp_path / "source.csv").code == 0
    assert (tmp_path / "installed.csv").read_bytes() == (tmp_path / "source.csv").read_bytes()
    assert "<style>" in (tmp_path / report_folder(Path("installed.csv")) / "report.html").read_text(encoding="utf-8")


def test_an_installed_lab_is_run_as_a_module(run_python: Callable[..., str]) -> None:
    assert run_python("-m", "lab", "--version") == f"lab {__version__}\n"


def test_a_program_imports_load_from_an_installed_lab(
    run_python: Callable[..., str], model: Path, cells: Path, tmp_path: Path
) -> None:
    program = "import sys\nfrom lab import LabError, load\nprint(load(sys.argv[1]).predict(sys.argv[2]).names[0])\n"
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    assert run_python("program.py", model, cells / "test").strip() == min(os.listdir(cells / "test"))


def test_worker_processes_of_an_installed_lab_find_its_modules(run_python: Callable[..., str]) -> None:
    program = (
        "import os; from lab.infer.images.parallel_map import in_order\n"
        "answers = set(in_order(os.getpgid, [0] * 8, 2, 2, processes=True))\n"  # each worker leads a group of its own
        "print(len(answers), os.getpgid(0) in answers)"
    )
    assert run_python("-c", program) in ("1 False\n", "2 False\n")


def test_the_source_tree_offers_what_an_installation_does() -> None:
    import infer
    import lab

    assert lab.load is infer.load
    result = subprocess.run([sys.executable, "-m", "lab", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout == f"lab {lab.__version__}\n"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from infer import load", "from lab.infer import load"),
        ("from infer.core.text import (\n    shown,\n)", "from lab.infer.core.text import (\n    shown,\n)"),
        ("from \\\n  cli import main", "from \\\n  lab.cli import main"),
        ("é = 1; from exporter import a; x = 'é'", "é = 1; from lab.exporter import a; x = 'é'"),
        ("if x:\n\tfrom\ttrainer import a as b", "if x:\n\tfrom\tlab.trainer import a as b"),
        ("import trainer.x as x, os", "import lab.trainer.x as x, os"),
        ("import os, infer.x; infer.x.y()", "import os, lab.infer.x, lab.infer as infer; infer.x.y()"),
        ("import cli\r\ncli.main()\r\n", "import lab.cli, lab.cli as cli\r\ncli.main()\r\n"),
        *((same, same) for same in ("from . import infer", "from .cli import x", "import infertility, cliff")),
        *((same, same) for same in ("text = 'import infer'  # from infer import load", "from os import cli", "")),
    ],
)
def test_imports_are_rewritten_and_nothing_else(source: str, expected: str) -> None:
    assert load_setup().below_lab(source.encode()).decode() == expected
