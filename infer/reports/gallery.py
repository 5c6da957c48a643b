"""The images on the page: for each class, the most confident mistakes and the least certain predictions."""

from collections.abc import Sequence

from infer.core.errors import ImageError
from infer.metrics.result import EvaluationResult
from infer.reports.html import name, text
from infer.reports.thumbnails import Gallery, jpeg_uri, overlay

PRIVATE = "No images are shown, because of --thumbnails 0."
UNKNOWN = "No images are shown, as their files are unknown."


def gallery_html(result: EvaluationResult, gallery: Gallery) -> str:
    """A heading for each true class, with its images."""
    if not gallery.choices:
        return f"<p>{UNKNOWN if gallery.requested else PRIVATE}</p>"
    intro = (
        f"<p>Images as the network sees them, by their true class: up to {most_of_a_kind(gallery)} mistakes, most "
        "confident first, and up to as many least certain predictions, right or wrong. File names and images may "
        "identify patients: check before you share this page (<code>--thumbnails 0</code> leaves them out).</p>"
    )
    heat = f"<p>{text(gallery.heat_legend)}</p>" if gallery.heat_legend else ""
    classes = len(set(result.truth.tolist()))
    if len(gallery.choices) < classes:
        intro += f"<p>Shown are the {len(gallery.choices)} of {classes} classes with the most mistakes.</p>"
    return (
        intro
        + heat
        + "".join(
            f"<h3>Truth: {name(str(result.classes[choice.label]))}</h3>\n"
            f"<h4>Most confident mistakes</h4>{_images(result, gallery, choice.mistakes, 'No mistakes.')}\n"
            f"<h4>Least certain</h4>{_images(result, gallery, choice.uncertain, '')}\n"
            for choice in gallery.choices
        )
    )


def most_of_a_kind(gallery: Gallery) -> int:
    """The largest number of mistakes, or of uncertain predictions, that is shown for a class."""
    return max(len(rows) for choice in gallery.choices for rows in (choice.mistakes, choice.uncertain))


def _images(result: EvaluationResult, gallery: Gallery, rows: Sequence[int], if_none: str) -> str:
    if not rows:
        return f"<p>{if_none}</p>"
    return f'<div class="images">{"".join(_image(result, gallery, row) for row in rows)}</div>'


def _image(result: EvaluationResult, gallery: Gallery, row: int) -> str:
    view, heat = gallery.views[row], gallery.heat.get(row)
    truth, predicted = result.truth[row], result.predicted[row]
    if isinstance(view, ImageError):
        picture = f'<div class="missing">can no longer be read: {text(view.reason)}</div>'
    else:
        alt = f"{result.paths[row]}, truth {result.classes[truth]}, prediction {result.classes[predicted]}"
        picture = f'<img src="{jpeg_uri(view)}" alt="{text(alt)}" width="136" height="136">'
        if heat is not None:
            overlaid = jpeg_uri(overlay(view, heat))
            picture += f'<img src="{overlaid}" alt="heat map of the same image" width="136" height="136">'
            picture = f'<div class="pair">{picture}</div>'
    probabilities, wrong = result.probabilities[row], predicted != truth
    caption = f'<span class="{"wrong" if wrong else "soft"}">predicted {name(str(result.classes[predicted]))}: '
    caption += f"{probabilities[predicted]:.1%}"
    caption += f'</span><br><span class="soft">truth: {probabilities[truth]:.1%}</span>' if wrong else " (right)</span>"
    path = text(result.paths[row]).replace("/", "/<wbr>")
    return (
        f"<figure{' class=with-heat' if heat is not None else ''}>{picture}"
        f'<figcaption>{caption}<span class="name"><bdi>{path}</bdi></span></figcaption></figure>'
    )
