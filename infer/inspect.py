"""`lab inspect`: what a model file or checkpoint says of itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from infer.core.errors import ModelError
from infer.core.text import shown
from infer.model.card import ModelCard, read_card
from infer.model.evidence import Evidence, read_evidence
from infer.model.onnx_reader import read_graph, read_header
from infer.model.providers import short_name
from infer.model.runs import CHECKPOINT, find_model
from infer.reports.metric_text import describe_threshold


def describe(path: Path) -> RichTable:
    """Everything in a file's header and card as a table of two columns; a run's folder means its model or checkpoint.

    Raises:
        ModelError: there is no such file, or it has no card.
    """
    if path.is_dir():
        try:
            path = find_model(path)
        except ModelError:
            if not (path / CHECKPOINT).is_file():
                raise ModelError(
                    f"{path} is no run: it holds neither a model nor a {CHECKPOINT}; name a file"
                ) from None
            path = path / CHECKPOINT
    card = read_card(path)
    table = RichTable(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in [*_file_rows(path, card), *_card_rows(card)]:
        table.add_row(name, Text(shown(value)))
    return table


def _file_rows(path: Path, card: ModelCard) -> list[tuple[str, str]]:
    rows = [("file", str(path)), ("size", f"{path.stat().st_size / 1e6:.1f} MB")]
    if path.suffix == ".safetensors":
        return [*rows, ("kind", "checkpoint")]
    header, graph = read_header(path), read_graph(path)
    opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in header.opsets.items())
    return [
        *rows,
        ("kind", f"ONNX, written by {header.producer}"),
        ("opset", opsets if header.opsets.get("") == card.opset else f"{opsets}, but its card says {card.opset}"),
        ("IR version", str(header.ir_version)),
        ("input", f"{'; '.join(graph.inputs)}, RGB"),
        ("outputs", "; ".join(graph.outputs)),
        ("parameters", f"{graph.parameters:,}"),
        ("operators", ", ".join(f"{count} {name}" for name, count in graph.operators.items())),
        *_evidence_rows(read_evidence(path)),
    ]


def _evidence_rows(evidence: Evidence | None) -> list[tuple[str, str]]:
    if evidence is None:
        return [("gate", "no evidence: lab export did not finish this file")]
    found = evidence.found
    rule = ", ".join(f"{name} {value:g}" for name, value in found["rule"].items())
    rows = [("gate", evidence.summary), ("gate rule", f"{rule} (docs/export.md)")]
    for check in found["checks"]:
        low, high = check.get("accuracy_difference") or (0, 0)
        allowed = check.get("tolerance")
        told = [
            f"{check['images']} images",
            f"largest logit difference {check['logit_difference']:.1e}" + (f" of {allowed:.1e}" if allowed else ""),
            f"99.9% below {check['logit_p999']:.1e}",
            f"average error {check.get('noise') or 0:.1e}",
            f"labels that differ: {check['labels_differ']}{_margins(check)}",
            f"accuracy {check['accuracy']:.2%}, the network's {check['network_accuracy']:.2%}",
            f"difference {100 * low:+.1f} to {100 * high:+.1f} points (95%)",
        ]
        where = f"{short_name(check['provider'])} batch {check['batch']}"
        rows.append((f"gate {where}", ", ".join(told)))
    when = [str(found.get(name, "?")) for name in ("when", "machine", "onnxruntime")]
    return [
        *rows,
        ("gate images sha256", str(found["images_sha256"])),
        ("graph weights sha256", str(found.get("graph_weights_sha256", "?"))),
        ("sha256 of what is before", str(found["sha256_before"])),
        ("gate run", f"{when[0]}, {when[1]}, ONNX Runtime {when[2]}"),
    ]


def _margins(check: Mapping[str, Any], most: int = 3) -> str:
    """The margins of the first labels that differ: ` (image 3 by 0.01, ...)`."""
    told = [f"image {flip['image']} by {flip['margin']:.2g}" for flip in (check.get("flips") or ())[:most]]
    more = f" and {check['labels_differ'] - len(told)} more" if check["labels_differ"] > len(told) else ""
    return f" ({', '.join(told)}{more})" if told else ""


def _card_rows(card: ModelCard) -> list[tuple[str, str]]:
    pixels = card.pixels
    steps = ", ".join(map(repr, pixels.steps))
    canvas, window = (f"{height} x {width}" for height, width in (pixels.canvas, pixels.window))
    return [
        ("architecture", card.architecture),
        ("precision", card.precision),
        ("classes", ", ".join(map(str, card.classes)) + (" (grades, in order)" if card.ordered else "")),
        ("pixels", f"{steps or 'no steps'}; canvas {canvas}; centre window {window}"),
        ("reduced JPEG decoding", "yes" if pixels.reduced_decode else "no"),
        ("normalisation", str(card.normalization)),
        ("temperature", str(card.temperature)),
        ("threshold", describe_threshold(card)),
        *_flat(card.provenance),
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as rows, named `outer inner`."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name} ")
        else:
            rows.append(
                (f"{prefix}{name}".replace("_", " "), f"{value:.4f}" if isinstance(value, float) else str(value))
            )
    return rows
