"""ONNX files, made and changed by the onnx package."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from infer.model.evidence import EVIDENCE_KEY, add_checks, read_evidence
from infer.model.providers import Provider


def small_model(metadata: dict[str, str] | None = None, **fields: object) -> onnx.ModelProto:
    weights = numpy_helper.from_array(np.ones(64, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [64])],
        [weights],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 300)]
    model = helper.make_model(graph, producer_name="lab", opset_imports=opsets, ir_version=8, **fields)
    helper.set_model_props(model, metadata or {})
    return model


def without_evidence(path: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    """Change a file, as someone would who removes the evidence with it."""
    changed = onnx.load(path)
    change(changed)
    save_unsealed(changed, path)


def save_unsealed(model: onnx.ModelProto, path: Path) -> Path:
    """Save a model without evidence, as a draft of the export is, which no seal calls changed."""
    kept = {item.key: item.value for item in model.metadata_props if item.key != EVIDENCE_KEY}
    del model.metadata_props[:]
    helper.set_model_props(model, kept)
    onnx.save(model, path)
    return path


def name_in_evidence(path: Path, provider: Provider) -> Path:
    """Add a provider to a file's evidence, as if it had passed there as it did on the CPU; returns the path."""
    evidence = read_evidence(path)
    assert evidence is not None
    add_checks(path, [{**check, "provider": provider.name} for check in evidence.content["checks"]])
    return path
