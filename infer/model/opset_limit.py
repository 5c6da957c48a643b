"""The opsets that an execution provider can run: from the table of providers, or by opening a graph where it works."""

from functools import cache

from infer.core.errors import DeviceError, ModelError
from infer.model.onnx_session import open_onnx
from infer.model.onnx_writer import Node, Value, small_model
from infer.model.providers import Provider


def file_problem(provider: Provider, precision: str, opset: int | None) -> str | None:
    """Why a file of this precision and opset cannot run on a provider here, with the remedy; None: no reason is known.

    `opset` is None where the file's card does not say.
    """
    return provider.problem(precision) or (opset_problem(provider, opset) if opset is not None else None)


def opset_problem(provider: Provider, opset: int) -> str | None:
    """Why a provider cannot run files of this opset, with the remedy; None where it can.

    On a machine that can use the provider, a graph of an opset beyond its row's `newest_opset` is opened on it: a
    newer ONNX Runtime may run it.
    """
    newest = provider.newest_opset
    if newest is None or opset <= newest or (provider.find_problem() is None and opens_opset(provider, opset)):
        return None
    return (
        f"ONNX Runtime's {provider.label} provider has no kernel for some operators of opset {opset}, its newest is "
        f"{newest}; export with --opset {newest} or lower"
    )


@cache
def opens_opset(provider: Provider, opset: int) -> bool:
    """Whether a provider that this machine can use opens a graph of this opset, without the CPU.

    The graph is a MaxPool, of all operators of a ResNet the one that providers lack in new opsets.
    """
    image, pooled = Value("x", "float32", [1, 1, 4, 4]), Value("y", "float32", [1, 1, 2, 2])
    pool = Node("MaxPool", ["x"], "y", {"kernel_shape": [2, 2], "strides": [2, 2]})
    try:
        open_onnx(small_model([pool], [image], [pooled], opset=opset), provider, 1, provider.default_options("fp32"))
    except (DeviceError, ModelError):
        return False
    return True
