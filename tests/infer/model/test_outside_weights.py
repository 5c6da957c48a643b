"""Weights outside of a model file are read from its own folder, in full, or the file is refused."""

from pathlib import Path

import onnx
import pytest
from helpers.onnx_files import small_model
from onnx import TensorProto

from infer.core.errors import ModelError
from infer.core.files import sha256_of
from infer.model.onnx_reader import read_graph
from infer.model.outside_weights import IN_MEMORY, check_outside, locations, outside_file, outside_sha256


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A model whose 64 float32 weights lie in `weights` beside it."""
    path = tmp_path / "models" / "a.onnx"
    path.parent.mkdir()
    onnx.save(small_model(), path, save_as_external_data=True, location="weights", size_threshold=0)
    return path


def point_to(path: Path, location: str) -> None:
    """Make a model name another file for its weights."""
    model = onnx.load(path, load_external_data=False)
    (entry,) = [item for item in model.graph.initializer[0].external_data if item.key == "location"]
    entry.value = location
    path.write_bytes(model.SerializeToString())


def test_the_files_with_weights_are_found_and_hashed(outside: Path) -> None:
    graph = read_graph(outside)
    check_outside(outside, graph)
    assert locations(graph) == ("weights",)
    assert graph.tensors[0].nbytes == 256
    assert outside_sha256(outside, locations(graph)) == {"weights": sha256_of(outside.parent / "weights")}


def test_a_self_contained_model_has_none(model: Path) -> None:
    assert locations(read_graph(model)) == ()
    check_outside(model, read_graph(model))


def test_a_missing_file_and_a_shorter_one_are_one_line(outside: Path) -> None:
    weights = outside.parent / "weights"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="keeps 256 bytes of weights in weights beside it, which has 100"):
        check_outside(outside, read_graph(outside))
    weights.unlink()
    with pytest.raises(ModelError, match="keeps weights in weights beside it, which does not exist"):
        check_outside(outside, read_graph(outside))


@pytest.mark.parametrize(("key", "value"), [("offset", "-8"), ("length", "1"), ("length", "99999999999")])
def test_a_constant_that_is_not_the_bytes_that_it_names_is_refused(key: str, value: str, outside: Path) -> None:
    model = onnx.load(outside, load_external_data=False)
    entries = model.graph.initializer[0].external_data
    kept = [(item.key, item.value) for item in entries if item.key != key]
    del entries[:]
    for name, text in [*kept, (key, value)]:
        entries.add(key=name, value=text)
    outside.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"a constant w of 256 bytes, and .* of weights; export it again"):
        check_outside(outside, read_graph(outside))


def test_a_constant_of_a_type_whose_size_is_not_known_may_have_any_number_of_bytes(outside: Path) -> None:
    model = onnx.load(outside, load_external_data=False)
    model.graph.initializer[0].data_type = TensorProto.UINT16
    outside.write_bytes(model.SerializeToString())
    check_outside(outside, read_graph(outside))


def test_a_name_that_marks_values_in_memory_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / IN_MEMORY).write_bytes(bytes(256))
    with pytest.raises(ModelError, match="which lab does not open"):
        outside_file(tmp_path / "a.onnx", IN_MEMORY)


@pytest.mark.parametrize("location", ["../secret", "sub/../../secret", "ABSOLUTE", "link", "a\0b"])
def test_a_file_outside_of_the_models_folder_is_not_opened(location: str, outside: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(256))
    (outside.parent / "link").symlink_to(tmp_path / "secret")
    point_to(outside, location := location.replace("ABSOLUTE", str(tmp_path / "secret")))
    with pytest.raises(ModelError, match="outside of its folder, which lab does not open"):
        check_outside(outside, read_graph(outside))
    with pytest.raises(ModelError, match="outside of its folder"):
        outside_sha256(outside, [location])


def test_a_model_that_is_a_link_has_its_weights_beside_the_real_file(outside: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.onnx"
    link.symlink_to(outside)
    assert outside_file(link, "weights") == outside.parent / "weights"


def test_the_numbers_that_a_tensor_names_are_those_of_the_onnx_package(outside: Path) -> None:
    (tensor,) = read_graph(outside).tensors
    theirs = onnx.load(outside, load_external_data=False).graph.initializer[0]
    assert theirs.data_location == TensorProto.EXTERNAL
    entries = {item.key: item.value for item in theirs.external_data}
    assert tensor.location == entries["location"]
    assert tensor.span == (int(entries.get("offset", 0)), int(entries["length"]))
