"""`report.html`: one self-contained page that needs no network, works without scripts, on a phone and on paper.

The page allows itself nothing but its own style, its own script, by their sha256, and the pictures that it holds.
"""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from infer.metrics.metrics import Estimate, Metrics
from infer.metrics.result import EvaluationResult
from infer.reports.gallery import gallery_html
from infer.reports.html import bullets, data_uri, facts_table, name, text, wide
from infer.reports.metric_text import CLASS_COLUMNS, decimal, percent, summary_rows
from infer.reports.pictures import Picture
from infer.reports.provenance import Origin, data_card, limits, model_card
from infer.reports.thumbnails import Gallery
from infer.version import __version__

MOST_BESIDE = 10
"""With more classes the confusion matrix needs the page's whole width, and the balance of classes its height."""
MOST_IN_TABLE = 20
"""With more classes the confusion matrix is a picture alone."""


def report_page(
    result: EvaluationResult, metrics: Metrics, pictures: Sequence[Picture], gallery: Gallery, origin: Origin
) -> str:
    """A report as HTML."""
    style, script = (files(__package__).joinpath(f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    sections = (
        ("metrics", "Metrics", _metrics_table(result, metrics)),
        ("classes", "By class", _class_table(result, metrics)),
        ("pictures", "Pictures", _pictures(result, pictures) + _confusion_table(result, metrics)),
        ("images", "Images", gallery_html(result, gallery)),
        ("data", "Data card", facts_table(data_card(metrics, origin))),
        ("model", "Model card", facts_table(model_card(origin))),
        ("limits", "Intended use and limits", bullets(limits(result, origin))),
    )
    links = "".join(f'<li><a href="#{place}">{title}</a></li>' for place, title, _ in sections)
    body = "".join(
        f'<section aria-labelledby="{place}"><h2 id="{place}">{title}</h2>\n{html}</section>\n'
        for place, title, html in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(result.title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"<header><h1>{name(result.title)}</h1>\n{_headline(metrics)}\n{bullets(metrics.notes, 'notes')}\n"
        f'<nav aria-label="Contents"><ul>{links}</ul></nav></header>\n'
        f"<main>\n{body}</main>\n<footer>Made by lab {__version__}. The numbers are in report.json too.</footer>\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _policy(style: str, script: str) -> str:
    """A content security policy: nothing is loaded, and nothing runs but what stands in the page by these hashes."""
    hashes = (base64.b64encode(hashlib.sha256(part.encode()).digest()).decode("ascii") for part in (style, script))
    of_style, of_script = (f"'sha256-{value}'" for value in hashes)
    return (
        f"default-src 'none'; img-src data:; style-src {of_style}; script-src {of_script}; "
        "base-uri 'none'; form-action 'none'"
    )


def _headline(metrics: Metrics) -> str:
    patients = f"of {metrics.groups} patients" if metrics.groups else "of patients that are not known"
    shown = (
        ("accuracy", *_with_interval(metrics.accuracy)),
        ("majority share", f"{metrics.majority_share:.2%}", "the accuracy of one answer for all images"),
        ("balanced accuracy", *_with_interval(metrics.balanced_accuracy)),
        ("images", f"{metrics.images:,}", patients),
    )
    items = "".join(
        f'<div><dt>{what}</dt><dd class="value">{value}</dd><dd class="interval">{note}</dd></div>'
        for what, value, note in shown
    )
    return f'<dl class="headline">{items}</dl>'


def _with_interval(estimate: Estimate) -> tuple[str, str]:
    value, interval = percent(estimate)
    return value, f"95% interval {interval}" if interval else ""


def _metrics_table(result: EvaluationResult, metrics: Metrics) -> str:
    rows = "".join(
        f'<tr><th scope="row">{text(what)}<span class="note">{text(note)}</span></th><td class="number">{value}</td>'
        f'<td class="number">{interval}</td></tr>\n'
        for what, value, interval, note in summary_rows(result, metrics)
    )
    head = '<th scope="col">metric</th><th scope="col" class="number">value</th>'
    head += '<th scope="col" class="number">95% interval</th>'
    return wide(f"<table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table>", "Metrics")


def _class_table(result: EvaluationResult, metrics: Metrics) -> str:
    heads = "".join(f'<th scope="col" class="number">{title}</th>' for title in ("images", *dict(CLASS_COLUMNS)))
    rows = "".join(
        f'<tr><th scope="row">{name(str(item))}</th><td class="number" data-value="{one.support}">{one.support}</td>'
        f"{''.join(_estimate_cell(getattr(one, field)) for _, field in CLASS_COLUMNS)}</tr>\n"
        for item, one in zip(result.classes, metrics.per_class, strict=True)
    )
    head = f'<tr><th scope="col">class</th>{heads}</tr>'
    table = f'<table class="sortable"><thead>{head}</thead>\n<tbody>{rows}</tbody></table>'
    return wide(table, "Metrics by class") + '<p class="soft">Below each value its 95% interval.</p>'


def _estimate_cell(estimate: Estimate) -> str:
    value, interval = decimal(estimate)
    sorted_by = "" if estimate.value is None else f"{estimate.value!r}"
    return f'<td class="number" data-value="{sorted_by}">{value}<span class="interval">{interval}</span></td>'


def _pictures(result: EvaluationResult, pictures: Sequence[Picture]) -> str:
    many = len(result.classes) > MOST_BESIDE
    kinds = {"learning": "broad"} | ({"confusion": "broad", "balance": "tall"} if many else {})
    figures = "".join(
        f'<figure class="{kinds.get(one.name, "")}">'
        f"<h3>{text(one.title)}</h3>"
        f'<img src="{data_uri("image/svg+xml", one.svg)}" alt="{text(f"{one.title}. {one.told}")}">'
        f"<figcaption>{text(one.reading)}</figcaption></figure>\n"
        for one in pictures
    )
    return f'<div class="pictures">\n{figures}</div>'


def _confusion_table(result: EvaluationResult, metrics: Metrics) -> str:
    """The matrix once more, for who cannot see the picture and for copying."""
    if len(result.classes) > MOST_IN_TABLE:
        return ""
    names = [name(str(item)) for item in result.classes]
    heads = "".join(f'<th scope="col" class="number named">{item}</th>' for item in names)
    rows = "".join(
        f'<tr><th scope="row">{item}</th>'
        + "".join(f'<td class="number{" right" if k == row else ""}">{count}</td>' for k, count in enumerate(counts))
        + "</tr>\n"
        for row, (item, counts) in enumerate(zip(names, metrics.confusion.tolist(), strict=True))
    )
    table = (
        f'<table><thead><tr><th scope="col">truth ↓ prediction →</th>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    )
    return f"<details><summary>The confusion matrix as a table</summary>{wide(table, 'Confusion matrix')}</details>"
