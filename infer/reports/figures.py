"""The confusion matrix, the reliability diagram, the histograms of scores and the balance of classes, as figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.metrics.intervals import wilson
from infer.metrics.metrics import normalized
from infer.metrics.resampled import BINS
from infer.metrics.result import EvaluationResult
from infer.reports.plot_style import HATCHES, LINES, Drawn, new_figure, plot_text

SCALES = {"true": "share of each row, the truth", "pred": "share of each column, the prediction", "all": "share of all"}
SCORE_BINS = 20
MOST_IN_FULL = 10
"""Of more classes, a cell of the confusion matrix has its count alone, and none where that is 0."""


def confusion_figure(result: EvaluationResult, confusion: NDArray[np.int64], normalize: str) -> Drawn:
    """Counts and shares; colours are those of `normalize`."""
    shares = normalized(confusion, "true" if normalize == "none" else normalize)
    values = confusion.astype(float) if normalize == "none" else shares
    count = len(confusion)
    cell = 0.85 if count <= MOST_IN_FULL else 0.36
    side = max(4.0, 1.4 + cell * count)
    figure = new_figure(side + 1.2, side)
    axes = figure.subplots()
    most = max(float(values.max()), 1e-9)
    image = axes.imshow(values, cmap="Blues", vmin=0, vmax=most)
    scale = SCALES.get(normalize, "number of images")
    figure.colorbar(image, ax=axes, label=scale, shrink=0.8)
    names = [plot_text(str(item)) for item in result.classes]
    turned = 45 if max(map(len, names)) > 8 else 0
    axes.set_xticks(range(count), names, rotation=turned, ha="right" if turned else "center")
    axes.set_yticks(range(count), names)
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    axes.set_title(plot_text(result.title, 110), fontsize="small", wrap=True)
    for (row, column), images in np.ndenumerate(confusion):
        if images or count <= MOST_IN_FULL:
            share = _percent(float(shares[row, column])) if confusion[row].any() else "-"
            text = f"{images}\n{share}" if count <= MOST_IN_FULL else f"{images}"
            colour = "white" if values[row, column] > 0.55 * most else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=10 if len(text) < 9 else 8)
    right = int(np.trace(confusion))
    told = (
        f"{right} of {confusion.sum()} images are on the diagonal; percentages: {SCALES.get(normalize, SCALES['true'])}"
    )
    return figure, "confusion", "Confusion matrix", told


def reliability_figure(result: EvaluationResult) -> Drawn:
    """Accuracy over confidence, in the bins of the calibration error, and how many images are in each."""
    confidence, right = result.probabilities.max(axis=1).astype(float), result.predicted == result.truth
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    held = np.flatnonzero(counts)
    means = np.bincount(bins, confidence, minlength=BINS)[held] / counts[held]
    shares = np.bincount(bins, right, minlength=BINS)[held] / counts[held]
    ends = np.array([wilson(round(share * n), int(n)) for share, n in zip(shares, counts[held], strict=True)])
    figure = new_figure(5.0, 5.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color="0.5", linestyle=(0, (1, 3)), label="perfectly calibrated")
    off = np.abs(ends.T - shares)
    above.errorbar(means, shares, yerr=off, color=LINES[0][0], marker="o", capsize=3, linewidth=1.2, label="this model")
    above.set_ylabel("share that is right")
    above.set_ylim(-0.03, 1.03)
    above.legend(loc="upper left", fontsize="small")
    above.grid(alpha=0.3)
    below.bar((np.arange(BINS) + 0.5) / BINS, counts, width=0.9 / BINS, color="0.6", edgecolor="black", linewidth=0.6)
    below.set_ylabel("images")
    below.yaxis.get_major_locator().set_params(integer=True)
    below.set_xlabel("confidence: probability of the predicted class")
    below.set_xlim(0, 1)
    told = f"confidence is {confidence.mean():.1%} on average, and {right.mean():.1%} of the images are right"
    return figure, "reliability", "Reliability diagram", told


def scores_figure(result: EvaluationResult) -> Drawn:
    """Two classes: the probability of the second, by truth. More: that of the true class, by whether it is right."""
    edges = np.linspace(0, 1, SCORE_BINS + 1)
    figure = new_figure(5.6, 4.0)
    axes = figure.subplots()
    if len(result.classes) == 2:
        parts = [(plot_text(str(item)), result.truth == k) for k, item in enumerate(result.classes)]
        scores, of = result.probabilities[:, 1], plot_text(str(result.classes[1]))
        axes.set_ylabel("share of the class's images")
    else:
        right = result.predicted == result.truth
        parts, of = [("right", right), ("wrong", ~right)], "the true class"
        scores = result.probabilities[np.arange(len(result.truth)), result.truth]
        axes.set_ylabel("share of these images")
    told = []
    for place, (name, chosen) in enumerate(parts):
        count = int(chosen.sum())
        if not count:
            continue
        heights = np.histogram(scores[chosen], edges)[0] / count
        colour, dashes, _ = LINES[place]
        label = f"{name} ({count})" if len(result.classes) > 2 else f"truth {name} ({count})"
        axes.stairs(heights, edges, fill=True, facecolor=colour, alpha=0.25, hatch=HATCHES[place], edgecolor=colour)
        axes.stairs(heights, edges, color=colour, linestyle=dashes, linewidth=1.8, label=label)
        told.append(f"{name}: median {np.median(scores[chosen]):.2f} over {count} images")
    if point := result.operating_point:
        axes.axvline(point.threshold, color="black", linestyle="-.", label=f"threshold {point.threshold:.3f}")
    axes.set_xlabel(f"probability of {of}")
    axes.set_xlim(0, 1)
    axes.legend(loc="upper center", fontsize="small")
    return figure, "scores", "Predicted probabilities", "; ".join(told)


def balance_figure(result: EvaluationResult, splits: Mapping[str, Sequence[int]]) -> Drawn:
    """The classes' shares and numbers among these images and in other splits."""
    own = np.bincount(result.truth, minlength=len(result.classes))
    sets = {**{name: np.array(counts) for name, counts in splits.items() if sum(counts)}, "these images": own}
    count, height = len(own), 0.8 / len(sets)
    figure = new_figure(6.2, max(2.4, 1.0 + count * (0.1 + 0.16 * len(sets))))
    axes = figure.subplots()
    for place, (name, counts) in enumerate(sets.items()):
        shares, at = counts / counts.sum(), np.arange(count) + (place - (len(sets) - 1) / 2) * height
        style: dict[str, Any] = {"facecolor": LINES[place][0], "hatch": HATCHES[place], "edgecolor": "black"}
        bars = axes.barh(at, shares, height, label=f"{name} ({counts.sum()})", **style)
        axes.bar_label(bars, [str(item) for item in counts], padding=2, fontsize="x-small")
    axes.set_yticks(range(count), [plot_text(str(item)) for item in result.classes])
    axes.invert_yaxis()
    axes.set_xlabel("share of the set")
    axes.margins(x=0.1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    figure.legend(loc="outside lower center", ncols=len(sets), fontsize="small")
    told = "; ".join(f"{name}: {', '.join(map(str, counts))}" for name, counts in sets.items())
    return figure, "balance", "Class balance", told


def _percent(share: float) -> str:
    """A share in as few characters as tell it from 0 and from 1."""
    rounded = f"{share:.0%}"
    if (rounded == "0%" and share > 0) or (rounded == "100%" and share < 1):
        return f"{share:.1%}" if 0.0005 <= share < 0.9995 else ("<0.1%" if share < 0.5 else ">99.9%")
    return rounded
