"""ROC and precision-recall curves, one class against the rest, as figures."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats
from infer.metrics.result import EvaluationResult
from infer.reports.plot_style import LINES, Drawn, new_figure, plot_text, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 6
"""Of more classes than this, the curves of the lowest scores have names and the others are grey."""
MOST_POINTS = 1000
"""Of a curve; more would not be seen, and make the file large."""
Curve = tuple[int, float, NDArray[np.float64], NDArray[np.float64]]
"""Class, area, and the points' x and y."""


def roc_figure(result: EvaluationResult) -> Drawn | None:
    """One class against the rest; of two classes the second."""
    from sklearn.metrics import roc_auc_score, roc_curve

    only = [1] if len(result.classes) == 2 else None
    curves = []
    for k, truth, scores in _one_versus_rest(result, only):
        wrong, found, _ = roc_curve(truth, scores)
        curves.append((k, float(roc_auc_score(truth, scores)), wrong, found))
    if not curves:
        return None
    figure, axes = _square("false positive rate (1 - specificity)", "true positive rate (sensitivity)")
    axes.plot([0, 1], [0, 1], color="0.5", linestyle=(0, (1, 3)))
    if point := result.operating_point:
        positive, at = result.truth == 1, result.probabilities[:, 1].astype(np.float64) >= point.threshold
        label = f"threshold {point.threshold:.3f}"
        axes.plot([at[~positive].mean()], [at[positive].mean()], "k*", markersize=13, label=label, zorder=5)
    told = _draw_curves(axes, result, curves, "AUC", "default")
    return figure, "roc", "ROC curves" if len(curves) > 1 else "ROC curve", told


def precision_recall_figure(result: EvaluationResult) -> Drawn | None:
    """One class against the rest, each of them."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    curves, shares = [], {}
    for k, truth, scores in _one_versus_rest(result):
        precision, recall, _ = precision_recall_curve(truth, scores, drop_intermediate=True)
        curves.append((k, float(average_precision_score(truth, scores)), recall, precision))
        shares[k] = float(truth.mean())
    if not curves:
        return None
    figure, axes = _square("recall (sensitivity)", "precision (positive predictive value)")
    for place, share in enumerate(shares.values() if len(shares) <= NAMED else ()):
        axes.axhline(share, color=LINES[place % len(LINES)][0], linestyle=(0, (1, 3)), linewidth=1)
    told = _draw_curves(axes, result, curves, "AP", "steps-post")
    return figure, "precision-recall", "Precision-recall curves", told


def _one_versus_rest(
    result: EvaluationResult, only: Sequence[int] | None = None
) -> Iterator[tuple[int, NDArray[np.bool_], Floats]]:
    """Class, whether each image is of it [n], its probabilities [n]; of classes that only some images are of."""
    for k in range(len(result.classes)) if only is None else only:
        truth = result.truth == k
        if truth.any() and not truth.all():
            yield k, truth, result.probabilities[:, k]


def _square(across: str, up: str) -> "tuple[Figure, Axes]":
    figure = new_figure(5.0, 5.4)
    axes = figure.subplots()
    axes.set(xlabel=across, ylabel=up, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.grid(alpha=0.3)
    return figure, axes


def _draw_curves(axes: "Axes", result: EvaluationResult, curves: Sequence[Curve], area: str, drawstyle: str) -> str:
    """Draw the curves with a legend that tells their areas; the same in words."""
    named = sorted(sorted(curves, key=lambda curve: curve[1])[:NAMED]) if len(curves) > NAMED else curves
    kept = {curve[0] for curve in named}
    for _, _, x, y in (curve for curve in curves if curve[0] not in kept):
        axes.plot(*_thinned(x, y), color="0.75", linewidth=0.8, drawstyle=drawstyle)
    for place, (k, value, x, y) in enumerate(named):
        colour, dashes, marker = LINES[place]
        points = _thinned(x, y)
        label = f"{plot_text(str(result.classes[k]))}: {area} {value:.3f}"
        # a marker at each tenth of the way, so that a grey print keeps the lines apart
        style: dict[str, Any] = {
            "marker": marker,
            "markevery": (0.03 + 0.02 * place, 0.1),
            "markersize": 5,
            "drawstyle": drawstyle,
        }
        axes.plot(*points, color=colour, linestyle=dashes, linewidth=1.6, label=label, clip_on=False, **style)
    figure = axes.get_figure()
    if figure is None:
        raise ValueError("these axes are of no figure")
    others = (
        f"{len(curves) - len(named)} more classes in grey, with higher {area}" if len(named) < len(curves) else None
    )
    columns = 2 if len(named) > 1 and max(len(str(result.classes[k])) for k, *_ in named) <= 12 else 1
    figure.legend(loc="outside lower center", ncols=columns, fontsize="small", title=others, title_fontsize="small")
    areas = [f"{short(str(result.classes[k]))} {value:.3f}" for k, value, *_ in named]
    return f"{area}: {', '.join(areas)}" + (f"; {others}" if others else "")


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A curve of MOST_POINTS points or fewer, its ends among them."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).round().astype(int))
    return x[kept], y[kept]
