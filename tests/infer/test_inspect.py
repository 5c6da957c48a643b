import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from helpers.rewriters import HARMFUL, HARMLESS, OUTSIDE, UNUSABLE, move_outside, quantise, rewrite
from onnx import numpy_helper


def test_an_onnx_file_tells_its_opset_inputs_classes_and_origin(lab: Callable, model: Path) -> None:
    ran = lab("inspect", model)
    assert ran.code == 0, ran.err
    rows = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in ran.out.splitlines() if "│" in line}
    assert rows["opset"] == "ai.onnx 17"
    assert rows["input"] == "images uint8 [batch, 32, 32, 3], RGB"
    assert rows["classes"] == "0 normal, 1 blast"
    assert rows["outputs"] == "logits float32 [batch, 2]; probabilities float32 [batch, 2]"
    graph = onnx.load(model).graph
    assert rows["parameters"] == f"{sum(numpy_helper.to_array(item).size for item in graph.initializer):,}"
    counts = Counter(node.op_type for node in graph.node)
    operators = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    assert len(rows["operators"]) > 30
    assert operators.startswith(rows["operators"])  # the cell goes on in the next line
    assert rows["gate"] == "passed on 12 images (CPU), labels that differ: 0"
    assert rows["gate CPU batch 12"].startswith("12 images, largest logit difference ")
    assert rows["data name"] == "cells"
    assert rows["data train"] == "[8, 16]"


def test_a_checkpoint_and_a_run_without_a_model_are_described_too(lab: Callable, run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("model*"))
    for path in (copy, copy / "best.safetensors"):
        ran = lab("inspect", path)
        assert ran.code == 0
        assert "checkpoint" in ran.out


def test_a_file_whose_opset_is_not_its_cards_is_rows(lab: Callable, model: Path, tmp_path: Path) -> None:
    changed = onnx.load(model)
    changed.opset_import[0].version = 18
    onnx.save(changed, tmp_path / "changed.onnx")
    assert "ai.onnx 18, but its card says 17" in lab("inspect", tmp_path / "changed.onnx").out


@pytest.mark.parametrize("name", [*HARMLESS, *HARMFUL])
def test_what_was_changed_since_the_export_is_a_row(name: str, lab: Callable, model: Path, tmp_path: Path) -> None:
    change, text = (HARMLESS | HARMFUL)[name]
    ran = lab("inspect", rewrite(model, change, tmp_path / "a.onnx"))
    assert ran.code == 0, ran.err
    rows = " ".join(line.split("│")[2].strip() for line in ran.out.splitlines() if line.count("│") > 2)
    assert "THE FILE HAS BEEN CHANGED SINCE" in rows
    assert text in rows


def test_the_precision_is_read_from_the_graph(lab: Callable, model: Path, tmp_path: Path) -> None:
    rows = [line.split("│")[2].strip() for line in lab("inspect", model).out.splitlines() if "│ precision " in line]
    assert rows == ["fp32"]
    assert "int8, but its card says fp32" in lab("inspect", rewrite(model, quantise, tmp_path / "a.onnx")).out


def test_weights_beside_the_file_are_counted_and_reported_where_they_are_missing(
    lab: Callable, model: Path, tmp_path: Path
) -> None:
    size = sum(numpy_helper.to_array(item).nbytes for item in onnx.load(model).graph.initializer)
    path = rewrite(model, move_outside, tmp_path / "a.onnx")
    weights = f"beside the file in {OUTSIDE}, {(tmp_path / OUTSIDE).stat().st_size / 1e6:.1f} MB"
    ran = lab("inspect", path)
    assert weights in ran.out
    assert f"{size / 1e6:.1f} MB float32" in lab("inspect", model).out
    (tmp_path / OUTSIDE).unlink()
    ran = lab("inspect", path)
    assert ran.code == 0
    assert f"keeps weights in {OUTSIDE}" in ran.out


@pytest.mark.parametrize("name", ["extracted", "without metadata"])
def test_a_file_that_lost_its_card_is_one_line_with_the_remedy(
    name: str, lab: Callable, model: Path, tmp_path: Path
) -> None:
    ran = lab("inspect", rewrite(model, UNUSABLE[name][0], tmp_path / "a.onnx"))
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "has no card (metadata entry lab.card)" in ran.err
    assert "docs/onnx.md" in ran.err


def test_a_file_that_is_no_model_is_one_line(lab: Callable, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"hello")
    ran = lab("inspect", tmp_path / "x.onnx")
    assert ran.code == 1
    assert "is not an ONNX file" in ran.err


def test_a_file_that_no_gate_has_seen_says_so(lab: Callable, model: Path, tmp_path: Path) -> None:
    draft = onnx.load(model)
    kept = {item.key: item.value for item in draft.metadata_props if item.key == "lab.card"}
    del draft.metadata_props[:]
    onnx.helper.set_model_props(draft, kept)
    onnx.save(draft, tmp_path / "draft.onnx")
    assert "no evidence: lab export did not finish this file" in lab("inspect", tmp_path / "draft.onnx").out


def test_a_file_with_foreign_operators_is_shown_and_not_run(
    lab: Callable, model: Path, cells: Path, tmp_path: Path
) -> None:
    foreign = onnx.load(model)
    foreign.graph.node[-1].domain = "com.other"
    foreign.opset_import.append(onnx.helper.make_opsetid("com.other", 1))
    path = tmp_path / "foreign.onnx"
    onnx.save(foreign, path)
    assert "com.other." in lab("inspect", path).out
    predict = ("predict", cells / "test", "--model", path, "--device", "cpu", "--accept-changed")
    for command in ((*predict, "--out", tmp_path / "out.csv"), ("verify", path, "--data", cells)):
        ran = lab(*command)
        assert ran.code == 1
        assert "operators that neither ONNX nor ONNX Runtime defines: com.other." in " ".join(ran.err.split())
    assert not (tmp_path / "out.csv").exists()
