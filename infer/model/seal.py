"""The seal of a model file: whether it is what `lab export` finished, checked each time it is opened to predict."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infer.core.errors import ModelError
from infer.core.text import listed
from infer.model.card import ModelCard
from infer.model.evidence import EVIDENCE_KEY, Evidence, read_evidence
from infer.model.graph_limits import check_limits
from infer.model.graph_summary import describe_changes, precision_of, summarize
from infer.model.input_kinds import INPUT_KINDS
from infer.model.onnx_reader import ONNX_DOMAINS, OnnxGraph, read_graph, read_header
from infer.model.outside_weights import check_outside, locations

INPUT_NAMES = tuple(dict.fromkeys(kind.name for kind in INPUT_KINDS.values()))
OUTPUT_NAMES = ("logits", "probabilities")
UNKNOWN_CHANGE = "what cannot be told: an older lab exported it"
MOST_CHANGES = 8


@dataclass(frozen=True)
class Seal:
    """The evidence of a file, and what was changed since it was written."""

    path: Path
    evidence: Evidence | None = None
    """None where the file has none: `lab export` did not finish it."""
    changes: tuple[str, ...] = ()
    """In words; empty where nothing was changed, or there is no evidence to compare with."""

    @property
    def note(self) -> str:
        """That the file was changed, and how, in a sentence; "" where it was not."""
        if not self.changes:
            return ""
        return f"{self.path} has been changed since lab export wrote it ({listed(self.changes, MOST_CHANGES)})"

    @property
    def gate_text(self) -> str:
        """The gate's result in one line for people, with what was changed since."""
        if self.evidence is None:
            return "no evidence: lab export did not finish this file"
        return self.evidence.summary + (f": {listed(self.changes, MOST_CHANGES)}" if self.changes else "")

    def require_evidence(self) -> Evidence:
        """The evidence. Raises ModelError where the file has none."""
        if self.evidence is None:
            raise ModelError(f"{self.path} has no evidence that it equals its network; export it again with lab export")
        return self.evidence

    def true_card(self, card: ModelCard) -> ModelCard:
        """The file's card; of a changed file with its graph's precision and opset, and weights of unknown bits."""
        if not self.changes:
            return card
        versions = [version for domain, version in read_header(self.path).opsets.items() if domain in ONNX_DOMAINS]
        precision, opset = precision_of(read_graph(self.path)), max(versions, default=card.opset)
        return replace(card.with_wide_weights(), precision=precision, opset=opset)


def read_seal(path: Path) -> Seal:
    """Read a file's evidence, compare the file's bytes with it, and find what was changed.

    Raises:
        ModelError: it is not an ONNX file, its evidence is damaged, or weights outside of it are missing or are not in
            its folder.
    """
    evidence = read_evidence(path)
    return Seal(path, evidence, () if evidence is None or evidence.intact else _changes(path, evidence))


def check_seal(path: Path, accept_changed: bool = False, accept_option: str = "") -> Seal:
    """Check a file that is to predict; most cost is reading it once.

    Args:
        path: the ONNX file.
        accept_changed: go on with a file that was changed; otherwise it is refused.
        accept_option: how the caller's user asks for `accept_changed`, which the refusal names; "": not at all.

    Raises:
        ModelError: the file was changed, it lacks an input or output, it contains what `check_limits` refuses, or as
            `read_seal`.
    """
    seal = read_seal(path)
    graph = read_graph(path)  # also where nothing was changed: a stranger can write evidence, and the sha256 in it
    check_outside(path, graph)
    _check_ends(graph, seal)  # says more of a changed file than that it was changed
    if seal.changes and not accept_changed:
        raise _changed_error(seal, accept_option)
    check_limits(path)
    return seal


def require_sealed(path: Path) -> Evidence:
    """The evidence of a file that is as `lab export` finished it, and keeps no weights in other files.

    Raises:
        ModelError: it has no evidence, was changed, or keeps weights in other files; or as `read_seal`.
    """
    seal = read_seal(path)
    evidence = seal.require_evidence()
    if seal.changes:
        raise _changed_error(seal)
    if others := locations(read_graph(path)):
        raise ModelError(f"{path} keeps weights in {listed(others)}; export it again into one file")
    return evidence


def changed_notes(seals: Sequence[Seal]) -> tuple[str, ...]:
    """For each file that was changed, that it was, for reports."""
    return tuple(seal.note for seal in seals if seal.changes)


def _changed_error(seal: Seal, accept_option: str = "") -> ModelError:
    """The refusal of a file that was changed, with the remedies that its caller has."""
    remedies = ["export it again", "have lab verify --reseal prove it against its run"]
    *first, last = [*remedies, f"give {accept_option}"] if accept_option else remedies
    return ModelError(f"{seal.note}; {', '.join(first)}, or {last}")


def _changes(path: Path, evidence: Evidence) -> tuple[str, ...]:
    """What was changed; never empty."""
    try:
        found = describe_changes(evidence.graph, summarize(path, EVIDENCE_KEY))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ModelError(f"the evidence in {path} cannot be read ({reason}); export it again") from error
    if not found and "graph" not in evidence.content:
        return (UNKNOWN_CHANGE,)
    return tuple(found) or ("the same parts, written in another order",)


def _check_ends(graph: OnnxGraph, seal: Seal) -> None:
    """Raises ModelError unless the graph takes lab's input and no other, and has lab's outputs."""
    constants = {tensor.name for tensor in graph.tensors}
    inputs = [value.name for value in graph.input_values if value.name not in constants]
    outputs = [value.name for value in graph.output_values]
    lost = [name for name in OUTPUT_NAMES if name not in outputs]
    why = f"; {seal.note}" if seal.changes else ""
    if len(inputs) != 1 or inputs[0] not in INPUT_NAMES:
        raise ModelError(
            f"{seal.path} takes {listed(inputs) or 'no input'} where lab gives {' or '.join(INPUT_NAMES)}: "
            f"renamed or cut; give it its name again, or export again{why}"
        )
    if lost:
        raise ModelError(
            f"{seal.path} has no output {' and no output '.join(lost)}, but {listed(outputs) or 'none'}: "
            f"renamed or cut; give it its name again, or export again{why}"
        )
