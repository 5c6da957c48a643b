"""The findings of `lab data check` as one self-contained HTML file, for screens, telephones and paper."""

import base64
import html
import io
from collections import Counter
from collections.abc import Iterable, Sequence

from PIL import Image

from infer.core.errors import ImageError
from infer.core.text import shown
from infer.dataset.findings import NEAR, PROBLEMS, Findings, Match
from infer.dataset.report import (
    colour_line,
    counts,
    kinds,
    label_of,
    part_and_label,
    patients,
    sizes,
    summary_lines,
)
from infer.images.preprocess import read_rgb

THUMBNAIL = 144
"""Longer side of a thumbnail, in pixels."""
PICTURED = 60
"""Images, or matches, that are shown of each kind; the JSON report has all of them."""
OF_MATCH = 6
"""Images that are shown of one match."""
STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --bad: #c62828; --good: #2e7d32; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 62rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
.verdict { padding: .75rem 1rem; border-left: .4rem solid var(--good); background: var(--soft); font-weight: 600; }
.verdict.bad { border-color: var(--bad); }
.wide { overflow-x: auto; } table { border-collapse: collapse; }
th, td { padding: .25rem .75rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; min-width: 6rem; overflow-wrap: anywhere; }
.grid { display: flex; flex-wrap: wrap; gap: .75rem; }
figure { margin: 0; width: 9.5rem; font-size: .8rem; overflow-wrap: anywhere; }
figure img, .none { display: block; max-width: 100%; outline: 1px solid var(--line); }
.none { padding: 1rem; background: var(--soft); }
.match { border: 1px solid var(--line); border-radius: .4rem; padding: .6rem; max-width: 100%; break-inside: avoid; }
.match p { margin: 0 0 .4rem; font-size: .9rem; } .tag { color: var(--bad); font-weight: 700; }
figure { break-inside: avoid; } .note { opacity: .75; font-size: .9rem; }
h2 { break-after: avoid; }
@media print {
  body { max-width: none; padding: 0; font-size: 11px; }
  .grid { display: block; } .grid > * { display: inline-block; vertical-align: top; margin: 0 .5rem .5rem 0; }
}
"""


def check_page(findings: Findings) -> str:
    """Return the page as HTML."""
    title = f"data check: {safe(findings.table.name)}"
    body = [
        f"<h1>{title}</h1>",
        f"<p class=note>{safe(str(findings.table.source))} &middot; {safe(findings.table.layout)}</p>",
        _verdict(findings),
        "<ul>",
        *(f"<li>{safe(line)}</li>" for line in (*findings.table.notes, *summary_lines(findings))),
        "</ul>",
        _counts(findings),
        _patients(findings),
        _matches("Leaks: one picture in several parts", findings.leaks, findings),
        _problems(findings),
        _matches("Copies within a part", [match for match in findings.matches if not match.crosses], findings),
        _matches("Closest of the different pictures", findings.closest, findings),
        "<p class=note>These are not counted as copies. Look at them: an object that was photographed twice, or cut "
        "out twice a few pixels apart, is more similar than others, but below the limit.</p>"
        if findings.closest
        else "",
        "<h2>Colours alone</h2>",
        f"<p>{safe(colour_line(findings.colours))}</p>",
        "<p class=note>A linear model of each image's colour statistics, cross-validated. Its accuracy needs no shape: "
        "a difference of stain, lamp or camera between the classes is enough.</p>",
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body>\n" + "\n".join(part for part in body if part) + "\n</body></html>\n"
    )


def safe(text: str) -> str:
    """Escape text from outside for HTML."""
    return html.escape(shown(text))


def _verdict(findings: Findings) -> str:
    if not findings.leaky:
        return "<p class=verdict>No picture and no known patient is in more than one part.</p>"
    return (
        f'<p class="verdict bad">Leakage: {findings.crossing()} in more than one part. '
        "Accuracy measured on such a split is too high.</p>"
    )


def _rows(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["".join(f"<td>{safe(str(cell))}</td>" for cell in row) for row in rows]
    heads = "".join(f"<th>{safe(cell)}</th>" for cell in head)
    return f"<div class=wide><table><tr>{heads}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table></div>"


def _counts(findings: Findings) -> str:
    by_part, part_names, patient_counts = counts(findings), findings.names_of_parts(), patients(findings)
    rows: list[Sequence[object]] = [
        [str(item), *(by_part[part].get(item.label, 0) for part in part_names)] for item in findings.table.classes
    ]
    if any("" in count for count in by_part.values()):
        rows.append(["not labelled", *(by_part[part].get("", 0) for part in part_names)])
    if patient_counts:
        rows.append([f"patients ({patient_counts['all']})", *(patient_counts[part] for part in part_names)])
    ranges = "; ".join(
        f"{name} {low} to {high}, median {median}" for name, (low, median, high) in sizes(findings).items()
    )
    formats = [
        [kind, *(count.get(item.label, 0) for item in findings.table.classes), count.get("", 0)]
        for kind, count in kinds(findings).items()
    ]
    names = [str(item) for item in findings.table.classes]
    return (
        "<h2>Images</h2>"
        + _rows(["class", *part_names], rows)
        + f"<p>{safe(ranges)} pixels</p>"
        + _rows(["file format", *names, "not labelled"], formats)
    )


def _patients(findings: Findings) -> str:
    if not findings.crossing_groups:
        return ""
    part_names = findings.names_of_parts()
    rows = [[group, *(count.get(part, 0) for part in part_names)] for group, count in findings.crossing_groups.items()]
    return "<h2>Patients in several parts</h2>" + _rows(["patient", *part_names], rows[:1000]) + _more(len(rows), 1000)


def _problems(findings: Findings) -> str:
    by_kind = Counter(item.kind for item in findings.problems)
    text = ""
    for kind in PROBLEMS:
        items = [item for item in findings.problems if item.kind == kind]
        figures = [_figure(item.row, findings, item.detail) for item in items[:PICTURED]]
        if items:
            text += f"<h2>{safe(kind.capitalize())}: {by_kind[kind]}</h2><div class=grid>{''.join(figures)}</div>"
            text += _more(len(items), PICTURED)
    return text


def _matches(title: str, matches: Sequence[Match], findings: Findings) -> str:
    if not matches:
        return ""
    text = f"<h2>{title}: {len(matches)}</h2><div class=grid>"
    for match in matches[:PICTURED]:
        tags = ["leak"] * match.crosses + ["two labels"] * match.contradicts
        kind = f"likeness {match.likeness:.4f}" if match.kind == NEAR else match.kind
        figures = [_figure(row, findings, "") for row in match.rows[:OF_MATCH]]
        head = f"<span class=tag>{' &middot; '.join(tags)}</span> {kind}"
        more = _more(len(match.rows), OF_MATCH)
        text += f"<div class=match><p>{head}</p><div class=grid>{''.join(figures)}</div>{more}</div>"
    return text + "</div>" + _more(len(matches), PICTURED)


def _more(count: int, limit: int) -> str:
    return f"<p class=note>and {count - limit} more: see the JSON report</p>" if count > limit else ""


def _figure(row: int, findings: Findings, detail: str) -> str:
    """Return a thumbnail with a caption: path, part and label, and the problem's detail."""
    path = findings.table.paths[row]
    lines = [safe(path), safe(part_and_label(row, findings)), safe(detail)]
    caption = "<br>".join(line for line in lines if line)
    name = safe(f"{path}, {label_of(row, findings)}")
    picture = _thumbnail(str(findings.table.root / path))
    image = f'<img alt="{name}" src="{picture}">' if picture else "<span class=none>no picture</span>"
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _thumbnail(file: str) -> str | None:
    """Return a small JPEG as a data: URL; None where the file cannot be read."""
    try:
        image = read_rgb(file)
    except ImageError:
        return None
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
