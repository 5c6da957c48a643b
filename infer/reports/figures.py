"""The confusion matrix, the reliability diagram, the histograms of scores and the class balance, as figures."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infer.metrics.intervals import wilson
from infer.metrics.losses import BINS, calibration_bins
from infer.metrics.metrics import normalized
from infer.metrics.result import EvaluationResult
from infer.reports.plot_style import HATCHES, LINES, Drawing, new_figure, plot_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

SCALES = {"true": "share of each row, the truth", "pred": "share of each column, the prediction", "all": "share of all"}
SCORE_BINS = 20
MOST_IN_FULL = 10
"""With more classes, a cell of the confusion matrix has its count alone, and nothing where that is 0."""
MOST_NAMED = 40
"""With more classes, pictures have one size and show no names and no counts."""
MOST_CELLS = 400
"""Cells along each side of the confusion matrix; with more classes, one cell stands for several."""
MATRIX_SIDE = 7.5
"""Inches of a confusion matrix without names."""


def confusion_figure(result: EvaluationResult, confusion: NDArray[np.int64], normalize: str) -> Drawing:
    """Counts and shares; colours show what `normalize` says."""
    shares = normalized(confusion, "true" if normalize == "none" else normalize)
    values = confusion.astype(float) if normalize == "none" else shares
    count = len(confusion)
    cell = 0.85 if count <= MOST_IN_FULL else 0.36
    side = max(4.0, 1.4 + cell * count) if count <= MOST_NAMED else MATRIX_SIDE
    figure = new_figure(side + 1.2, side)
    axes = figure.subplots()
    most = max(float(values.max()), 1e-9)
    image, per_cell = draw_matrix(axes, values, most)
    figure.colorbar(image, ax=axes, label=SCALES.get(normalize, "number of images"), shrink=0.8)
    axes.set_ylabel(axis_label("truth", count))
    axes.set_title(plot_text(result.title, 110), fontsize="small", wrap=True)
    if count <= MOST_NAMED:
        _name_classes(axes, [plot_text(str(item)) for item in result.classes])
        _write_cells(axes, confusion, shares, values > 0.55 * most)
    right, percentages = int(np.trace(confusion)), SCALES.get(normalize, SCALES["true"])
    summary = f"{right} of {confusion.sum()} images are on the diagonal"
    if per_cell > 1:
        summary += f"; a cell stands for {per_cell} x {per_cell} classes and has the colour of the largest value"
    return Drawing(figure, "Confusion matrix", f"{summary}; percentages: {percentages}")


def draw_matrix(axes: "Axes", values: NDArray[np.float64], most: float) -> "tuple[AxesImage, int]":
    """Draw a matrix [K, K], rows truth, from 0 in white to `most` in blue; the image, and the classes along a cell.

    With many classes, small values are darker than in proportion, as single confusions would be invisible.
    """
    from matplotlib.colors import PowerNorm

    cells, per_cell = largest_of_blocks(values, MOST_CELLS)
    end = len(cells) * per_cell - 0.5
    norm = PowerNorm(1 if len(values) <= MOST_NAMED else 0.4, 0, most)
    image = axes.imshow(cells, cmap="Blues", norm=norm, extent=(-0.5, end, end, -0.5))
    axes.set_xlabel(axis_label("prediction", len(values)))
    return image, per_cell


def axis_label(text: str, classes: int) -> str:
    """The label of a confusion matrix's axis, which has names or, with many classes, their numbers."""
    return text if classes <= MOST_NAMED else f"{text} (number of the class, from 0)"


def largest_of_blocks(values: NDArray[np.float64], most: int) -> tuple[NDArray[np.float64], int]:
    """The largest value of each block of a matrix [K, K], with at most `most` blocks a side, and the blocks' side."""
    side = -(-len(values) // most)
    blocks = -(-len(values) // side)
    padded = np.zeros((blocks * side, blocks * side))
    padded[: len(values), : len(values)] = values
    return padded.reshape(blocks, side, blocks, side).max(axis=(1, 3)), side


def _name_classes(axes: "Axes", names: Sequence[str]) -> None:
    turned = 45 if max(map(len, names)) > 8 else 0
    axes.set_xticks(range(len(names)), names, rotation=turned, ha="right" if turned else "center")
    axes.set_yticks(range(len(names)), names)


def _write_cells(
    axes: "Axes", confusion: NDArray[np.int64], shares: NDArray[np.float64], dark: NDArray[np.bool_]
) -> None:
    in_full = len(confusion) <= MOST_IN_FULL
    for (row, column), images in np.ndenumerate(confusion):
        if images or in_full:
            share = _percent(float(shares[row, column])) if confusion[row].any() else "-"
            text = f"{images}\n{share}" if in_full else f"{images}"
            colour = "white" if dark[row, column] else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=10 if len(text) < 9 else 8)


def reliability_figure(result: EvaluationResult) -> Drawing:
    """Accuracy over confidence, in the bins of the calibration error, and the number of images in each."""
    confidence, bins = calibration_bins(result.probabilities)
    right = result.predicted == result.truth
    counts = np.bincount(bins, minlength=BINS)
    filled = np.flatnonzero(counts)
    means = np.bincount(bins, confidence, minlength=BINS)[filled] / counts[filled]
    shares = np.bincount(bins, right, minlength=BINS)[filled] / counts[filled]
    ends = np.array([wilson(round(share * n), int(n)) for share, n in zip(shares, counts[filled], strict=True)])
    figure = new_figure(5.0, 5.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color="0.5", linestyle=(0, (1, 3)), label="perfectly calibrated")
    errors = np.abs(ends.T - shares)
    style: dict[str, Any] = {"color": LINES[0][0], "marker": "o", "capsize": 3, "linewidth": 1.2}
    above.errorbar(means, shares, yerr=errors, label="this model", **style)
    above.set_ylabel("accuracy")
    above.set_ylim(-0.03, 1.03)
    above.legend(loc="upper left", fontsize="small")
    above.grid(alpha=0.3)
    below.bar((np.arange(BINS) + 0.5) / BINS, counts, width=0.9 / BINS, color="0.6", edgecolor="black", linewidth=0.6)
    below.set_ylabel("images")
    below.yaxis.get_major_locator().set_params(integer=True)
    below.set_xlabel("confidence: probability of the predicted class")
    below.set_xlim(0, 1)
    summary = f"mean confidence {confidence.mean():.1%}, accuracy {right.mean():.1%}"
    return Drawing(figure, "Reliability diagram", summary)


def scores_figure(result: EvaluationResult) -> Drawing:
    """Two classes: the probability of the second, by truth. More: that of the true class, by whether it is right."""
    edges = np.linspace(0, 1, SCORE_BINS + 1)
    figure = new_figure(5.6, 4.0)
    axes = figure.subplots()
    if len(result.classes) == 2:
        parts = [(plot_text(str(item)), result.truth == k) for k, item in enumerate(result.classes)]
        scores, scored = result.probabilities[:, 1], plot_text(str(result.classes[1]))
        axes.set_ylabel("share of the class's images")
    else:
        right = result.predicted == result.truth
        parts, scored = [("right", right), ("wrong", ~right)], "the true class"
        scores = result.probabilities[np.arange(len(result.truth)), result.truth]
        axes.set_ylabel("share of these images")
    medians = []
    for index, (name, chosen) in enumerate(parts):
        count = int(chosen.sum())
        if not count:
            continue
        heights = np.histogram(scores[chosen], edges)[0] / count
        colour, dashes, _ = LINES[index]
        label = f"{name} ({count})" if len(result.classes) > 2 else f"truth {name} ({count})"
        axes.stairs(heights, edges, fill=True, facecolor=colour, alpha=0.25, hatch=HATCHES[index], edgecolor=colour)
        axes.stairs(heights, edges, color=colour, linestyle=dashes, linewidth=1.8, label=label)
        medians.append(f"{name}: median {np.median(scores[chosen]):.2f} over {count} images")
    if point := result.operating_point:
        axes.axvline(point.threshold, color="black", linestyle="-.", label=f"threshold {point.threshold:.3f}")
    axes.set_xlabel(f"probability of {scored}")
    axes.set_xlim(0, 1)
    axes.legend(loc="upper center", fontsize="small")
    return Drawing(figure, "Predicted probabilities", "; ".join(medians))


def balance_figure(result: EvaluationResult, splits: Mapping[str, Sequence[int]]) -> Drawing:
    """The classes' shares and numbers among these images and in other splits."""
    own = np.bincount(result.truth, minlength=len(result.classes))
    sets = {**{name: np.array(counts) for name, counts in splits.items() if sum(counts)}, "these images": own}
    if len(own) > MOST_NAMED:
        return _sizes_figure(sets)
    count, height = len(own), 0.8 / len(sets)
    figure = new_figure(6.2, max(2.4, 1.0 + count * (0.1 + 0.16 * len(sets))))
    axes = figure.subplots()
    for index, (name, counts) in enumerate(sets.items()):
        shares, y = counts / counts.sum(), np.arange(count) + (index - (len(sets) - 1) / 2) * height
        style: dict[str, Any] = {"facecolor": LINES[index][0], "hatch": HATCHES[index], "edgecolor": "black"}
        bars = axes.barh(y, shares, height, label=f"{name} ({counts.sum()})", **style)
        axes.bar_label(bars, [str(item) for item in counts], padding=2, fontsize="x-small")
    axes.set_yticks(range(count), [plot_text(str(item)) for item in result.classes])
    axes.invert_yaxis()
    axes.set_xlabel("share of the set")
    axes.margins(x=0.1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    figure.legend(loc="outside lower center", ncols=len(sets), fontsize="small")
    summary = "; ".join(f"{name}: {', '.join(map(str, counts))}" for name, counts in sets.items())
    return Drawing(figure, "Class balance", summary)


def _sizes_figure(sets: Mapping[str, NDArray[np.int64]]) -> Drawing:
    """The balance of many classes: the number of images of each, largest class first in each set."""
    figure = new_figure(6.2, 4.0)
    axes = figure.subplots()
    for index, (name, counts) in enumerate(sets.items()):
        colour, dashes, _ = LINES[index]
        label = f"{name} ({counts.sum()})"
        axes.plot(np.arange(1, len(counts) + 1), np.sort(counts)[::-1], color=colour, linestyle=dashes, label=label)
    axes.set_xlabel("classes, by their number of images")
    axes.set_ylabel("images of the class")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=len(sets), fontsize="small")
    parts = (f"{name}: {counts.min()} to {counts.max()} images in each class" for name, counts in sets.items())
    return Drawing(figure, "Class balance", "; ".join(parts))


def _percent(share: float) -> str:
    """A share in as few characters as distinguish it from 0 and from 1."""
    rounded = f"{share:.0%}"
    if (rounded == "0%" and share > 0) or (rounded == "100%" and share < 1):
        return f"{share:.1%}" if 0.0005 <= share < 0.9995 else ("<0.1%" if share < 0.5 else ">99.9%")
    return rounded
