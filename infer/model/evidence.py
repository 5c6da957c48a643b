"""The evidence in a model file: the gate's result, with the checksum of every byte of the file before it.

It is one metadata entry, `lab.evidence`, and the file's last bytes. What precedes it, the graph, the weights and the
card, is the same for the same checkpoint, options and versions; the evidence also records when and on which machine the
gate ran.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infer.core.arrays import Pixels
from infer.core.errors import ModelError
from infer.core.files import atomic_write, sha256_of
from infer.core.parse import parse_json
from infer.model.evidence_checks import check_evidence
from infer.model.graph_summary import summarize
from infer.model.onnx_reader import metadata_entry, read_header
from infer.model.outside_weights import outside_sha256
from infer.model.providers import Provider, short_name

EVIDENCE_KEY = "lab.evidence"


@dataclass(frozen=True)
class Evidence:
    """The gate's result as a file carries it, and whether the file is unchanged since."""

    content: Mapping[str, Any]
    """The result as JSON values; docs/onnx.md lists them."""
    intact: bool
    """Whether all bytes before the evidence have the sha256 that it records, and none follow it."""
    file_sha256: str
    """Sha256 of the whole file."""

    @property
    def graph(self) -> Mapping[str, Any]:
        """The file's parts when the evidence was written, as `infer.model.graph_summary.summarize` gives them.

        Of evidence that an older lab wrote, only the opset and the precision are known.
        """
        known = {name: self.content[name] for name in ("precision",) if name in self.content}
        opsets = {"opsets": {"": self.content["opset"]}} if "opset" in self.content else {}
        recorded: Mapping[str, Any] = self.content.get("graph", {**known, **opsets})
        return recorded

    @property
    def providers(self) -> tuple[str, ...]:
        """The names of the providers on which the file passed, each once."""
        return tuple(dict.fromkeys(check["provider"] for check in self.content["checks"]))

    @property
    def summary(self) -> str:
        """One line for people."""
        checks = self.content["checks"]
        providers = ", ".join(map(short_name, self.providers))
        flips = max(check["labels_differ"] for check in checks)
        images = self.content["images"]
        resealed = self.content.get("resealed")
        return (
            f"passed on {images} images ({providers}), labels that differ: {flips}"
            + (f"; sealed again after a change ({', '.join(resealed['changes'])})" if resealed else "")
            + ("" if self.intact else "; BUT THE FILE HAS BEEN CHANGED SINCE")
        )


def attach_evidence(path: Path, content: Mapping[str, Any]) -> None:
    """Append the gate's result, with the file's checksum and a summary of its graph, to a file without evidence.

    Raises OSError, and ModelError where weights outside of the file are missing.
    """
    graph = summarize(path, EVIDENCE_KEY)
    evidence = {**content, "graph": graph, "sha256_before": sha256_of(path)}
    with path.open("ab") as file:
        file.write(metadata_entry(EVIDENCE_KEY, json.dumps(evidence, sort_keys=True)))


def add_checks(path: Path, checks: Sequence[Mapping[str, Any]]) -> None:
    """Add checks that a file passed later to its evidence, whose other content stays; the file is replaced at once.

    Raises:
        ModelError: it has no evidence.
        OutputError: it cannot be written.
    """
    evidence = read_evidence(path)
    if evidence is None:
        raise ModelError(f"{path} has no evidence that could be added to; export it again")
    content = {**evidence.content, "checks": [*evidence.content["checks"], *checks]}
    text = json.dumps(content, sort_keys=True)
    start = read_header(path).starts[EVIDENCE_KEY]
    with atomic_write(path) as draft, path.open("rb") as source, draft.open("wb") as target:
        target.write(source.read(start))
        target.write(metadata_entry(EVIDENCE_KEY, text))


def read_evidence(path: Path) -> Evidence | None:
    """Read the evidence in a file, and the whole file for its checksum; None where it has no evidence.

    Raises:
        ModelError: there is no such file, it is not an ONNX file, or its evidence is damaged.
    """
    header = read_header(path)
    if EVIDENCE_KEY not in header.metadata:
        return None
    try:
        text, start = header.metadata[EVIDENCE_KEY], header.starts[EVIDENCE_KEY]
        content = dict(parse_json(text))
        is_last = start + len(metadata_entry(EVIDENCE_KEY, text)) == path.stat().st_size
        check_evidence(content)
        before, whole = _sha256(path, start)
        intact = is_last and before == content["sha256_before"] and _outside_intact(path, content)
        evidence = Evidence(content, intact, whole)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ModelError(f"the evidence in {path} cannot be read ({reason}); export it again") from error
    return evidence


def evidence_problem(path: Path, evidence: Evidence | None, provider: Provider) -> str | None:
    """Why a file's evidence does not let a provider run it, with the remedy; None where it names the provider."""
    if evidence is None:
        return f"{path} has no evidence that it passed the gate on {provider.label}; export it again"
    if not evidence.intact:
        return f"{path} has been changed since lab export wrote it; export it again"
    if provider.name in evidence.providers:
        return None
    return (
        f"the evidence in {path} does not name {provider.label}; "
        f"`lab verify {path} --runtime {provider.runtime}` adds it where it passes the gate"
    )


def view_digest(view: Pixels) -> bytes:
    """The sha256 of the bytes of an evaluation view."""
    return hashlib.sha256(view.tobytes()).digest()


def images_sha256(digests: Sequence[bytes]) -> str:
    """One digest of many images, from the sha256 of each view's bytes; the same in any order."""
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def _outside_intact(path: Path, content: Mapping[str, Any]) -> bool:
    """Whether the weights that the file keeps in other files are those that were sealed; most files keep none there."""
    sealed = dict(content.get("graph", {}).get("outside", {}))
    try:
        return outside_sha256(path, sealed) == sealed
    except ModelError:
        return False


def _sha256(path: Path, size: int) -> tuple[str, str]:
    """The sha256 of the first `size` bytes of a file, and that of all of them, read once."""
    digest, remaining = hashlib.sha256(), size
    with path.open("rb") as file:
        while remaining > 0 and (chunk := file.read(min(remaining, 1 << 20))):
            digest.update(chunk)
            remaining -= len(chunk)
        before = digest.hexdigest()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return before, digest.hexdigest()
