"""What a model file is made of, in a few values: recorded at the export, and compared where the file was changed."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from infer.core.text import listed
from infer.model.onnx_reader import (
    INT32_DATA,
    INT64_DATA,
    ONNX_DOMAINS,
    UINT64_DATA,
    OnnxGraph,
    Tensor,
    read_graph,
    read_header,
)
from infer.model.outside_weights import check_outside, locations, outside_file, outside_sha256
from infer.model.protobuf import opened, varints

QUANTISED, HALF = ("int8", "uint8", "int4", "uint4"), ("float16", "bfloat16")
DIGITS = 16
"""Hexadecimal digits of a constant's and a metadata entry's digest, of which a summary has hundreds."""
MASK = (1 << 64) - 1
MOST_SHOWN = 6
"""Operators that a description of a change names."""


def summarize(path: Path, own_entry: str) -> dict[str, Any]:
    """The parts of a model file as JSON values: a dictionary that `describe_changes` compares.

    Args:
        path: the ONNX file.
        own_entry: key of the metadata entry that the summary itself goes into.

    Raises:
        ModelError: it is not an ONNX file, or weights outside of it are missing or outside of its folder.
    """
    header, graph = read_header(path), read_graph(path)
    check_outside(path, graph)
    return {
        "producer": header.producer,
        "ir_version": header.ir_version,
        "opsets": header.opsets,
        "precision": precision_of(graph),
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "operators": graph.operators,
        "weights": weight_bytes(graph),
        "outside": outside_sha256(path, locations(graph)),
        "constants": constant_digests(path, graph),
        "structure": graph.structure,
        "metadata": {key: short_digest(text.encode()) for key, text in header.metadata.items() if key != own_entry},
    }


def precision_of(graph: OnnxGraph) -> str:
    """The precision that a graph's weights are stored in, whatever its card says: `fp32`, `fp16` or `int8`."""
    types = {tensor.dtype for tensor in graph.tensors if len(tensor.shape) > 1}
    if types.intersection(QUANTISED):
        return "int8"
    return "fp16" if types.intersection(HALF) else "fp32"


def weight_bytes(graph: OnnxGraph) -> dict[str, int]:
    """The number of bytes of all constants by their type, in the file or outside of it."""
    sizes = Counter[str]()
    for tensor in graph.tensors:
        sizes[tensor.dtype] += tensor.nbytes
    return dict(sorted(sizes.items()))


def constant_digests(path: Path, graph: OnnxGraph) -> list[str]:
    """A digest of each constant's type, shape and values, in the order of the digests; names do not enter them."""
    with opened(path) as file:
        return sorted(_digest(path, file, tensor) for tensor in graph.tensors)


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two summaries of a file, in words; what the earlier one lacks is not compared."""
    texts = _opset_changes(before, now) + [
        f"{name.replace('_', ' ')} {_text(before[name])} -> {_text(now[name])}"
        for name in ("precision", "inputs", "outputs", "producer", "ir_version")
        if name in before and before[name] != now[name]
    ]
    if moved := [name for name in now["outside"] if name not in before.get("outside", {})]:
        texts.append(f"weights moved outside the file, to {listed(moved, 3)}")
    if "operators" in before:
        texts += _operator_changes(before["operators"], now["operators"])
    if "constants" in before:
        texts += _constant_changes(before["constants"], now["constants"])
    if "metadata" in before:
        texts += _metadata_changes(before["metadata"], now["metadata"])
    if not texts and before.get("structure", now["structure"]) != now["structure"]:
        texts.append("names or attributes of nodes")
    return texts


def _text(value: str | int | Sequence[str]) -> str:
    return str(value) if isinstance(value, str | int) else "; ".join(value) or "none"


def _opset_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    opsets = before.get("opsets", {})
    own = [version for domain, version in now["opsets"].items() if domain in ONNX_DOMAINS]
    texts = [f"opset {opsets['']} -> {version}" for version in own if opsets.get("", version) != version]
    if added := [domain for domain in now["opsets"] if domain not in ONNX_DOMAINS and opsets and domain not in opsets]:
        texts.append(f"operator domains added: {listed(added, 3)}")
    return texts


def _operator_changes(before: Mapping[str, int], now: Mapping[str, int]) -> list[str]:
    counts = {name: now.get(name, 0) - before.get(name, 0) for name in sorted({*before, *now})}
    changed = [f"{count:+d} {name}" for name, count in counts.items() if count]
    return [f"operators {listed(changed, MOST_SHOWN)}"] if changed else []


def _constant_changes(before: Sequence[str], now: Sequence[str]) -> list[str]:
    lost, new = Counter(before) - Counter(now), Counter(now) - Counter(before)
    if not lost:
        return [f"{new.total()} of {len(now)} constants new"] if new else []
    return [f"{lost.total()} of {len(before)} constants changed or removed, {new.total()} of {len(now)} new"]


def _metadata_changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    added, lost = ([key for key in one if key not in other] for one, other in ((now, before), (before, now)))
    edited = [key for key in now if key in before and now[key] != before[key]]
    kinds = {"added": added, "removed": lost, "changed": edited}
    return [f"metadata {kind}: {listed(keys, 3)}" for kind, keys in kinds.items() if keys]


def _digest(path: Path, file: BinaryIO, tensor: Tensor) -> str:
    return short_digest(f"{tensor.dtype} {list(tensor.shape)}\0".encode() + _values(path, file, tensor))


def _values(path: Path, file: BinaryIO, tensor: Tensor) -> bytes:
    """The bytes of a constant's values, as RAW_DATA holds them."""
    if tensor.location:
        offset, length = tensor.span
        with outside_file(path, tensor.location).open("rb") as other:
            other.seek(offset)
            return other.read(tensor.nbytes if length is None else length)
    if tensor.values is None:
        return b""
    field, value = tensor.values
    if field in (INT32_DATA, INT64_DATA, UINT64_DATA):
        numbers = np.array([number & MASK for number in varints(file, value)], dtype=np.uint64)
        return numbers.astype(f"uint{max(8, tensor.bits)}").tobytes()
    if isinstance(value, int):
        return b""
    file.seek(value.start)
    return file.read(len(value))


def short_digest(content: bytes) -> str:
    """The first digits of a sha256, which tell changes apart and are no proof against forgery."""
    return hashlib.sha256(content).hexdigest()[:DIGITS]
