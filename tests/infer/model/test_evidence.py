"""The evidence in a file has the checksum of all bytes before it."""

import json
from pathlib import Path

import onnx
import onnxruntime
import pytest
from helpers.onnx_files import small_model

from infer.core.errors import ModelError
from infer.model.evidence import (
    EVIDENCE_KEY,
    add_checks,
    attach_evidence,
    evidence_problem,
    images_sha256,
    read_evidence,
)
from infer.model.evidence_checks import NUMERIC_KEYS
from infer.model.providers import CUDA, OPENVINO

FIGURES = dict.fromkeys(NUMERIC_KEYS, 1)
CONTENT = {
    "passed": True,
    "images": 12,
    "images_sha256": "0" * 64,
    "rule": {"logits": 1e-4},
    "checks": [
        {**FIGURES, "provider": "CPUExecutionProvider", "labels_differ": 0},
        {**FIGURES, "provider": "CUDAExecutionProvider", "labels_differ": 2},
    ],
}


@pytest.fixture
def with_evidence(tmp_path: Path) -> Path:
    path = tmp_path / "a.onnx"
    onnx.save(small_model({"lab.card": "{}"}), path)
    attach_evidence(path, CONTENT)
    return path


def test_the_gates_result_is_read_back_and_summed_up(with_evidence: Path) -> None:
    evidence = read_evidence(with_evidence)
    assert evidence is not None
    assert evidence.intact
    assert {name: evidence.content[name] for name in CONTENT} == CONTENT
    assert evidence.summary == "passed on 12 images (CPU, CUDA), labels that differ: 2"


def test_the_bytes_before_it_are_those_of_the_file_without_it(tmp_path: Path, with_evidence: Path) -> None:
    plain = tmp_path / "plain.onnx"
    onnx.save(small_model({"lab.card": "{}"}), plain)
    assert with_evidence.read_bytes().startswith(plain.read_bytes())


def test_the_onnx_package_and_the_runtime_read_an_exported_files(model: Path) -> None:
    props = {item.key: item.value for item in onnx.load(model).metadata_props}
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == props
    evidence = read_evidence(model)
    assert evidence is not None
    assert evidence.intact
    assert evidence.content == json.loads(props[EVIDENCE_KEY])


def test_one_changed_bit_anywhere_before_it_is_noticed(with_evidence: Path) -> None:
    content = with_evidence.read_bytes()
    weights = content.index(b"\x00\x00\x80\x3f")  # a 1.0 of the weights
    with_evidence.write_bytes(content[: weights + 2] + b"\x81" + content[weights + 3 :])
    evidence = read_evidence(with_evidence)
    assert evidence is not None
    assert not evidence.intact
    assert "CHANGED" in evidence.summary


def test_bytes_after_it_are_noticed(with_evidence: Path) -> None:
    """A second field of weights at the end would replace the first."""
    with with_evidence.open("ab") as file:
        file.write(b"\x12\x03lab")
    evidence = read_evidence(with_evidence)
    assert evidence is not None
    assert not evidence.intact


def test_a_file_without_it_has_none(tmp_path: Path) -> None:
    onnx.save(small_model(), tmp_path / "a.onnx")
    assert read_evidence(tmp_path / "a.onnx") is None


@pytest.mark.parametrize("text", ["[]", "{", "{}", '{"checks": 3, "images": 1, "sha256_before": ""}', "null"])
def test_damaged_evidence_is_one_line(tmp_path: Path, text: str) -> None:
    onnx.save(small_model({EVIDENCE_KEY: text}), tmp_path / "a.onnx")
    with pytest.raises(ModelError, match=r"the evidence in .*a\.onnx cannot be read"):
        read_evidence(tmp_path / "a.onnx")


@pytest.mark.parametrize(
    "change",
    [
        {"passed": False},
        {"checks": []},
        {"checks": [{"provider": "CPU"}]},
        {"checks": [{**FIGURES, "provider": "CPU", "accuracy": None}]},
        {"images": "12"},
        {"rule": None},
    ],
)
def test_evidence_of_another_type_or_of_a_gate_that_failed_is_one_line(tmp_path: Path, change: dict) -> None:
    onnx.save(small_model({EVIDENCE_KEY: json.dumps({**CONTENT, "sha256_before": "", **change})}), tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="cannot be read"):
        read_evidence(tmp_path / "a.onnx")


def test_the_digest_of_images_is_the_same_in_any_order_and_differs_for_other_images() -> None:
    assert images_sha256([b"a", b"b"]) == images_sha256([b"b", b"a"]) != images_sha256([b"a", b"c"])


def test_checks_are_added_to_what_is_there_and_the_checksum_stays(with_evidence: Path) -> None:
    before = read_evidence(with_evidence)
    assert before is not None
    add_checks(with_evidence, [{**FIGURES, "provider": "OpenVINO", "runtime": "openvino", "when": "later"}])
    after = read_evidence(with_evidence)
    assert after is not None
    assert after.intact
    assert after.content["checks"][:-1] == before.content["checks"]
    assert {**after.content, "checks": []} == {**before.content, "checks": []}
    assert after.providers == ("CPUExecutionProvider", "CUDAExecutionProvider", "OpenVINO")
    assert after.summary == "passed on 12 images (CPU, CUDA, OpenVINO), labels that differ: 2"
    assert [path.name for path in with_evidence.parent.iterdir()] == [with_evidence.name]


def test_checks_are_added_to_no_file_without_evidence(tmp_path: Path) -> None:
    onnx.save(small_model({"lab.card": "{}"}), tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="has no evidence that could be added to"):
        add_checks(tmp_path / "a.onnx", [])


def test_the_evidence_must_be_whole_and_name_the_provider_with_a_remedy_otherwise(with_evidence: Path) -> None:
    evidence = read_evidence(with_evidence)
    assert evidence_problem(with_evidence, evidence, CUDA) is None
    problem = evidence_problem(with_evidence, evidence, OPENVINO)
    assert f"`lab verify {with_evidence} --runtime openvino` adds" in str(problem)
    with with_evidence.open("ab") as file:
        file.write(b"\x12\x03lab")
    assert "has been changed since" in str(evidence_problem(with_evidence, read_evidence(with_evidence), CUDA))
