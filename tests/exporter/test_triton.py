"""`lab export --triton`: a model repository that Triton's own protobuf reads, of sealed files alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from exporter.triton import _instance_kind, model_folder, write_triton
from infer.core.console import Screen
from infer.core.errors import ConfigError, ModelError
from infer.model.card import read_card

NUMPY = {"TYPE_UINT8": "tensor(uint8)", "TYPE_FP32": "tensor(float)"}


def parsed(text: str) -> Any:
    """A configuration as Triton's ModelConfig; text that it would not read is an error."""
    schema = pytest.importorskip("tritonclient.grpc.model_config_pb2", exc_type=ImportError)
    text_format = pytest.importorskip("google.protobuf.text_format")
    return text_format.Parse(text, schema.ModelConfig())


def shapes(tensors: Any) -> dict[str, tuple[str, list[int]]]:
    """Type, in ONNX Runtime's words, and dimensions of Triton's tensors, by name."""
    kinds = tensors[0].DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number
    return {item.name: (NUMPY[kinds[item.data_type].name], list(item.dims)) for item in tensors}


@pytest.fixture(scope="module")
def repository(lab: Callable, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository to which one command has exported a file with heat maps, and another a finished file."""
    folder = tmp_path_factory.mktemp("triton")
    ran = lab("export", run, "--cam", "--out", folder / "cells.onnx", "--triton", folder / "models")
    assert ran.code == 0, ran.err
    assert "tritonserver --model-repository=" in ran.out
    assert lab("export", run / "model.onnx", "--triton", folder / "models").code == 0
    return folder / "models"


def test_a_repository_has_a_folder_for_each_model_and_no_draft(repository: Path, run: Path) -> None:
    assert {path.name for path in repository.iterdir()} == {"cells", run.name}
    files = {path.relative_to(repository).as_posix() for path in repository.rglob("*") if path.is_file()}
    assert files == {f"{name}/{file}" for name in ("cells", run.name) for file in FILES}


FILES = ("config.pbtxt", "labels.txt", "1/model.onnx")


def test_names_types_and_dimensions_are_those_of_the_file(repository: Path) -> None:
    folder = repository / "cells"
    config = parsed((folder / "config.pbtxt").read_text())
    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    assert (config.name, config.backend) == ("cells", "onnxruntime")
    for theirs, ours in ((session.get_inputs(), config.input), (session.get_outputs(), config.output)):
        assert all(isinstance(item.shape[0], str) for item in theirs)  # Triton adds the batch
        assert shapes(ours) == {item.name: (item.type, item.shape[1:]) for item in theirs}
    assert set(shapes(config.output)) == {"logits", "probabilities", "cam"}


def test_batches_are_formed_up_to_the_size_that_the_gate_compared(repository: Path, run: Path) -> None:
    config = parsed((repository / run.name / "config.pbtxt").read_text())
    assert config.max_batch_size == 12  # the validation images
    assert list(config.dynamic_batching.preferred_batch_size) == [3, 6, 12]
    assert config.dynamic_batching.max_queue_delay_microseconds > 0
    assert [group.count for group in config.instance_group] == [1]


def test_each_preferred_batch_is_run_with_the_inputs_shape_before_the_model_is_ready(repository: Path) -> None:
    config = parsed((repository / "cells" / "config.pbtxt").read_text())
    assert [item.batch_size for item in config.model_warmup] == [1, 3, 6, 12]
    for item in config.model_warmup:
        assert {key: list(value.dims) for key, value in item.inputs.items()} == {"images": [32, 32, 3]}
        assert all(value.zero_data and value.data_type == config.input[0].data_type for value in item.inputs.values())


def test_the_labels_file_belongs_to_the_probabilities_in_the_order_of_the_classes(repository: Path) -> None:
    config = parsed((repository / "cells" / "config.pbtxt").read_text())
    assert {item.name: item.label_filename for item in config.output if item.label_filename} == {
        "probabilities": "labels.txt"
    }
    labels = (repository / "cells" / "labels.txt").read_text().splitlines()
    assert labels == [item.label for item in read_card(repository / "cells" / "1" / "model.onnx").classes]


def test_a_file_for_one_batch_size_gets_whole_batches_and_no_batching(lab: Callable, run: Path, tmp_path: Path) -> None:
    ran = lab("export", run, "--batch", "4", "--out", tmp_path / "four.onnx", "--triton", tmp_path)
    assert ran.code == 0, ran.err
    config = parsed((tmp_path / "four" / "config.pbtxt").read_text())
    assert (config.max_batch_size, config.HasField("dynamic_batching")) == (0, False)
    assert shapes(config.input) == {"images": ("tensor(uint8)", [4, 32, 32, 3])}
    assert shapes(config.output)["logits"] == ("tensor(float)", [4, 2])
    (warm_up,) = config.model_warmup
    assert (warm_up.batch_size, list(warm_up.inputs["images"].dims)) == (1, [4, 32, 32, 3])


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("cells-20261122/model.onnx", "cells-20261122"),
        ("cells-20261122/model.int8.onnx", "cells-20261122-int8"),
        ("cells-20261122/model.fp16.float.onnx", "cells-20261122-fp16-float"),
        ("cells-20261122/Blast, 2.onnx", "Blast_2"),
        ("a/..onnx", "model"),
    ],
)
def test_a_models_name_is_its_files_or_its_runs_in_characters_of_a_url(file: str, name: str) -> None:
    assert model_folder(Path("r"), Path(file)) == Path("r") / name


@pytest.mark.parametrize(
    ("precision", "opset", "device", "kind"),
    [
        ("fp32", 17, "auto", "KIND_AUTO"),
        ("fp32", 17, "cuda", "KIND_GPU"),
        ("fp16", 17, "cpu", "KIND_CPU"),
        ("int8", 17, "auto", "KIND_CPU"),  # CUDA has no int8 convolution
        ("fp32", 22, "auto", "KIND_CPU"),  # nor MaxPool of this opset
        ("int8", 17, "cuda", None),
        ("fp32", 22, "cuda", None),
    ],
)
def test_instances_are_where_the_file_can_run(
    precision: str, opset: int, device: str, kind: str | None, model: Path
) -> None:
    card = replace(read_card(model), precision=precision, opset=opset)
    if kind:
        assert _instance_kind(card, device) == kind
    else:
        with pytest.raises(ConfigError, match="--device cuda is not possible for this file: "):
            _instance_kind(card, device)


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-1], lambda content: content.replace(b"lab.evid", b"lab.evix")]
)
def test_a_file_whose_seal_is_broken_is_refused_and_nothing_is_left(
    damage: Callable[[bytes], bytes], model: Path, tmp_path: Path, quiet: Screen
) -> None:
    changed = tmp_path / "changed.onnx"
    changed.write_bytes(damage(model.read_bytes()))
    with pytest.raises(ModelError):
        write_triton(changed, tmp_path / "models", "auto", quiet)
    assert not list((tmp_path / "models").glob("*"))


def test_one_changed_weight_is_refused(lab: Callable, model: Path, tmp_path: Path) -> None:
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "changed.onnx").write_bytes(content)
    ran = lab("export", tmp_path / "changed.onnx", "--triton", tmp_path / "models")
    assert (ran.code, ran.out) == (1, "")
    assert "has been changed since lab export wrote it" in ran.err
    assert not list((tmp_path / "models").glob("*"))


def test_an_existing_model_is_not_touched_and_is_named_before_anything_is_exported(
    lab: Callable, fresh: Path, tmp_path: Path
) -> None:
    own = tmp_path / "models" / fresh.name / "1" / "model.onnx"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    ran = lab("export", fresh, "--triton", tmp_path / "models")
    assert ran.code == 2
    assert f"{own.parent.parent} exists already; delete it, or name a new folder" in ran.err
    assert own.read_text() == "mine"
    assert not (fresh / "model.onnx").exists()


def test_the_copy_is_the_exported_file(repository: Path, model: Path, run: Path) -> None:
    assert (repository / run.name / "1" / "model.onnx").read_bytes() == model.read_bytes()


def test_a_missing_file_is_named(lab: Callable, tmp_path: Path) -> None:
    ran = lab("export", tmp_path / "none.onnx", "--triton", tmp_path / "models")
    assert ran.code == 1
    assert "none.onnx does not exist" in ran.err
    assert not (tmp_path / "models").exists()
