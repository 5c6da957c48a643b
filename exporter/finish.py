"""The last steps of a file: its opset read back, its evidence attached, and the finished file opened once more."""

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from exporter.gate import FileRun
from exporter.graph import weights_sha256
from exporter.image_gate import sample_outputs
from exporter.parity import Parity
from exporter.reference import Reference
from infer.core.arrays import Floats
from infer.core.errors import ExportError
from infer.core.file_sets import FileSet
from infer.model.card import read_card
from infer.model.engine import library_version
from infer.model.evidence import attach_evidence, read_evidence
from infer.model.input_kinds import IMAGE
from infer.model.onnx_reader import read_header
from infer.model.providers import Provider
from infer.model.session import Session

REOPENED = 8
"""The number of images that run through the finished file once more."""


def check_file_opset(path: Path, opset: int) -> None:
    """Raises ExportError unless the file on disk declares this opset and no other."""
    opsets = read_header(path).opsets
    if opsets != {"": opset}:
        raise ExportError(f"opset {opset} was requested, the file has {opsets}; try another --opset")


def finish_file(draft: Path, evidence: Mapping[str, Any], reference: Reference, provider: Provider) -> None:
    """Attach the evidence as the file's last bytes, and open it once more: its weights, its card, a batch of outputs.

    Raises:
        ExportError: the file is not what was written.
        OSError: it cannot be written.
    """
    before = _outputs(draft, reference, provider)
    attach_evidence(draft, evidence)
    read_back = read_evidence(draft)
    weights = weights_sha256(onnx.load(draft))
    after = _outputs(draft, reference, provider)
    same = all(np.allclose(*pair, rtol=1e-4, atol=1e-4) for pair in zip(before, after, strict=True))
    if not (read_back and read_back.intact and same and weights == evidence["graph_weights_sha256"]):
        raise ExportError(f"the finished file {draft} is not what was written; check the disk and export again")


def write_parity(files: FileSet, file: Path, evidence: Mapping[str, Any], parity: Parity, reference: Reference) -> None:
    """Add the gate's result, with the paths of images whose labels differ, to the set of `file`. Raises OutputError."""
    flipped = {flip.image: reference.files[flip.image] for check in parity.checks for flip in check.flips}
    files.write_text(file.with_suffix(".parity.json"), json.dumps({**evidence, "flipped": flipped}, indent=2) + "\n")


def gate_evidence(model: onnx.ModelProto, parity: Parity) -> dict[str, Any]:
    """The content of the evidence of a file that passed the gate."""
    return {**parity.to_json(), "graph_weights_sha256": weights_sha256(model), **circumstances(parity)}


def circumstances(parity: Parity) -> dict[str, str]:
    """When, on which machine, and with which versions of the runtimes the gate ran."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}",
        **{library: library_version(library) for library in sorted({check.runtime for check in parity.checks})},
    }


def _outputs(draft: Path, reference: Reference, provider: Provider) -> tuple[Floats, Floats]:
    """Logits and probabilities of the first REOPENED images."""
    if read_card(draft).input == IMAGE:
        return sample_outputs(draft, reference, REOPENED)
    return FileRun(Session(draft, provider=provider)).add(reference.first_views(REOPENED)).outputs()
