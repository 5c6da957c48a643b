"""The matrix of bench/consumers.py: how a consumer's end becomes a cell, and cells become the page."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from helpers.networks import make_card
from helpers.onnx_files import small_model

ROOT = Path(__file__).parents[2]
NUMBERS = np.array([[0.25, 0.75], [0.5001, 0.4999], [0.9, 0.1]], np.float32)


@pytest.fixture
def consumers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "bench")
    import consumers

    return consumers


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "bench")
    import consumer_page

    return consumer_page


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("code", "cell"),
    [
        ("print('noise'); print('{\"batch\": \"any\"}')", {"batch": "any"}),
        ("import sys; sys.exit('no such operator')", {"refused": "no such operator"}),
        ("import os; os.kill(os.getpid(), 6)", {"refused": "the process ended with signal 6"}),
        ("import time; time.sleep(30)", {"refused": "no answer in 1 s"}),
        ("import json, tempfile; print(json.dumps({'folder': tempfile.gettempdir()}))", {"folder": "TMP"}),
    ],
)
def test_how_a_process_ends_is_its_cell(consumers: ModuleType, code: str, cell: dict[str, str], tmp_path: Path) -> None:
    got = consumers.run(python(code), timeout=1 if "sleep" in code else 30, folder=str(tmp_path))
    assert got == {key: str(tmp_path) if value == "TMP" else value for key, value in cell.items()}


def test_differences_and_labels_are_counted(consumers: ModuleType, tmp_path: Path) -> None:
    np.save(tmp_path / "expected.npy", NUMBERS)
    np.save(tmp_path / "other.npy", NUMBERS + np.array([[0, 0], [-0.0003, 0.0003], [0, 0]], np.float32))
    cell = consumers.compared(tmp_path / "other.npy", tmp_path / "expected.npy")
    assert cell == {"difference": pytest.approx(3e-4, abs=1e-6), "labels": 1}
    assert consumers.compared(tmp_path / "absent.npy", tmp_path / "expected.npy") == {}


@pytest.mark.parametrize("wrong", [NUMBERS[:2], np.full_like(NUMBERS, np.nan)])
def test_answers_that_cannot_be_compared_are_no_cell(consumers: ModuleType, wrong: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "expected.npy", NUMBERS)
    np.save(tmp_path / "wrong.npy", wrong)
    with pytest.raises(ValueError, match=r"wrong\.npy"):
        consumers.compared(tmp_path / "wrong.npy", tmp_path / "expected.npy")


@pytest.fixture
def work(consumers: ModuleType, tmp_path: Path) -> Path:
    for folder in ("results", "answers"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "answers" / f"{consumers.REFERENCE}.fp32.npy", NUMBERS)
    return tmp_path


def saved_by(consumers: ModuleType, work: Path) -> Callable[[str], dict[str, object]]:
    """Ask a consumer for one file, in the environment that the test laid down; return its saved cells."""

    def saved(name: str) -> dict[str, object]:
        args = argparse.Namespace(work=work, keep=False, timeout=30)
        consumers.ask(consumers.BY_NAME[name], {"fp32": work / "fp32.onnx"}, args)
        cells = json.loads((work / "results" / f"{name}.json").read_text())["cells"]
        return dict(cells)

    return saved


def test_a_consumer_that_cannot_be_installed_is_skipped_with_the_reason_and_its_folder_goes(
    consumers: ModuleType, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import consumer_environments as environments

    def without_wheel(_consumer: object, folder: Path) -> list[str | Path]:
        (folder / "half").mkdir()
        environments.install(python("import sys; print('ERROR: no wheel'); sys.exit('see above')"))
        return []

    monkeypatch.setattr(environments, "INSTALLERS", {"python": without_wheel})
    assert saved_by(consumers, work)("tract") == {"fp32": {"skipped": "ERROR: no wheel"}}
    assert not any((work / "environments").iterdir())


@pytest.mark.parametrize("stand_in", [None, "#!/bin/sh\necho 'these versions have it: 9.9.1' >&2; exit 127\n"])
def test_a_python_that_is_not_there_or_does_not_start_is_named(
    consumers: ModuleType, stand_in: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import consumer_environments as environments

    if stand_in:
        (tmp_path / "python9.9").write_text(stand_in)
        (tmp_path / "python9.9").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(environments.InstallError, match=r"no python9\.9 that starts is on PATH"):
        environments.interpreter("9.9")
    assert environments.interpreter("3.11") == sys.executable


def test_an_installed_consumer_answers_and_is_compared(
    consumers: ModuleType, work: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import consumer_environments as environments

    shutil.copy(model, work / "fp32.onnx")
    np.save(work / "pixels.npy", np.zeros((3, 2, 2, 3), np.uint8))
    script = work / "program.py"
    # a program that is not Python's: bytes in, bytes out
    script.write_text(
        "import sys\nmodel, images, out, kind, *shape = sys.argv[1:]\n"
        "assert (kind, shape) == ('uint8', ['3', '2', '2', '3']) and len(open(images, 'rb').read()) == 36\n"
        f"open(out, 'wb').write({NUMBERS.tobytes()!r})\nprint('{{\"batch\": \"fixed\"}}')\n"
    )
    command = [sys.executable, ROOT / "bench" / "consumer_bytes.py", sys.executable, script]
    monkeypatch.setattr(environments, "INSTALLERS", {"python": lambda _consumer, _folder: command})
    cell = {"batch": "fixed", "difference": 0.0, "labels": 0}
    assert saved_by(consumers, work)("tract") == {"fp32": cell}


def test_files_of_another_input_get_the_same_images_as_they_take_them(consumers: ModuleType, tmp_path: Path) -> None:
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    np.save(tmp_path / "pixels.npy", pixels)
    for kind in ("uint8", "float"):
        card = make_card(input=kind).to_json()
        onnx.save(small_model({"lab.card": card}), tmp_path / f"{kind}.onnx")
    as_bytes, planes = (
        np.load(consumers.images_for(tmp_path / f"{kind}.onnx", tmp_path)) for kind in ("uint8", "float")
    )
    np.testing.assert_array_equal(as_bytes, pixels)
    assert planes.shape == (2, 3, 4, 5)
    assert planes.dtype == np.float32
    assert planes[1, 2, 3, 4] == pixels[1, 3, 4, 2]


def test_the_page_counts_rounds_and_gives_reasons(page: ModuleType, tmp_path: Path) -> None:
    tract, mnn, *_ = (consumer for consumer in page.CONSUMERS if consumer.name in ("tract", "MNN", "nxrt"))
    if tract.name != "tract":
        tract, mnn = mnn, tract
    cells = {
        tract.name: {
            "fp32": {"difference": 1.2e-6, "labels": 0, "batch": "any"},
            "int8": {"difference": 0.031, "labels": 2, "batch": "any"},
        },
        mnn.name: {"fp32": {"skipped": "no wheel"}, "int8": {"refused": "operator `X|Y`\n" + "long " * 60}},
    }
    for name, row in cells.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"cells": row}))
    target = tmp_path / "page.md"
    target.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    page.write_page(target, tmp_path, ["fp32", "fp16", "int8"], "a made-up machine")
    text = target.read_text()
    assert text.startswith(f"before\n{page.BEGIN}\n1 of 2 answer for the fp32 file within 1e-5 (a made-up machine; ")
    assert text.endswith(f"{page.END}\nafter\n")
    assert "old" not in text
    assert f"| tract | {tract.packages[0]} | 1e-6 | - | 3e-2, 2 labels | any |" in text
    assert f"| MNN | {mnn.packages[0]} | skipped | - | refused | - |" in text
    assert "- MNN, fp32: `no wheel`" in text
    (reason,) = [line for line in text.splitlines() if line.startswith("- MNN, int8: ")]
    assert reason.startswith("- MNN, int8: `operator 'X/Y' long long")
    assert reason.endswith("long...`")


def test_the_page_in_docs_holds_the_table() -> None:
    text = (ROOT / "docs" / "consumers.md").read_text(encoding="utf-8")
    assert text.count("<!-- consumers: begin -->") == text.count("<!-- consumers: end -->") == 1
