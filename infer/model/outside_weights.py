"""Weights that a model file keeps in other files beside it, as ONNX's external data."""

from collections.abc import Iterable
from pathlib import Path

from infer.core.errors import ModelError
from infer.core.files import sha256_of
from infer.core.text import shown
from infer.model.onnx_reader import TYPES, OnnxGraph, Tensor

IN_MEMORY = "_ORT_MEM_ADDR_"
"""ONNX Runtime's mark, within a location, of values that it holds in memory; it means no file."""


def locations(graph: OnnxGraph) -> tuple[str, ...]:
    """The other files, as the model names them, in alphabetical order."""
    return tuple(sorted({tensor.location for tensor in graph.tensors if tensor.location}))


def outside_file(model: Path, location: str) -> Path:
    """The file at a location that a model names.

    Raises:
        ModelError: there is no such file, or it is not in the model's folder: a model from elsewhere could name any.
    """
    folder = model.resolve().parent
    try:
        found = (folder / location).resolve()
    except (OSError, RuntimeError, ValueError):  # a name that no file can have, or a circle of links
        found = Path("/")
    if not found.is_relative_to(folder) or IN_MEMORY in location:
        raise ModelError(
            f"{model} keeps weights in {shown(location)}, outside of its folder, which lab does not open; "
            "put them into its folder, or export again"
        )
    if not found.is_file():
        raise ModelError(
            f"{model} keeps weights in {shown(location)} beside it, which does not exist; put it there, or export again"
        )
    return found


def check_outside(model: Path, graph: OnnxGraph) -> None:
    """Raises ModelError unless all weights outside the model file are in its folder, and in full."""
    needed: dict[str, int] = {}
    for tensor in graph.tensors:
        if tensor.location:
            offset, length = tensor.span
            claimed = tensor.nbytes if tensor.dtype in TYPES.values() else length
            if offset < 0 or (length is not None and length != claimed):
                raise ModelError(
                    f"{model} has a constant {shown(tensor.name)} of {tensor.nbytes} bytes, and {length} for it from "
                    f"byte {offset} of {shown(tensor.location)}; export it again"
                )
            needed[tensor.location] = max(needed.get(tensor.location, 0), _end(tensor))
    for location, size in needed.items():
        found = outside_file(model, location).stat().st_size
        if found < size:
            raise ModelError(
                f"{model} keeps {size} bytes of weights in {location} beside it, which has {found}; "
                "copy both again, or export again"
            )


def outside_sha256(model: Path, names: Iterable[str]) -> dict[str, str]:
    """The sha256 of each of these files by its location. Raises ModelError as `outside_file`."""
    return {name: sha256_of(outside_file(model, name)) for name in names}


def _end(tensor: Tensor) -> int:
    """The offset in the other file at which the values of a tensor end."""
    offset, length = tensor.span
    return offset + (tensor.nbytes if length is None else length)
