"""`lab inspect`: what a model file or checkpoint says about itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from infer.core.errors import ModelError
from infer.core.text import shown
from infer.model.card import ModelCard, read_card
from infer.model.evidence import Evidence, read_evidence
from infer.model.graph_summary import precision_of, weight_bytes
from infer.model.input_kinds import INPUT_KINDS
from infer.model.onnx_reader import OnnxGraph, read_graph, read_header
from infer.model.outside_weights import locations, outside_file
from infer.model.pixel_parity import PixelParity
from infer.model.providers import short_name
from infer.model.runs import CHECKPOINT, find_model
from infer.model.seal import Seal, read_seal
from infer.reports.metric_text import describe_threshold

MAX_FLIPS = 3
"""The number of differing labels that are shown with their margins."""


def describe(path: Path) -> RichTable:
    """A table of everything in a file's header, card and evidence; a run's folder means its model or checkpoint.

    Raises:
        ModelError: there is no such file, or it has no card.
    """
    if path.is_dir():
        path = _file_of_run(path)
    card = read_card(path)
    table = RichTable(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in [*_file_rows(path, card), *_card_rows(card)]:
        table.add_row(name, Text(shown(value)))
    return table


def _file_of_run(run: Path) -> Path:
    """The run's model, or else its checkpoint. Raises ModelError where it has neither."""
    try:
        return find_model(run)
    except ModelError:
        if (run / CHECKPOINT).is_file():
            return run / CHECKPOINT
        raise ModelError(f"{run} is not a run: it has neither a model nor a {CHECKPOINT}; name a file") from None


def _file_rows(path: Path, card: ModelCard) -> list[tuple[str, str]]:
    rows = [("file", str(path)), ("size", f"{path.stat().st_size / 1e6:.1f} MB")]
    if path.suffix == ".safetensors":
        return [*rows, ("kind", "checkpoint"), ("precision", card.precision)]
    header, graph = read_header(path), read_graph(path)
    opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in header.opsets.items())
    precision = precision_of(graph)
    return [
        *rows,
        ("kind", f"ONNX, written by {header.producer}"),
        ("opset", opsets if header.opsets.get("") == card.opset else f"{opsets}, but its card says {card.opset}"),
        ("precision", precision if precision == card.precision else f"{precision}, but its card says {card.precision}"),
        ("IR version", str(header.ir_version)),
        ("input", f"{'; '.join(graph.inputs)}, {INPUT_KINDS[card.input].values}"),
        ("outputs", "; ".join(graph.outputs)),
        ("parameters", f"{graph.parameters:,}"),
        ("weights", _weights_text(path, graph)),
        ("operators", ", ".join(f"{count} {name}" for name, count in graph.operators.items())),
        *_evidence_rows(path),
    ]


def _weights_text(path: Path, graph: OnnxGraph) -> str:
    """The megabytes of the constants by type, and where those are that are not in the file."""
    text = ", ".join(f"{size / 1e6:.1f} MB {dtype}" for dtype, size in weight_bytes(graph).items())
    for name in locations(graph):
        try:
            text += f"; beside the file in {name}, {outside_file(path, name).stat().st_size / 1e6:.1f} MB"
        except ModelError as error:
            text += f"; {error}"
    return text


def _evidence_rows(path: Path) -> list[tuple[str, str]]:
    evidence = read_evidence(path)
    if evidence is None:
        return [("gate", Seal(path).gate_text)]
    content = evidence.content
    pixels = content.get("pixels")
    rule = ", ".join(f"{name} {value:g}" for name, value in content["rule"].items())
    when, machine, runtime = (str(content.get(name, "?")) for name in ("when", "machine", "onnxruntime"))
    openvino = f", OpenVINO {content['openvino']}" if "openvino" in content else ""
    return [
        ("gate", evidence.summary),
        *_changed_rows(path, evidence),
        ("gate rule", f"{rule} (docs/export.md)"),
        *map(_check_row, content["checks"]),
        *([("gate pixels", str(PixelParity(**pixels)))] if pixels else []),
        ("gate images sha256", str(content["images_sha256"])),
        ("graph weights sha256", str(content.get("graph_weights_sha256", "?"))),
        ("sha256 before evidence", str(content["sha256_before"])),
        *_earlier_rows(content),
        ("gate run", f"{when}, {machine}, ONNX Runtime {runtime}{openvino}"),
    ]


def _changed_rows(path: Path, evidence: Evidence) -> list[tuple[str, str]]:
    """What was changed since the evidence was written; where weights are missing, that they are."""
    if evidence.intact:
        return []
    try:
        return [("changed", "; ".join(read_seal(path).changes))]
    except ModelError as error:
        return [("changed", str(error))]


def _earlier_rows(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The seal that `lab verify --reseal` replaced."""
    before = (content.get("resealed") or {}).get("before")
    if not before:
        return []
    return [("seal before the change", f"sha256 {before.get('sha256_before', '?')}, of {before.get('when', '?')}")]


def _check_row(check: Mapping[str, Any]) -> tuple[str, str]:
    """One provider and batch size of the gate."""
    low, high = check.get("accuracy_difference") or (0, 0)
    tolerance = check.get("tolerance")
    parts = [
        f"{check['images']} images",
        f"largest logit difference {check['logit_difference']:.1e}" + (f" of {tolerance:.1e}" if tolerance else ""),
        f"99.9% below {check['logit_p999']:.1e}",
        f"average error {check.get('noise') or 0:.1e}",
        f"labels that differ: {check['labels_differ']}{_margins(check)}",
        f"accuracy {check['accuracy']:.2%}, the network's {check['network_accuracy']:.2%}",
        f"difference {100 * low:+.1f} to {100 * high:+.1f} points (95%)",
        *([f"computed in {check['runtime_precision']}"] if check.get("runtime_precision") else []),
        *([f"added {check['when']}, {check['machine']}"] if "when" in check and "machine" in check else []),
    ]
    return f"gate {short_name(check['provider'])} batch {check['batch']}", ", ".join(parts)


def _margins(check: Mapping[str, Any]) -> str:
    """The margins of the first labels that differ: ` (image 3 by 0.01, ...)`."""
    first = [f"image {flip['image']} by {flip['margin']:.2g}" for flip in (check.get("flips") or ())[:MAX_FLIPS]]
    more = f" and {check['labels_differ'] - len(first)} more" if check["labels_differ"] > len(first) else ""
    return f" ({', '.join(first)}{more})" if first else ""


def _card_rows(card: ModelCard) -> list[tuple[str, str]]:
    pixels = card.pixels
    steps = ", ".join(map(repr, pixels.steps))
    canvas, window = (f"{height} x {width}" for height, width in (pixels.canvas, pixels.window))
    return [
        ("architecture", card.architecture),
        ("classes", ", ".join(map(str, card.classes)) + (" (grades, in order)" if card.ordered else "")),
        ("pixels", f"{steps or 'no steps'}; canvas {canvas}; centre window {window}"),
        ("reduced JPEG decoding", "yes" if pixels.reduced_decode else "no"),
        ("normalisation", str(card.normalization)),
        ("temperature", str(card.temperature)),
        ("threshold", describe_threshold(card)),
        *_flattened(card.provenance),
    ]


def _flattened(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as rows, named `outer inner`."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _flattened(value, f"{prefix}{name} ")
        else:
            text = f"{value:.4f}" if isinstance(value, float) else str(value)
            rows.append((f"{prefix}{name}".replace("_", " "), text))
    return rows
