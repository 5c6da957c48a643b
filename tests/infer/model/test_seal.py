"""A file that was changed since its export is not predicted from unknowingly, whatever changed it."""

import contextlib
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.onnx_files import without_evidence
from helpers.rewriters import HARMFUL, HARMLESS, OUTSIDE, UNUSABLE, move_outside, quantise, rewrite

import infer.model.seal
from infer import load
from infer.core.errors import ModelError
from infer.model.evidence import EVIDENCE_KEY, attach_evidence
from infer.model.seal import UNKNOWN_CHANGE, check_seal, read_seal, require_sealed
from infer.model.session import Session

LEGACY = Path(__file__).parents[2] / "data" / "legacy" / "finished"


def forget_graph(path: Path) -> None:
    """The evidence as an older lab wrote it: without the summary of the graph."""
    model = onnx.load(path)
    (entry,) = [item for item in model.metadata_props if item.key == EVIDENCE_KEY]
    entry.value = json.dumps({key: value for key, value in json.loads(entry.value).items() if key != "graph"})
    onnx.save(model, path)


def test_an_exported_file_is_intact_and_its_checksum_that_of_all_its_bytes(model: Path) -> None:
    seal = check_seal(model)
    assert (seal.changes, seal.note) == ((), "")
    assert seal.evidence is not None
    assert seal.evidence.file_sha256 == hashlib.sha256(model.read_bytes()).hexdigest() == Session(model).file_sha256


@pytest.mark.parametrize("name", ["fp32", "fp16", "int8"])
def test_files_of_older_labs_are_intact(name: str) -> None:
    seal = check_seal(LEGACY / f"{name}.onnx")
    assert seal.evidence is not None
    assert not seal.changes


@pytest.mark.parametrize("name", [*HARMLESS, *HARMFUL])
def test_each_rewriter_is_told_apart_and_refused_unless_accepted(name: str, model: Path, tmp_path: Path) -> None:
    change, text = (HARMLESS | HARMFUL)[name]
    path = rewrite(model, change, tmp_path / "a.onnx")
    with pytest.raises(ModelError, match=r"has been changed since lab export wrote it \(") as caught:
        Session(path, accept_option="--accept-changed")
    assert text in str(caught.value)
    assert all(remedy in str(caught.value) for remedy in ("export it again", "--reseal", "--accept-changed"))
    assert "\n" not in str(caught.value)
    session = Session(path, "cpu", accept_changed=True)
    assert text in session.seal.note
    window = session.card.pixels.window
    assert np.isfinite(session.run(np.zeros((2, *window, 3), np.uint8))[0]).all()


@pytest.mark.parametrize("accept_changed", [False, True])
@pytest.mark.parametrize("name", UNUSABLE)
def test_a_file_that_lost_what_lab_needs_says_so_whether_or_not_changes_are_accepted(
    name: str, accept_changed: bool, model: Path, tmp_path: Path
) -> None:
    change, text = UNUSABLE[name]
    path = rewrite(model, change, tmp_path / "a.onnx")
    with pytest.raises(ModelError) as caught:
        Session(path, accept_changed=accept_changed)
    assert text in str(caught.value)
    assert "export again" in str(caught.value)


def test_a_changed_file_has_the_precision_and_the_opset_of_its_graph(model: Path, tmp_path: Path) -> None:
    for name, precision, opset in (("quantised", "int8", 17), ("halved", "fp16", 17), ("converted", "fp32", 21)):
        path = rewrite(model, (HARMLESS | HARMFUL)[name][0], tmp_path / "a.onnx")
        card = Session(path, "cpu", accept_changed=True).card
        assert (card.precision, card.opset) == (precision, opset)


def test_of_old_evidence_the_opset_and_the_precision_are_compared_and_all_else_is_a_change(
    model: Path, tmp_path: Path
) -> None:
    for name, text in (("converted", "opset 17 -> 21"), ("quantised", "precision fp32 -> int8")):
        forget_graph(path := rewrite(model, (HARMLESS | HARMFUL)[name][0], tmp_path / "a.onnx"))
        assert text in read_seal(path).note
    forget_graph(path := rewrite(model, HARMFUL["scaled"][0], tmp_path / "a.onnx"))
    assert read_seal(path).changes == (UNKNOWN_CHANGE,)


def test_a_file_without_evidence_is_opened_as_before(model: Path, tmp_path: Path) -> None:
    path = rewrite(model, onnx.save, tmp_path / "a.onnx")
    without_evidence(path, lambda changed: None)
    seal = check_seal(path)
    assert (seal.evidence, seal.changes) == (None, ())
    assert seal.gate_text == "no evidence: lab export did not finish this file"


def test_damaged_parts_of_the_evidence_are_one_line(model: Path, tmp_path: Path) -> None:
    for damaged in ({"operators": 3}, {"metadata": 3}, {"opsets": None}):
        changed = onnx.load(model)
        (entry,) = [item for item in changed.metadata_props if item.key == EVIDENCE_KEY]
        entry.value = json.dumps({**json.loads(entry.value), "graph": damaged})
        changed.producer_name = "another"
        onnx.save(changed, tmp_path / "a.onnx")
        with pytest.raises(ModelError, match=r"the evidence in .* cannot be read"):
            read_seal(tmp_path / "a.onnx")


def test_random_changes_are_named_or_a_model_error_and_nothing_else(model: Path, tmp_path: Path) -> None:
    whole, path, named = model.read_bytes(), tmp_path / "a.onnx", 0
    structure = [found.start() for found in re.finditer(b"[Cc]onv|weight|lab", whole)]
    for seed in range(60):
        rng, content = np.random.default_rng(seed), bytearray(whole)
        for position in (*rng.choice(structure, 2), *rng.integers(0, len(whole), 2)):
            content[max(0, int(position) - int(rng.integers(0, 6)))] = int(rng.integers(0, 256))
        path.write_bytes(content)
        with contextlib.suppress(ModelError):
            named += bool(read_seal(path).changes)
    assert named > 5


def test_changed_weights_outside_a_sealed_file_are_a_change(model: Path, tmp_path: Path) -> None:
    path = rewrite(model, move_outside, tmp_path / "a.onnx")
    content = dict(read_seal(path).evidence.content)  # type: ignore[union-attr]
    changed = onnx.load(path, load_external_data=False)
    kept = [item for item in changed.metadata_props if item.key != EVIDENCE_KEY]
    del changed.metadata_props[:]
    changed.metadata_props.extend(kept)
    path.write_bytes(changed.SerializeToString())
    attach_evidence(path, content)
    assert check_seal(path).changes == ()
    weights = bytearray((tmp_path / OUTSIDE).read_bytes())
    weights[len(weights) // 2] ^= 1
    (tmp_path / OUTSIDE).write_bytes(weights)
    assert "1 of " in read_seal(path).note
    (tmp_path / OUTSIDE).unlink()
    with pytest.raises(ModelError, match=f"keeps weights in {OUTSIDE} beside it, which does not exist"):
        Session(path, accept_changed=True)


def test_a_file_is_hashed_once_to_open_it(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []
    real = infer.model.evidence._sha256
    monkeypatch.setattr(infer.model.evidence, "_sha256", lambda path, size: reads.append(path) or real(path, size))
    monkeypatch.setattr(infer.model.session, "sha256_of", lambda path: pytest.fail("hashed again"))
    assert Session(model).file_sha256
    assert reads == [model]


def test_load_refuses_a_changed_file_and_says_what_it_accepted(model: Path, cells: Path, tmp_path: Path) -> None:
    path = rewrite(model, quantise, tmp_path / "a.onnx")
    with pytest.raises(ModelError, match=r"precision fp32 -> int8.*, or give accept_changed=True$"):
        load(path)
    predictor = load(path, device="cpu", accept_changed=True)
    (note,) = predictor.changes
    assert "precision fp32 -> int8" in note
    assert load(model, device="cpu").changes == ()


def test_predict_and_evaluate_refuse_a_changed_file_or_say_so_in_all_they_write(
    lab: Callable, model: Path, cells: Path, tmp_path: Path
) -> None:
    path = rewrite(model, quantise, tmp_path / "a.onnx")
    out, truth = tmp_path / "out.csv", cells / "test_labels.csv"
    predict = ("predict", cells / "test", "--model", path, "--no-sample", "--out", out)
    ran = lab(*predict)
    assert (ran.code, ran.err.count("\n"), out.exists()) == (1, 1, False)
    assert "precision fp32 -> int8" in ran.err
    assert ran.err.endswith(", or give --accept-changed\n")
    ran = lab(*predict, "--accept-changed", "--truth", truth)
    assert ran.code == 0, ran.err
    assert f"warning: {path} has been changed" in ran.out
    assert "resnet18 int8" in ran.out
    report = json.loads((tmp_path / "out.report" / "report.json").read_text())
    page = (tmp_path / "out.report" / "report.html").read_text()
    assert "precision fp32 -&gt; int8" in page
    assert "THE FILE HAS BEEN CHANGED SINCE" in page
    assert "precision fp32 -> int8" in str(report["notes"])
    ran = lab(*predict, "--accept-changed", "--json")
    assert "precision fp32 -> int8" in str(json.loads(ran.out)["notes"])
    evaluate = ("evaluate", cells, "--model", path, "--no-pictures", "--out", tmp_path / "report", "--json")
    refusal = lab(*evaluate).err
    assert "precision fp32 -> int8" in refusal
    assert refusal.endswith(", or give --accept-changed\n")
    assert "precision fp32 -> int8" in str(json.loads(lab(*evaluate, "--accept-changed").out)["notes"])


@pytest.mark.parametrize(
    ("command", "has_option"),
    [(("serve", "--port", "0"), False), (("predict", "{cells}", "--engine", "ray", "--model"), True)],
)
def test_a_refusal_names_accept_changed_only_where_the_command_has_it(
    lab: Callable, model: Path, cells: Path, tmp_path: Path, command: tuple[str, ...], has_option: bool
) -> None:
    pytest.importorskip("prometheus_client", reason="the extra serve is not installed")
    path = rewrite(model, quantise, tmp_path / "a.onnx")
    ran = lab(*(word.format(cells=cells / "test") for word in command), path)
    assert (ran.code, ran.err.count("\n"), "--accept-changed" in ran.err) == (1, 1, has_option)
    assert "export it again" in ran.err
    assert "have lab verify --reseal prove it against its run" in ran.err


def test_only_a_whole_file_as_it_was_finished_is_sealed(model: Path, tmp_path: Path) -> None:
    assert require_sealed(model).intact
    changed = tmp_path / "changed.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)
    with pytest.raises(
        ModelError, match=r"has been changed since lab export wrote it .*; export it again, or have lab"
    ):
        require_sealed(changed)
    changed.write_bytes(model.read_bytes().replace(b"lab.evidence", b"lab.evidents"))
    with pytest.raises(ModelError, match=r"changed\.onnx has no evidence that it equals its network; export it again"):
        require_sealed(changed)


def test_a_sealed_file_with_weights_in_another_one_is_refused_where_it_would_be_copied(
    model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(model.read_bytes())
    evidence = read_seal(path).evidence
    assert evidence is not None
    without_evidence(path, lambda changed: None)
    (tmp_path / "moved").mkdir()
    moved = rewrite(path, move_outside, tmp_path / "moved" / "a.onnx")
    attach_evidence(moved, {name: value for name, value in evidence.content.items() if name != "graph"})
    with pytest.raises(ModelError, match=r"keeps weights in .*; export it again into one file"):
        require_sealed(moved)
