"""`report.html`: one self-contained page that needs no network and works without scripts, on a phone and on paper.

Its content security policy allows its own style and script, by their sha256, its embedded pictures, and nothing else.
"""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from infer.metrics import kinds
from infer.metrics.definition import Metric
from infer.metrics.metrics import ClassMetrics, Estimate, Metrics
from infer.metrics.result import EvaluationResult
from infer.reports.gallery import gallery_html
from infer.reports.html import bullets, data_uri, facts_table, name, text, wide
from infer.reports.many_classes import MOST_IN_TABLES, kinds_of_confusion, most_confused, worst_classes
from infer.reports.metric_text import decimal, percent, summary_rows
from infer.reports.pictures import Picture
from infer.reports.provenance import Origin, data_card, limits, model_card
from infer.reports.thumbnails import Gallery
from infer.version import __version__


def report_page(
    result: EvaluationResult, metrics: Metrics, pictures: Sequence[Picture], gallery: Gallery, origin: Origin
) -> str:
    """A report as HTML."""
    style, script = (files(__package__).joinpath(f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    sections = (
        ("metrics", "Metrics", _metrics_table(result, metrics)),
        ("classes", "By class", _class_tables(result, metrics)),
        ("pictures", "Pictures", _pictures(pictures) + _confusions(result, metrics)),
        ("images", "Images", gallery_html(result, gallery)),
        ("data", "Data card", facts_table(data_card(metrics, origin))),
        ("model", "Model card", facts_table(model_card(origin, result.run_by))),
        ("limits", "Intended use and limits", bullets(limits(result, origin))),
    )
    links = "".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title, _ in sections)
    body = "".join(
        f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{title}</h2>\n{html}</section>\n'
        for anchor, title, html in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(result.title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"<header><h1>{name(result.title)}</h1>\n{_headline(metrics)}\n{bullets(metrics.notes, 'notes')}\n"
        f'<nav aria-label="Contents"><ul>{links}</ul></nav></header>\n'
        f"<main>\n{body}</main>\n<footer>Made by lab {__version__}. All numbers are in report.json too.</footer>\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _policy(style: str, script: str) -> str:
    """A content security policy that loads nothing, and runs only the style and script with these hashes."""
    hashes = (base64.b64encode(hashlib.sha256(part.encode()).digest()).decode("ascii") for part in (style, script))
    style_hash, script_hash = (f"'sha256-{value}'" for value in hashes)
    return (
        f"default-src 'none'; img-src data:; style-src {style_hash}; script-src {script_hash}; "
        "base-uri 'none'; form-action 'none'"
    )


def _headline(metrics: Metrics) -> str:
    patients = f"of {metrics.groups:,} patients" if metrics.groups else "patients unknown"
    tiles = (
        ("accuracy", *_with_interval(metrics["accuracy"])),
        ("majority-class baseline", f"{metrics.majority_share:.2%}", "always predicting the most frequent class"),
        ("balanced accuracy", *_with_interval(metrics["balanced_accuracy"])),
        ("images", f"{metrics.images:,}", patients),
    )
    items = "".join(
        f'<div><dt>{label}</dt><dd class="value">{value}</dd><dd class="interval">{note}</dd></div>'
        for label, value, note in tiles
    )
    return f'<dl class="headline">{items}</dl>'


def _with_interval(estimate: Estimate) -> tuple[str, str]:
    value, interval = percent(estimate)
    return value, f"95% interval {interval}" if interval else ""


def _metrics_table(result: EvaluationResult, metrics: Metrics) -> str:
    rows = "".join(
        f'<tr><th scope="row">{text(label)}<span class="note">{text(description)}</span></th>'
        f'<td class="number">{value}</td><td class="number">{interval}</td></tr>\n'
        for label, value, interval, description in summary_rows(result, metrics)
    )
    head = '<th scope="col">metric</th><th scope="col" class="number">value</th>'
    head += '<th scope="col" class="number">95% interval</th>'
    return wide(f"<table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table>", "Metrics")


def _class_tables(result: EvaluationResult, metrics: Metrics) -> str:
    """The metrics of each class; with many classes, those of the worst, and all of them folded away."""
    classes, worst = range(len(result.classes)), worst_classes(metrics)
    note = '<p class="soft">The 95% interval is below each value.</p>'
    if len(classes) <= MOST_IN_TABLES:
        return _class_table(result, metrics, classes, "Metrics by class") + note
    intro = f"<p>The {len(worst)} of {len(classes)} classes with the lowest F1.</p>"
    folded = _class_table(result, metrics, classes, "Metrics of all classes")
    folded = f"<details><summary>All {len(classes)} classes</summary>{folded}</details>"
    return intro + _class_table(result, metrics, worst, "Metrics of the worst classes") + note + folded


def _class_table(result: EvaluationResult, metrics: Metrics, classes: Sequence[int], label: str) -> str:
    columns = kinds.by_class()
    headings = ("images", *(metric.name for metric in columns))
    heads = "".join(f'<th scope="col" class="number">{heading}</th>' for heading in headings)
    rows = "".join(_class_row(str(result.classes[k]), metrics.per_class[k], columns) for k in classes)
    head = f'<tr><th scope="col">class</th>{heads}</tr>'
    return wide(f'<table class="sortable"><thead>{head}</thead>\n<tbody>{rows}</tbody></table>', label)


def _class_row(label: str, metrics: ClassMetrics, columns: Sequence[Metric]) -> str:
    cells = f'<td class="number" data-value="{metrics.support}">{metrics.support}</td>'
    cells += "".join(_estimate_cell(metrics[metric.key]) for metric in columns)
    return f'<tr><th scope="row">{name(label)}</th>{cells}</tr>\n'


def _estimate_cell(estimate: Estimate) -> str:
    value, interval = decimal(estimate)
    sorted_by = "" if estimate.value is None else f"{estimate.value!r}"
    return f'<td class="number" data-value="{sorted_by}">{value}<span class="interval">{interval}</span></td>'


def _pictures(pictures: Sequence[Picture]) -> str:
    figures = "".join(
        f'<figure class="{picture.layout}">'
        f"<h3>{text(picture.title)}</h3>"
        f'<img src="{data_uri("image/svg+xml", picture.svg)}" alt="{text(f"{picture.title}. {picture.summary}")}">'
        f"<figcaption>{text(picture.reading)}</figcaption></figure>\n"
        for picture in pictures
    )
    return f'<div class="pictures">\n{figures}</div>'


def _confusions(result: EvaluationResult, metrics: Metrics) -> str:
    """The confusion matrix as a table, for screen readers and for copying; with many classes, its largest cells."""
    if len(result.classes) > MOST_IN_TABLES:
        return _most_confused(result, metrics)
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


def _most_confused(result: EvaluationResult, metrics: Metrics) -> str:
    confusions, total = most_confused(metrics), kinds_of_confusion(metrics)
    labels = [name(str(item)) for item in result.classes]
    rows = "".join(
        f'<tr><th scope="row">{labels[item.truth]}</th><td>{labels[item.predicted]}</td>'
        f'<td class="number">{item.images}</td><td class="number">{item.share:.1%}</td></tr>\n'
        for item in confusions
    )
    heads = '<th scope="col">truth</th><th scope="col">prediction</th><th scope="col" class="number">images</th>'
    heads += '<th scope="col" class="number">share</th>'
    table = wide(f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>", "Most frequent confusions")
    note = f"The {len(confusions)} most frequent of {total} confusions; shares are of the images of the true class. "
    note += "The whole matrix is in report.json."
    return f"<h3>Most frequent confusions</h3>{table}<p>{note}</p>"
