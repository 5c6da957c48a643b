"""What programs that rewrite ONNX files do to one of lab's, done with the onnx package alone: one function for each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.utils
import onnx.version_converter
from onnx import TensorProto, helper, numpy_helper

from infer.model.card import CARD_KEY

OUTSIDE = "weights.bin"


def rename_all(model: onnx.ModelProto, path: Path) -> None:
    """New names for nodes and for all values but the graph's inputs and outputs, as onnxslim gives them."""
    ends = {item.name for item in (*model.graph.input, *model.graph.output)}
    for node in model.graph.node:
        node.name = f"slim_{node.name}"
        for names in (node.input, node.output):
            names[:] = [name if name in ends or not name else f"v_{name}" for name in names]
    for tensor in model.graph.initializer:
        tensor.name = f"v_{tensor.name}"
    onnx.save(model, path)


def annotate(model: onnx.ModelProto, path: Path) -> None:
    """Further metadata entries, as onnxsim adds them."""
    for number in range(20):
        model.metadata_props.add(key=f"onnxsim.{number}", value="x")
    onnx.save(model, path)


def resave(model: onnx.ModelProto, path: Path) -> None:
    """The same parts, with the metadata in another order, as onnx-ir may write them."""
    entries = list(model.metadata_props)[::-1]
    del model.metadata_props[:]
    model.metadata_props.extend(entries)
    onnx.save(model, path)


def infer_shapes(model: onnx.ModelProto, path: Path) -> None:
    onnx.save(onnx.shape_inference.infer_shapes(model), path)


def fuse(model: onnx.ModelProto, path: Path) -> None:
    """Convolution and Relu as one operator of ONNX Runtime's own, as its saved optimised models have them."""
    graph = model.graph
    users = {name: [node for node in graph.node if name in node.input] for node in graph.node for name in node.output}
    for conv in [node for node in graph.node if node.op_type == "Conv"]:
        (following, *others) = users[conv.output[0]]
        if following.op_type == "Relu" and not others:
            conv.op_type, conv.domain = "FusedConv", "com.microsoft"
            conv.attribute.append(helper.make_attribute("activation", "Relu"))
            conv.output[0] = following.output[0]
            graph.node.remove(following)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)


def convert_version(model: onnx.ModelProto, path: Path) -> None:
    onnx.save(onnx.version_converter.convert_version(model, 21), path)


def move_outside(model: onnx.ModelProto, path: Path) -> None:
    """Weights in a file beside the model."""
    onnx.save(model, path, save_as_external_data=True, location=OUTSIDE, size_threshold=0)


def quantise(model: onnx.ModelProto, path: Path) -> None:
    """Convolution weights as 8-bit integers with a scale, as quantize_dynamic stores them, but of seven levels only."""
    graph = model.graph
    for tensor in [item for item in graph.initializer if len(item.dims) == 4]:
        values = numpy_helper.to_array(tensor)
        scale = np.float32(np.abs(values).max() / 3)
        stored = numpy_helper.from_array(np.round(values / scale).astype(np.int8), f"{tensor.name}_quantized")
        constants = [stored, numpy_helper.from_array(scale, f"{tensor.name}_scale")]
        node = helper.make_node("DequantizeLinear", [item.name for item in constants], [tensor.name])
        graph.initializer.remove(tensor)
        graph.initializer.extend(constants)
        graph.node.insert(0, node)
    model.producer_name = "onnx.quantize"
    onnx.save(model, path)


def halve(model: onnx.ModelProto, path: Path) -> None:
    """Convolution weights in half precision, cast back, as converters to fp16 store them."""
    graph = model.graph
    for tensor in [item for item in graph.initializer if len(item.dims) == 4]:
        half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}_half")
        graph.initializer.remove(tensor)
        graph.initializer.append(half)
        graph.node.insert(0, helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
    onnx.save(model, path)


def scale_a_weight(model: onnx.ModelProto, path: Path) -> None:
    """Three times the head's weights: every logit differs."""
    head = next(item for item in model.graph.initializer if len(item.dims) == 2)
    head.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(head) * 3, head.name))
    onnx.save(model, path)


def edit_card(model: onnx.ModelProto, path: Path) -> None:
    """Another threshold in the card."""
    (card,) = [item for item in model.metadata_props if item.key == CARD_KEY]
    card.value = card.value.replace('"temperature": ', '"temperature": 1')
    onnx.save(model, path)


def rename_outputs(model: onnx.ModelProto, path: Path) -> None:
    for node in model.graph.node:
        node.output[:] = ["scores" if name == "logits" else name for name in node.output]
        node.input[:] = ["scores" if name == "logits" else name for name in node.input]
    next(item for item in model.graph.output if item.name == "logits").name = "scores"
    onnx.save(model, path)


def rename_input(model: onnx.ModelProto, path: Path) -> None:
    for node in model.graph.node:
        node.input[:] = ["x" if name == "images" else name for name in node.input]
    model.graph.input[0].name = "x"
    onnx.save(model, path)


def extract(model: onnx.ModelProto, path: Path) -> None:
    """onnx.utils.extract_model with all inputs and outputs, which drops the metadata."""
    onnx.save(model, path)
    onnx.utils.extract_model(str(path), str(path), ["images"], ["logits", "probabilities"])


def without_metadata(model: onnx.ModelProto, path: Path) -> None:
    """As graphsurgeon writes it."""
    del model.metadata_props[:]
    onnx.save(model, path)


HARMLESS: dict[str, tuple[Callable[[onnx.ModelProto, Path], None], str]] = {
    "renamed": (rename_all, "names or attributes of nodes"),
    "annotated": (annotate, "metadata added: onnxsim.0, onnxsim.1, onnxsim.2 and 17 more"),
    "resaved": (resave, "the same parts, written in another order"),
    "with shapes": (infer_shapes, "the same parts, written in another order"),
    "fused": (fuse, "FusedConv"),
    "converted": (convert_version, "opset 17 -> 21"),
    "outside": (move_outside, f"weights moved outside the file, to {OUTSIDE}"),
    "halved": (halve, "precision fp32 -> fp16"),
}
"""Changes after which a file answers as before, or nearly so, each with what is said of it."""
HARMFUL: dict[str, tuple[Callable[[onnx.ModelProto, Path], None], str]] = {
    "scaled": (scale_a_weight, "1 of "),
    "quantised": (quantise, "precision fp32 -> int8"),
    "other card": (edit_card, "metadata changed: lab.card"),
}
"""Changes of what a file answers."""
UNUSABLE: dict[str, tuple[Callable[[onnx.ModelProto, Path], None], str]] = {
    "output renamed": (rename_outputs, "has no output logits, but scores, probabilities"),
    "input renamed": (rename_input, "takes x where lab gives images"),
    "extracted": (extract, "has no card (metadata entry lab.card)"),
    "without metadata": (without_metadata, "has no card (metadata entry lab.card)"),
}
"""Changes after which lab cannot use a file, each with its message."""


def rewrite(source: Path, change: Callable[[onnx.ModelProto, Path], None], target: Path) -> Path:
    """The source changed, as `target`."""
    change(onnx.load(source), target)
    return target
