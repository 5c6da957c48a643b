"""The proof that travels in a model file: what the gate found, bound to every byte of the file before it.

It is one metadata entry, `lab.evidence`, and the file's last bytes. What comes before it, the graph, the weights and
the card, is the same for the same checkpoint, options and versions; the evidence also tells when and on what it was
found.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infer.core.arrays import Pixels
from infer.core.errors import ModelError
from infer.model.onnx_reader import metadata_entry, read_header
from infer.model.providers import short_name

EVIDENCE_KEY = "lab.evidence"


@dataclass(frozen=True)
class Evidence:
    """What a file says that the gate found, and whether the file is still the one that was proven."""

    found: Mapping[str, Any]
    """As JSON values; docs/onnx.md lists them."""
    intact: bool
    """Whether all bytes before the evidence have the sha256 that it names, and none follow it."""

    @property
    def summary(self) -> str:
        """One line for people."""
        checks = self.found["checks"]
        where = ", ".join(dict.fromkeys(short_name(check["provider"]) for check in checks))
        flips = max(check["labels_differ"] for check in checks)
        images = self.found["images"]
        return f"passed on {images} images ({where}), labels that differ: {flips}" + (
            "" if self.intact else "; BUT THE FILE HAS BEEN CHANGED SINCE"
        )


def attach_evidence(path: Path, found: Mapping[str, Any]) -> None:
    """Write the gate's findings into a file that has none, as its last bytes. Raises OSError."""
    sealed = {**found, "sha256_before": _sha256(path, path.stat().st_size)}
    with path.open("ab") as file:
        file.write(metadata_entry(EVIDENCE_KEY, json.dumps(sealed, sort_keys=True)))


def read_evidence(path: Path) -> Evidence | None:
    """The evidence in a file; None where it has none. Reads the whole file.

    Raises:
        ModelError: there is no such file, it is not an ONNX file, or its evidence is damaged.
    """
    header = read_header(path)
    if EVIDENCE_KEY not in header.metadata:
        return None
    try:
        text, start = header.metadata[EVIDENCE_KEY], header.starts[EVIDENCE_KEY]
        found = dict(json.loads(text))
        last = start + len(metadata_entry(EVIDENCE_KEY, text)) == path.stat().st_size
        _check(found)
        evidence = Evidence(found, last and _sha256(path, start) == found["sha256_before"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        what = f"{type(error).__name__}: {error}"
        raise ModelError(f"the evidence in {path} cannot be read ({what}); export it again") from error
    return evidence


def view_digest(view: Pixels) -> bytes:
    """The sha256 of an evaluation view's bytes."""
    return hashlib.sha256(view.tobytes()).digest()


def images_sha256(digests: Sequence[bytes]) -> str:
    """Of many images by the sha256 of each view's bytes: the same in any order."""
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


NUMBERS = ("batch", "images", "labels_differ", "logit_difference", "logit_p999", "accuracy", "network_accuracy")


def _check(found: Mapping[str, Any]) -> None:
    """Raises KeyError, TypeError or ValueError for what `lab export` would not have written."""
    if found["passed"] is not True or not found["checks"]:
        raise ValueError("it tells of no gate that was passed")
    if not isinstance(found["rule"], Mapping) or not isinstance(found["images"], int):
        raise TypeError("its rule or its number of images is of another kind")
    _ = found["images_sha256"], found["sha256_before"]
    for check in found["checks"]:
        if not isinstance(check["provider"], str) or not all(isinstance(check[name], int | float) for name in NUMBERS):
            raise TypeError("a check is of another kind")


def _sha256(path: Path, size: int) -> str:
    """Of the first `size` bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (part := file.read(min(size, 1 << 20))):
            digest.update(part)
            size -= len(part)
    return digest.hexdigest()
