"""How far the colours of the images alone tell their classes: a warning that a task may be solved by its stain."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.metrics.intervals import wilson

FOLDS = 5
MOST = 20_000
"""Of more images, so many are drawn at random."""
SUSPICIOUS = 0.5
"""Of the way from chance to perfect: where balanced accuracy has come so far, people should look at the colours."""


@dataclass(frozen=True)
class ColourBaseline:
    """What a linear model of colour statistics reaches on images that it has not seen."""

    images: int
    folds: int
    grouped: bool
    """Whether all images of a patient were in one fold."""
    accuracy: float
    interval: tuple[float, float]
    """95% interval of the accuracy, as if all images were independent."""
    majority_share: float
    """The accuracy of one answer for all."""
    balanced_accuracy: float
    """Mean recall."""
    chance: float
    """The balanced accuracy of one answer for all, or of guessing: 1 / number of classes."""

    @property
    def suspicious(self) -> bool:
        """Whether colour alone comes far: SUSPICIOUS of the way from chance to perfect."""
        return self.balanced_accuracy >= self.chance + SUSPICIOUS * (1 - self.chance)


def colour_baseline(
    colours: NDArray[np.floating], labels: NDArray[np.int64], groups: NDArray[np.str_]
) -> ColourBaseline | str:
    """Cross-validate a logistic regression of colour statistics; or why it cannot be done.

    Args:
        colours: [n, features], of which each is brought to mean 0 and std 1.
        labels: [n] class indices; a class of one image or patient is left out.
        groups: [n] the patient of each image, or another name of its own.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    held = {int(label): len(set(groups[labels == label])) for label in np.unique(labels)}
    kept = np.flatnonzero([held[int(label)] >= 2 for label in labels])
    if len(kept) > MOST:
        kept = np.sort(np.random.default_rng(0).choice(kept, MOST, replace=False))
    colours, labels, groups = colours[kept], labels[kept], groups[kept]
    classes = len(set(labels.tolist()))
    if classes < 2:
        return "it takes two classes with two images, or patients, each"
    folds = min(FOLDS, *(held[label] for label in set(labels.tolist())))
    grouped = len(set(groups)) < len(groups)
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    try:
        found = cross_val_predict(
            model,
            colours,
            labels,
            groups=groups if grouped else None,
            cv=kind(folds, shuffle=True, random_state=0),
        )
    except ValueError as error:  # a fold without one of two classes
        return str(error).partition("\n")[0]
    hits = int((found == labels).sum())
    return ColourBaseline(
        images=len(labels),
        folds=folds,
        grouped=grouped,
        accuracy=hits / len(labels),
        interval=wilson(hits, len(labels)),
        majority_share=float(np.unique(labels, return_counts=True)[1].max() / len(labels)),
        balanced_accuracy=float(balanced_accuracy_score(labels, found)),
        chance=1 / classes,
    )
