"""A classifier that sees only colour statistics: where it does well, stain or camera may give the classes away."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.metrics.intervals import wilson

FOLDS = 5
MOST = 20_000
"""Number of images used at most; of more, this many are drawn at random."""
SUSPICIOUS = 0.5
"""Share of the way from chance to a perfect balanced accuracy at which colours are suspicious."""


@dataclass(frozen=True)
class ColourBaseline:
    """Cross-validated result of a linear model of colour statistics."""

    images: int
    folds: int
    grouped: bool
    """Whether all images of a patient were in the same fold."""
    accuracy: float
    interval: tuple[float, float]
    """95% Wilson interval of the accuracy; it treats images as independent."""
    majority_share: float
    """Accuracy of the majority-class baseline."""
    balanced_accuracy: float
    """Mean recall."""
    chance: float
    """Balanced accuracy of the majority-class baseline, or of guessing: 1 / number of classes."""

    @property
    def suspicious(self) -> bool:
        """Whether balanced accuracy has come SUSPICIOUS of the way from chance to 1."""
        return self.balanced_accuracy >= self.chance + SUSPICIOUS * (1 - self.chance)


def colour_baseline(
    colours: NDArray[np.floating], labels: NDArray[np.int64], groups: NDArray[np.str_]
) -> ColourBaseline | str:
    """Cross-validate a logistic regression of colour statistics; return the reason where that is not possible.

    Args:
        colours: [n, features]; each feature is standardised to mean 0 and std 1.
        labels: [n] class indices; a class with a single image or patient is left out.
        groups: [n] the patient of each image, or a unique name where it is not known.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    group_counts = {int(label): len(set(groups[labels == label])) for label in np.unique(labels)}
    kept = np.flatnonzero([group_counts[int(label)] >= 2 for label in labels])
    if len(kept) > MOST:
        kept = np.sort(np.random.default_rng(0).choice(kept, MOST, replace=False))
    colours, labels, groups = colours[kept], labels[kept], groups[kept]
    classes = len(set(labels.tolist()))
    if classes < 2:
        return "two classes with two images, or two patients, each are needed"
    folds = min(FOLDS, *(group_counts[label] for label in set(labels.tolist())))
    grouped = len(set(groups)) < len(groups)
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    try:
        predicted = cross_val_predict(
            model,
            colours,
            labels,
            groups=groups if grouped else None,
            cv=kind(folds, shuffle=True, random_state=0),
        )
    except ValueError as error:  # a fold lacks one of two classes
        return str(error).partition("\n")[0]
    correct = int((predicted == labels).sum())
    return ColourBaseline(
        images=len(labels),
        folds=folds,
        grouped=grouped,
        accuracy=correct / len(labels),
        interval=wilson(correct, len(labels)),
        majority_share=float(np.unique(labels, return_counts=True)[1].max() / len(labels)),
        balanced_accuracy=float(balanced_accuracy_score(labels, predicted)),
        chance=1 / classes,
    )
