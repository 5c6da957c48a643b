import subprocess
from pathlib import Path

import numpy as np

from infer.core.environment import commit, differences, environment


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=lab", "-c", "user.email=lab@example.org")
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


def test_the_environment_names_lab_python_packages_and_the_processor() -> None:
    found = environment(("numpy", "no-such-package"))
    assert found["numpy"] == np.__version__
    assert "no-such-package" not in found
    assert {"lab", "python", "processor", "instruction sets"} < set(found)
    assert all(found.values())


def test_the_commit_is_that_of_the_folders_own_repository_and_says_whether_files_changed(tmp_path: Path) -> None:
    assert commit(tmp_path) == ""
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    clean = commit(tmp_path)
    assert clean.startswith("commit ")
    (tmp_path / "code.py").write_text("2")
    assert commit(tmp_path) == f"{clean}-dirty"
    (tmp_path / "below").mkdir()
    assert commit(tmp_path / "below") == ""


def test_differences_name_what_changed_appeared_and_went() -> None:
    before = {"torch": "2.11.0", "threads": "4", "device": "cpu"}
    now = {"torch": "2.14.1", "processor": "AMD EPYC", "device": "cpu"}
    assert differences(before, now) == [
        "torch 2.11.0, now 2.14.1",
        "threads 4, now absent",
        "processor not recorded, now AMD EPYC",
    ]
    assert differences(now, now) == []
