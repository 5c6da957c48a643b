"""The torch exporter's graphs, made once for all networks of the same layers, in all processes: one takes seconds."""

import functools
import hashlib
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from torch import nn
from torch.onnx._internal.exporter._registration import ONNXRegistry

import exporter.graph
from infer.model.card import ModelCard
from trainer.model.network import PixelNet

run_exporter = exporter.graph._export
"""The function that calls the torch exporter, without what `reuse_exports` puts in its place."""


def reuse_exports(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Keep the torch exporter's graphs in a folder, and read them from there where the network has the same layers."""

    def export(network: PixelNet, card: ModelCard) -> onnx.ModelProto:
        of_any, of_these = (folder / f"{graph_key(network, card, same)}.onnx" for same in (False, True))
        if of_any.exists():
            return with_weights(onnx.load(of_any), network)
        if of_these.exists():
            return onnx.load(of_these)
        model = run_exporter(network, card)
        path = of_any if holds_weights(model, network) else of_these
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_bytes(model.SerializeToString())
        draft.replace(path)
        return model

    folder.mkdir(exist_ok=True)
    patch.setattr(exporter.graph, "_export", export)
    # the exporter's table of operators, which it would make again for each graph
    patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(functools.cache(ONNXRegistry.from_torchlib)))


def graph_key(network: PixelNet, card: ModelCard, same_values: bool) -> str:
    """A digest of what a graph follows from: the layers with their code and settings, the window, and values.

    Without `same_values` only those outside of the backbone: the exporter leaves out a division by 1.
    """
    digest = hashlib.sha256(f"{network!r} {card.pixels.window}".encode())
    for name, module in network.named_modules():
        code = type(module).forward.__code__
        plain = bool | int | float | str | tuple | None
        settings = {key: value for key, value in vars(module).items() if isinstance(value, plain)}
        digest.update(f"{name} {type(module)} {settings} {code.co_names} {code.co_consts}".encode() + code.co_code)
    weights = arrays(network.backbone)
    for name, array in arrays(network).items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        if same_values or name.removeprefix("resnet.") not in weights:
            digest.update(array.tobytes())
    return digest.hexdigest()


def holds_weights(model: onnx.ModelProto, network: PixelNet) -> bool:
    """Whether a graph holds the backbone's weights as they are: those of batch normalisation it holds multiplied."""
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return all(np.array_equal(array, held.get(f"resnet.{name}")) for name, array in arrays(network.backbone).items())


def with_weights(model: onnx.ModelProto, network: PixelNet) -> onnx.ModelProto:
    """The graph with the weights of another backbone of the same layers."""
    weights = {f"resnet.{name}": array for name, array in arrays(network.backbone).items()}
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name], tensor.name))
    return model


def arrays(module: nn.Module) -> dict[str, np.ndarray]:
    """Parameters and buffers by their names."""
    named = (*module.named_parameters(), *module.named_buffers())
    return {name: values.detach().cpu().contiguous().numpy() for name, values in named}
