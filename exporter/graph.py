"""A network as an ONNX graph at a chosen opset: one self-contained file without traces of this machine.

The torch exporter is right at opset 18 but cannot reach 17 (it only logs that), because ReduceMean takes its axes
differently there. So the graph is built at 18, global pooling becomes the operator of that name, which is the same in
every opset, and onnx's own converter goes to the chosen opset. The result is read back and checked.
"""

import hashlib
from copy import deepcopy

import onnx
import onnx.checker
import onnx.version_converter
import torch
from onnx import helper, numpy_helper
from onnx.external_data_helper import uses_external_data
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from exporter.capture import captured_output, first_and_last
from exporter.head import split_half_head
from exporter.precisions import EXPORTS
from infer.core.errors import ExportError
from infer.model.card import CARD_KEY, ModelCard
from infer.model.input_kinds import IMAGE
from infer.version import __version__
from trainer.model.network import PixelNet

EXPORTER_OPSET = 18
"""The opset at which the torch exporter writes the opset that it declares."""


def build_graph(network: PixelNet, card: ModelCard, batch: int | None = None) -> onnx.ModelProto:
    """The network as an ONNX model of the card's opset, with the card in its metadata; checked in full.

    Args:
        network: in evaluation mode; its ResNet in the card's precision.
        card: with opset and precision set.
        batch: the only batch size that the model will take; None: any.

    Raises:
        ExportError: the exporter failed, or the result is not of the card's opset, precision and batch size.
    """
    return finish(trace(network, card), card, batch)


def trace(network: PixelNet, card: ModelCard) -> onnx.ModelProto:
    """The network's graph at EXPORTER_OPSET, in operators that no opset since 17 has changed. Raises ExportError."""
    model = _export(network, card)
    _pool_globally(model)
    split_half_head(model)
    _strip(model)
    return model


def finish(model: onnx.ModelProto, card: ModelCard, batch: int | None = None) -> onnx.ModelProto:
    """A graph at the card's opset, with the batch size fixed where one is given, and the card; checked in full.

    Raises:
        ExportError: the result is not of the card's opset, precision and batch size.
    """
    if card.opset is None:
        raise ValueError("the card has no opset")
    if {item.version for item in model.opset_import} != {card.opset}:
        model = onnx.version_converter.convert_version(model, card.opset)
    _strip(model)
    whole_images = card.input == IMAGE
    batch = 1 if whole_images else batch
    if batch is not None:
        for item in (*(() if whole_images else model.graph.input), *model.graph.output):
            item.type.tensor_type.shape.dim[0].dim_value = batch
    model.ir_version = helper.find_min_ir_version_for(model.opset_import)
    model.producer_name, model.producer_version = "lab", __version__
    helper.set_model_props(model, {CARD_KEY: card.to_json()})
    check_model(model, card.opset, batch, whole_images)
    check_precision(model, card.precision)
    return model


def check_model(model: onnx.ModelProto, opset: int, batch: int | None = None, whole_images: bool = False) -> None:
    """Check that the model is valid and self-contained, of exactly this opset and of this batch size (None: any).

    `whole_images`: its input is an image of any size, without a batch.

    Raises:
        ExportError: it is not.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the exported graph is not valid ONNX: {error}; try another --opset") from error
    opsets = {item.domain: item.version for item in model.opset_import}
    if opsets != {"": opset}:
        raise ExportError(f"opset {opset} was requested, the exporter wrote {opsets}; try another --opset")
    if any(uses_external_data(tensor) for tensor in model.graph.initializer):
        raise ExportError("the exporter moved weights out of the file; export a smaller network")
    for item in (*(() if whole_images else model.graph.input), *model.graph.output):
        first = item.type.tensor_type.shape.dim[0]
        if batch is None and not first.dim_param:
            raise ExportError(f"the exporter froze the batch axis of {item.name} at {first.dim_value}; report this")
        if batch is not None and first.dim_value != batch:
            raise ExportError(f"--batch {batch} was requested, {item.name} has {first}; report this")


def check_precision(model: onnx.ModelProto, precision: str) -> None:
    """Check that the convolutions' weights are of the precision's type. Raises ExportError."""
    types = {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) == 4}
    export = EXPORTS[precision]
    if export.weights not in types or (not export.other_weights and len(types) > 1):
        names = ", ".join(sorted(onnx.TensorProto.DataType.Name(item) for item in types))
        raise ExportError(f"{precision} was requested, the convolutions' weights are {names or 'missing'}; report this")


def weights_sha256(model: onnx.ModelProto) -> str:
    """The sha256 of the names, types, shapes and bytes of all constants, in the order of their names."""
    digest = hashlib.sha256()
    for tensor in sorted(model.graph.initializer, key=lambda item: item.name):
        digest.update(f"{tensor.name}\0{tensor.data_type}\0{list(tensor.dims)}\0".encode())
        digest.update(numpy_helper.to_array(tensor).tobytes())
    return digest.hexdigest()


def _export(network: PixelNet, card: ModelCard) -> onnx.ModelProto:
    """The torch exporter's model at EXPORTER_OPSET; its output is kept for the error."""
    height, width = card.pixels.window
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)  # the exporter would make a batch of 1 a constant
    with captured_output() as output:
        try:
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                opset_version=EXPORTER_OPSET,
                input_names=["images"],
                output_names=["logits", "probabilities"],
                dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # the exporter raises many kinds, none of them of use to a user
            reason = first_and_last(error, output)
            raise ExportError(f"the torch exporter failed: {reason}; report this") from error
    if program is None:
        raise ExportError("the torch exporter returned nothing; report this")
    return program.model_proto


def _pool_globally(model: onnx.ModelProto) -> None:
    """Replace the mean over height and width by GlobalAveragePool and Flatten, which no opset has changed."""
    graph = model.graph
    positions = [index for index, node in enumerate(graph.node) if node.op_type == "ReduceMean"]
    if len(positions) != 1:
        raise ExportError(f"the torch exporter wrote {len(positions)} means where one was expected; report this")
    position = positions[0]
    mean = graph.node[position]
    pooled = f"{mean.output[0]}_pooled"
    pool = helper.make_node("GlobalAveragePool", [mean.input[0]], [pooled], name="pool")
    flatten = helper.make_node("Flatten", [pooled], [mean.output[0]], name="flatten", axis=1)
    axes = set(mean.input[1:])
    del graph.node[position]
    graph.node.insert(position, flatten)
    graph.node.insert(position, pool)
    still_used = {name for node in graph.node for name in node.input}
    for tensor in [item for item in graph.initializer if item.name in axes - still_used]:
        graph.initializer.remove(tensor)


def _strip(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes on nodes and values: they name source files and folders of this machine."""
    graph = model.graph
    for item in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
    del graph.value_info[:]
    del model.functions[:]
    graph.name = "lab"


def at_precision(network: PixelNet, precision: str) -> PixelNet:
    """A copy with batch normalisation folded into the convolutions, converted to a precision.

    Folding comes first, in float32: batch statistics may lie beyond half precision's 65,504 where the folded weights do
    not. Pixel normalisation and softmax stay float32.
    """
    copied = deepcopy(network).eval()
    for module in copied.backbone.modules():
        children = dict(module.named_children())
        for conv_name, norm_name in (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"), ("0", "1")):
            conv, norm = children.get(conv_name), children.get(norm_name)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())
    if convert := EXPORTS[precision].convert_network:
        convert(copied)
    return copied
