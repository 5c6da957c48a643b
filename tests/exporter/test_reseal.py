"""A file that a program rewrote is sealed again where it still answers as the network does, and only then."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.onnx_files import without_evidence
from helpers.rewriters import HARMFUL, HARMLESS, OUTSIDE, UNUSABLE, annotate, fuse, halve, rewrite

import exporter.reseal
from exporter.verify import verify
from infer.config import VerifyConfig
from infer.core.console import Screen
from infer.core.errors import ConfigError, LabError, ModelError, ParityError
from infer.model.card import CARD_KEY, read_card
from infer.model.evidence import EVIDENCE_KEY, read_evidence
from infer.model.seal import check_seal
from infer.model.session import Session

Heard = tuple[Screen, io.StringIO]


@pytest.fixture
def copied(run: Path, model: Path, tmp_path: Path) -> Path:
    """The run with its model, free to be written to."""
    return shutil.copytree(run, tmp_path / "run")


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_still_answers_as_the_network_is_sealed_with_both_named(name: str, copied: Path, heard: Heard) -> None:
    file, (screen, text) = copied / "model.onnx", heard
    before, card = read_evidence(file), read_card(file)
    assert before is not None
    change, reported = HARMLESS[name]
    rewrite(file, change, file)
    changes = check_seal(file, accept_changed=True).changes
    graph = onnx.load(file).graph.SerializeToString(deterministic=True)
    expected = Session(file, "cpu", accept_changed=True).run(np.full((3, 32, 32, 3), 90, np.uint8))
    verify(VerifyConfig(file=file, device="cpu", reseal=True), screen)
    assert f"sealed again: {file}" in text.getvalue()
    seal = check_seal(file)
    assert seal.evidence is not None
    resealed = seal.evidence.content["resealed"]
    assert reported in ", ".join(resealed["changes"])
    assert resealed["changes"] == list(changes)
    for key in ("sha256_before", "when", "images_sha256"):
        assert resealed["before"][key] == before.content[key]
    assert onnx.load(file).graph.SerializeToString(deterministic=True) == graph
    session = Session(file, "cpu")
    assert [part.tobytes() for part in session.run(np.full((3, 32, 32, 3), 90, np.uint8))] == [
        part.tobytes() for part in expected
    ]
    assert session.card.classes == card.classes
    assert read_card(file) == session.card


def test_without_the_option_a_changed_file_that_answers_as_the_network_fails_and_stays_as_it_is(
    lab: Callable, copied: Path
) -> None:
    file = rewrite(copied / "model.onnx", fuse, copied / "model.onnx")
    before = contents(copied)
    ran = lab("verify", file)
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "has been changed since lab export wrote it" in ran.err
    assert "FusedConv" in ran.err
    assert "but answers as the network did" in ran.err
    assert "--reseal" in ran.err
    assert "parity with the network on 12 images" in ran.out
    assert contents(copied) == before


@pytest.mark.parametrize("name", [*HARMFUL, *UNUSABLE])
def test_what_answers_otherwise_or_has_another_card_is_not_sealed(name: str, copied: Path, quiet: Screen) -> None:
    file = copied / "model.onnx"
    rewrite(file, (HARMFUL | UNUSABLE)[name][0], file)
    before = contents(copied)
    with pytest.raises(LabError) as caught:
        verify(VerifyConfig(file=file, device="cpu", reseal=True), quiet)
    assert isinstance(caught.value, ParityError if name in HARMFUL else ModelError)
    assert "export it again" in str(caught.value) or "export again" in str(caught.value)
    assert contents(copied) == before


def test_the_card_of_a_sealed_file_names_the_precision_of_its_graph(copied: Path, lab: Callable) -> None:
    file = rewrite(copied / "model.onnx", halve, copied / "model.onnx")
    assert lab("verify", file, "--reseal").code == 0
    assert read_card(file).precision == "fp16"
    assert "but its card says" not in lab("inspect", file).out
    assert "sealed again after a change" in lab("inspect", file).out
    entries = [item.key for item in onnx.load(file).metadata_props]
    assert sorted(entries) == [CARD_KEY, EVIDENCE_KEY]


def test_a_second_change_is_compared_with_the_second_seal_and_the_first_stays_named(
    copied: Path, quiet: Screen
) -> None:
    file = copied / "model.onnx"
    first = read_evidence(file)
    assert first is not None
    for change in (fuse, annotate):
        rewrite(file, change, file)
        verify(VerifyConfig(file=file, device="cpu", reseal=True), quiet)
    evidence = read_evidence(file)
    assert evidence is not None
    assert "FusedConv" not in str(evidence.content["resealed"]["changes"])
    earlier = evidence.content["resealed"]["before"]
    assert "FusedConv" in str(earlier["resealed"]["changes"])
    assert earlier["resealed"]["before"]["sha256_before"] == first.content["sha256_before"]


def test_weights_beside_the_file_are_sealed_with_it(copied: Path, quiet: Screen) -> None:
    file = rewrite(copied / "model.onnx", HARMLESS["outside"][0], copied / "model.onnx")
    verify(VerifyConfig(file=file, device="cpu", reseal=True), quiet)
    assert Session(file, "cpu").seal.changes == ()
    with (copied / OUTSIDE).open("ab") as weights:
        weights.write(b"x")
    with pytest.raises(ModelError, match="has been changed since"):
        Session(file, "cpu")


def test_an_intact_file_is_left_alone_and_one_without_evidence_is_sealed(copied: Path, heard: Heard) -> None:
    file, (screen, text) = copied / "model.onnx", heard
    before = contents(copied)
    verify(VerifyConfig(file=file, device="cpu", reseal=True), screen)
    assert "nothing to seal again" in text.getvalue()
    assert contents(copied) == before
    without_evidence(file, lambda model: None)
    verify(VerifyConfig(file=file, device="cpu", reseal=True), screen)
    evidence = check_seal(file).evidence
    assert evidence is not None
    assert evidence.content["resealed"] == {"changes": ["it had no evidence"], "before": None}


def test_a_disk_that_fills_leaves_the_file_as_it_was(
    copied: Path, quiet: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = rewrite(copied / "model.onnx", annotate, copied / "model.onnx")
    before = contents(copied)

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporter.reseal, "finish_file", full)
    with pytest.raises(LabError, match="the disk is full"):
        verify(VerifyConfig(file=file, device="cpu", reseal=True), quiet)
    assert contents(copied) == before


def test_sealing_needs_the_network(copied: Path) -> None:
    with pytest.raises(ConfigError, match="--reseal needs the gate"):
        VerifyConfig(file=copied / "model.onnx", data=copied, reseal=True)
