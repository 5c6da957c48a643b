"""The images of a report as HTML: of each class the most confident mistakes and the least certain ones."""

from collections.abc import Sequence

from infer.core.errors import ImageError
from infer.metrics.result import EvaluationResult
from infer.reports.html import name, text
from infer.reports.thumbnails import Gallery, jpeg_uri, overlay

PRIVATE = "No images are shown: --thumbnails was 0."
UNKNOWN = "No images are shown: where they lie is not known."


def gallery_html(result: EvaluationResult, gallery: Gallery) -> str:
    """A heading for each true class, and its images below."""
    if not gallery.chosen:
        return f"<p>{UNKNOWN if gallery.asked else PRIVATE}</p>"
    told = (
        f"<p>Images as the network sees them, by their true class: up to {len_most(gallery)} mistakes, the most "
        "confident first, and as many that it was least certain about, right or wrong. Names and images may tell who a "
        "patient is: look before you pass this page on (<code>--thumbnails 0</code> leaves them out).</p>"
    )
    heat = f"<p>{text(gallery.heat_told)}</p>" if gallery.heat_told else ""
    if len(gallery.chosen) < len(set(result.truth.tolist())):
        told += f"<p>Of many classes, those {len(gallery.chosen)} with the most mistakes.</p>"
    return (
        told
        + heat
        + "".join(
            f"<h3>Truth: {name(str(result.classes[choice.label]))}</h3>\n"
            f"<h4>Most confident mistakes</h4>{_images(result, gallery, choice.mistakes, 'No mistakes.')}\n"
            f"<h4>Least certain</h4>{_images(result, gallery, choice.unsure, '')}\n"
            for choice in gallery.chosen
        )
    )


def len_most(gallery: Gallery) -> int:
    """The most images of one kind that are shown of a class."""
    return max(len(part) for choice in gallery.chosen for part in (choice.mistakes, choice.unsure))


def _images(result: EvaluationResult, gallery: Gallery, places: Sequence[int], nothing: str) -> str:
    if not places:
        return f"<p>{nothing}</p>"
    return f'<div class="images">{"".join(_image(result, gallery, place) for place in places)}</div>'


def _image(result: EvaluationResult, gallery: Gallery, place: int) -> str:
    view, heat = gallery.views[place], gallery.heat.get(place)
    truth, said = result.truth[place], result.predicted[place]
    if isinstance(view, ImageError):
        shown = f'<div class="missing">cannot be read any more: {text(view.reason)}</div>'
    else:
        what = f"{result.paths[place]}, truth {result.classes[truth]}, prediction {result.classes[said]}"
        shown = f'<img src="{jpeg_uri(view)}" alt="{text(what)}" width="136" height="136">'
        if heat is not None:
            shown += f'<img src="{jpeg_uri(overlay(view, heat))}" alt="heat map of the same" width="136" height="136">'
            shown = f'<div class="pair">{shown}</div>'
    row = result.probabilities[place]
    wrong = said != truth
    told = f'<span class="{"wrong" if wrong else "soft"}">says {name(str(result.classes[said]))}: {row[said]:.1%}'
    told += f'</span><br><span class="soft">truth: {row[truth]:.1%}</span>' if wrong else " (right)</span>"
    breaking = text(result.paths[place]).replace("/", "/<wbr>")
    return (
        f"<figure{' class=two' if heat is not None else ''}>{shown}"
        f'<figcaption>{told}<span class="name"><bdi>{breaking}</bdi></span></figcaption></figure>'
    )
