"""An optional third output of a graph: the class activation map, which shows where in an image each class has support.

The head is a linear map of spatially averaged features. So its weights, applied to the features at each position, give
a map per class, whose mean over positions plus the head's bias is the logit (Zhou et al. 2016,
https://arxiv.org/abs/1512.04150).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from exporter.head import find_head
from exporter.precisions import gate_rule
from exporter.reference import Reference
from infer.core.errors import ExportError, ParityError
from infer.model.providers import Provider
from infer.model.session import CAM, Session

IMAGES = 8
"""The number of the gate's images on which maps and logits are compared."""


def add_cam(model: onnx.ModelProto) -> None:
    """Add the output `cam`, float32 [batch, K, h, w], to a finished graph, which must then be finished again.

    Raises:
        ExportError: the graph does not end as a ResNet does.
    """
    graph = model.graph
    head = find_head(model)
    inferred = onnx.shape_inference.infer_shapes(model).graph
    (features,) = [item for item in inferred.value_info if item.name == head.pooled]
    height, width = (dim.dim_value for dim in features.type.tensor_type.shape.dim[2:])
    if not height or not width:
        raise ExportError("the size of the last feature map is not known, so no map can be added; leave out --cam")
    batch = graph.output[0].type.tensor_type.shape.dim[0]
    name = f"{CAM}.weight"
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(head.weight[:, :, None, None]), name))
    raw = f"{CAM}_raw"
    graph.node.append(helper.make_node("Conv", [head.pooled, name], [raw], name=CAM))
    graph.node.append(helper.make_node("Cast", [raw], [CAM], name=f"{CAM}_float", to=onnx.TensorProto.FLOAT))
    shape = [batch.dim_param or batch.dim_value, len(head.weight), height, width]
    graph.output.append(helper.make_tensor_value_info(CAM, onnx.TensorProto.FLOAT, shape))


def has_cam(model: onnx.ModelProto) -> bool:
    """Whether the graph has the output `cam`."""
    return CAM in [item.name for item in model.graph.output]


def check_cam(file: Path, reference: Reference, providers: Sequence[Provider]) -> None:
    """Check on some of the gate's images that a file's maps add up to its logits, within the gate's limits.

    Raises:
        ParityError: they do not.
    """
    bias = find_head(onnx.load(file)).bias.astype(np.float64)
    pixels = reference.first_views(IMAGES)
    for provider in providers:
        session = Session(file, provider=provider)
        batch = np.resize(pixels, (session.batch or len(pixels), *pixels.shape[1:]))
        sums = session.run_cam(batch).mean(axis=(2, 3), dtype=np.float64) + bias
        difference = float(np.abs(sums - session.run(batch)[0]).max())
        allowed = gate_rule(session.card.precision, provider).own_tolerance(reference.magnitude)
        if not difference <= allowed:
            raise ParityError(
                f"the class activation maps do not add up to the logits on {session.provider}: they differ by "
                f"{difference:.2e}, allowed is {allowed:.2e}; export without --cam"
            )
