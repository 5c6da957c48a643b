"""The torch exporter's graphs, each made once for all processes that run the tests: one takes seconds."""

import functools
import hashlib
import os
from pathlib import Path

import onnx
import pytest
from torch import nn
from torch.onnx._internal.exporter._registration import ONNXRegistry

import exporter.graph
from infer.model.card import ModelCard

run_exporter = exporter.graph._export
"""The function that calls the torch exporter, without what `reuse_exports` puts in its place."""


def reuse_exports(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Keep the torch exporter's graphs in a folder, and read them from there where the network is the same."""

    def export(network: nn.Module, card: ModelCard) -> onnx.ModelProto:
        path = folder / f"{graph_key(network, card)}.onnx"
        if not path.exists():
            draft = path.with_suffix(f".{os.getpid()}")
            draft.write_bytes(run_exporter(network, card).SerializeToString())
            draft.replace(path)
        return onnx.load(path)

    folder.mkdir(exist_ok=True)
    patch.setattr(exporter.graph, "_export", export)
    # the exporter's table of operators, which it would make again for each graph
    patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(functools.cache(ONNXRegistry.from_torchlib)))


def graph_key(network: nn.Module, card: ModelCard) -> str:
    """A digest of all that a graph follows from: the layers with their code and settings, their values, the window."""
    digest = hashlib.sha256(f"{network!r} {card.pixels.window}".encode())
    for name, module in network.named_modules():
        code = type(module).forward.__code__
        plain = bool | int | float | str | tuple | None
        settings = {key: value for key, value in vars(module).items() if isinstance(value, plain)}
        digest.update(f"{name} {type(module)} {settings} {code.co_names} {code.co_consts}".encode() + code.co_code)
    for name, values in (*network.named_parameters(), *network.named_buffers()):
        array = values.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()
