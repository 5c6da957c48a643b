"""The finished file: its opset and its evidence, read back from disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from exporter.gate import Run
from exporter.graph import weights_sha256
from exporter.reference import Reference
from infer.config import Device
from infer.core.errors import ExportError
from infer.model.evidence import attach_evidence, read_evidence
from infer.model.onnx_reader import read_header
from infer.model.session import Session

REOPENED = 8
"""Images that the finished file is tried on once more."""


def finish_file(draft: Path, found: Mapping[str, Any], reference: Reference, device: Device) -> None:
    """Write the evidence as the file's last bytes, and open it once more: its weights, its card, a batch of answers.

    Raises:
        ExportError: the file is not what was written.
        OSError: it cannot be written.
    """
    pixels = np.stack(list(reference.take(range(min(REOPENED, len(reference.files)))).views()))
    before = Run(Session(draft, device)).add(pixels).answers()
    attach_evidence(draft, found)
    evidence = read_evidence(draft)
    weights = weights_sha256(onnx.load(draft))
    after = Run(Session(draft, device)).add(pixels).answers()
    same = all(np.allclose(one, two, rtol=1e-4, atol=1e-4) for one, two in zip(before, after, strict=True))
    if not (evidence and evidence.intact and same and weights == found["graph_weights_sha256"]):
        raise ExportError(f"the finished file {draft} is not what was written; check the disk and export again")


def check_file(path: Path, opset: int) -> None:
    """Raises ExportError unless the file on disk says that it is of this opset and no other."""
    opsets = read_header(path).opsets
    if opsets != {"": opset}:
        raise ExportError(f"opset {opset} was asked for, the file has {opsets}; try another --opset")
