"""`lab verify --reseal`: new evidence for a file that was changed since its export and that the gate has passed."""

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import onnx

from exporter.finish import finish_file, gate_evidence, write_parity
from exporter.parity import Parity
from exporter.reference import Reference
from infer.core.console import Screen
from infer.core.errors import ParityError
from infer.core.exclusive import exclusive
from infer.core.file_sets import file_set
from infer.core.text import listed
from infer.model.card import CARD_KEY, read_card
from infer.model.evidence import EVIDENCE_KEY
from infer.model.graph_summary import short_digest
from infer.model.onnx_reader import metadata_entry, read_header
from infer.model.providers import Provider
from infer.model.seal import Seal

KEPT = (
    *("sha256_before", "graph_weights_sha256", "precision", "opset", "images", "images_sha256"),
    *("when", "machine", "onnxruntime", "openvino", "resealed"),
)
"""What new evidence keeps of the evidence that it replaces."""


def reseal(
    seal: Seal, model: onnx.ModelProto, parity: Parity, reference: Reference, provider: Provider, screen: Screen
) -> None:
    """Replace a file's evidence by that of a gate that it has passed, which names the earlier one and what was changed.

    The graph stays as it is, byte for byte; a card that named another precision or opset is made to name the graph's.
    An earlier file stays as it was where anything fails.

    Args:
        seal: of the file.
        model: the file, loaded.
        parity: the gate's result on it.
        reference: the gate's images.
        provider: where the finished file is opened once more.
        screen: for messages.

    Raises:
        ParityError: the card was changed, which no gate can judge.
        ExportError, OutputError: the file cannot be written.
    """
    file, evidence = seal.path, seal.evidence
    if evidence and not seal.changes:
        screen.say("nothing to seal again: not a byte has changed since")
        return
    _require_same_card(seal)
    card = read_card(file)
    true_card = seal.true_card(card)
    before = {name: evidence.content[name] for name in KEPT if name in evidence.content} if evidence else None
    changes = list(seal.changes) or ["it had no evidence"]
    content = {**gate_evidence(model, parity), "resealed": {"changes": changes, "before": before}}
    new_card = {} if true_card == card else {CARD_KEY: true_card.to_json()}
    with exclusive(file, remedy="seal it later"), file_set(file) as files:
        draft = files.draft(file, beside=True)  # it may name weights in files beside it
        _copy(file, draft, {EVIDENCE_KEY, *new_card}, new_card)
        finish_file(draft, content, reference, provider)
        write_parity(files, file, content, parity, reference)
    screen.say(f"sealed again: {file} ({listed(changes)})")


def _require_same_card(seal: Seal) -> None:
    """Raises ParityError where the card is known to be another than at the export: its threshold may be anything."""
    sealed = seal.evidence.graph.get("metadata", {}).get(CARD_KEY) if seal.evidence else None
    if sealed not in (None, short_digest(read_header(seal.path).metadata[CARD_KEY].encode())):
        raise ParityError(
            f"the card of {seal.path} has been changed since lab export wrote it, which no gate can judge; "
            "export it again"
        )


def _copy(source: Path, target: Path, dropped: Container[str], added: Mapping[str, Any]) -> None:
    """Copy a model file, byte for byte but for metadata entries that are dropped, and those added at its end."""
    content, at = source.read_bytes(), 0
    with target.open("wb") as file:
        for key, span in read_header(source).entries:
            if key in dropped:
                file.write(content[at : span.start])
                at = span.stop
        file.write(content[at:])
        for key, text in added.items():
            file.write(metadata_entry(key, text))
