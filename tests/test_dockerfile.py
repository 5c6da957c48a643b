"""The Dockerfile, without docker: its steps in a virtual environment, from the files that it copies."""

import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from fnmatch import fnmatch
from pathlib import Path

import pytest

from infer.core.files import cache_folder
from infer.serve.access import OPEN_PATHS
from infer.serve.config import ServeConfig
from infer.version import __version__

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
INSTRUCTIONS = [line.split(maxsplit=1) for line in TEXT.splitlines() if line and not line.startswith("#")]


def values(instruction: str) -> list[str]:
    return [text for name, text in INSTRUCTIONS if name == instruction]


def copied() -> list[tuple[list[str], str]]:
    """Sources in the build's context, and where each goes."""
    lines = [line.split() for line in values("COPY") if not line.startswith("--from")]
    return [(sources, target) for *sources, target in lines]


def test_all_that_is_copied_exists_and_is_sent_to_docker() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert ignored[0] == "*"
    sent = [line[1:] for line in ignored if line.startswith("!")]
    sources = [source for names, _ in copied() for source in names]
    assert sorted(sources) == sorted(sent)
    assert all((ROOT / source).exists() for source in sources)
    assert not any(fnmatch(source, pattern) for source in sources for pattern in ignored[1:] if pattern[0] != "!")


def test_the_container_does_not_run_as_root_and_writes_below_tmp_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    (user,) = values("USER")
    assert all(int(number) > 0 for number in user.split(":"))
    (variables,) = values("ENV")
    settings = dict(re.findall(r"(\w+)=(\S+)", variables))
    assert {settings[name].split("/")[1] for name in ("HOME", "LAB_CACHE", "MPLCONFIGDIR")} == {"tmp"}
    assert settings["PYTHONDONTWRITEBYTECODE"] == "1"
    monkeypatch.setenv("LAB_CACHE", settings["LAB_CACHE"])
    assert cache_folder() == Path("/tmp/lab")


def test_the_health_check_asks_a_path_that_needs_no_token_at_the_port_of_lab_serve() -> None:
    (check,) = values("HEALTHCHECK")
    port, path = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", check)[0]
    assert path in OPEN_PATHS
    assert int(port) == ServeConfig().port
    assert values("EXPOSE") == [port]


@pytest.mark.long
def test_its_commands_install_a_lab_that_runs_from_the_files_that_it_copies(tmp_path: Path) -> None:
    source, installed = tmp_path / "src", tmp_path / "lab"
    source.mkdir()
    for names, target in copied():
        for name in names:
            path = ROOT / name
            if path.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "node_modules")
                shutil.copytree(path, source / target, ignore=ignored)
            else:
                shutil.copy(path, source)
    (command,) = values("RUN")
    packages = {"PYTHONPATH": sysconfig.get_path("purelib"), "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1"}
    environment = {**os.environ, **packages, "PIP_NO_BUILD_ISOLATION": "0"}
    shell = ["sh", "-c", command.replace("/opt/lab", shlex.quote(str(installed)))]
    subprocess.run(shell, cwd=source, env=environment, check=True, capture_output=True)
    lab = [installed / "bin" / "lab", "--version"]
    ran = subprocess.run(lab, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert ran.stdout == f"lab {__version__}\n"
