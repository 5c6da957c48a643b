"""How often the 95% intervals of a report hold the true value, in simulated studies, as docs/report.md shows it.

    python bench/coverage.py [--repeats 1000] [--seed 0]

Shares alone first: n images of G patients whose hits are correlated within a patient. Then whole reports: an image of
grade y has the score distance * y + noise, part of which its patient's images share, and the probabilities are the
scores' posterior, made too sure by a factor. True values are those of two million images.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from machine import installed, machine
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from infer.metrics.intervals import clustered_wilson  # noqa: E402
from infer.metrics.metrics import Estimate, Metrics, measure  # noqa: E402
from infer.metrics.result import EvaluationResult  # noqa: E402
from infer.model.card import ClassName  # noqa: E402

TRUTH_IMAGES = 2_000_000
SHARED = 0.3
"""The part of the noise's variance that the images of a patient share, where there are patients."""
SURE = 1.3
"""The factor on the logits of the posterior, for a calibration error above 0."""
METRICS = (
    *("accuracy", "recall", "specificity", "precision", "f1", "balanced_accuracy", "macro_f1", "weighted_f1"),
    *("matthews", "kappa", "roc_auc", "average_precision", "log_loss", "brier", "calibration_error"),
)


@dataclass(frozen=True)
class Study:
    """What is simulated."""

    images: int
    patients: int
    """0: every image is independent."""
    shares: tuple[float, ...]
    """Fraction of the images in each grade."""
    distance: float = 1.5
    """Between the mean scores of neighbouring grades, in standard deviations."""
    by_patient: bool = False
    """Whether all images of a patient are of one grade."""

    def __str__(self) -> str:
        who = f"{self.patients} patients" if self.patients else "independent"
        grades = f"{self.shares[-1]:g} positive" if len(self.shares) == 2 else f"{len(self.shares)} grades"
        return f"{self.images}, {who}{' of one grade each' if self.by_patient else ''}, {grades}"

    def draw(self, images: int, patients: int, rng: np.random.Generator) -> EvaluationResult:
        """Predictions for so many images of so many patients, equally many each; 0: independent images."""
        unit = np.arange(images) * patients // images if patients else np.arange(images)
        truth = rng.choice(len(self.shares), unit.max() + 1 if self.by_patient else images, p=self.shares)
        truth = truth[unit] if self.by_patient else truth
        shared = SHARED if patients else 0.0
        noise = np.sqrt(shared) * rng.normal(size=unit.max() + 1)[unit] + np.sqrt(1 - shared) * rng.normal(size=images)
        scores = self.distance * truth + noise
        means = self.distance * np.arange(len(self.shares))
        logits = SURE * (np.log(self.shares) - (scores[:, None] - means) ** 2 / 2)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return EvaluationResult(
            title="simulated",
            classes=tuple(ClassName(str(k), str(k)) for k in range(len(self.shares))),
            ordered=True,
            paths=("",) * images,
            truth=truth,
            probabilities=(powers / powers.sum(axis=1, keepdims=True)).astype(np.float32),
            groups=tuple(map(str, unit)) if patients else (),
        )


STUDIES = (
    *(Study(300, patients, (1 - p, p)) for patients in (0, 50, 100) for p in (0.1, 0.5, 0.9)),
    Study(300, 50, (0.5, 0.5), by_patient=True),
    Study(1000, 0, (0.9, 0.1)),
    Study(1000, 100, (0.9, 0.1)),
    Study(500, 0, (0.4, 0.1, 0.3, 0.1, 0.1)),
    Study(500, 100, (0.4, 0.1, 0.3, 0.1, 0.1)),
)


def estimates(metrics: Metrics) -> dict[str, Estimate]:
    """The estimates of a report by name, those of a class of the last one."""
    last = {name: metrics.per_class[-1][name] for name in ("recall", "specificity", "precision", "f1")}
    return last | {name: metrics[name] for name in METRICS if name in metrics.estimates}


def coverage(study: Study, repeats: int, seed: int) -> dict[str, float]:
    """How often the interval of each metric held the true value, in percent."""
    whole = study.draw(TRUTH_IMAGES, 0, np.random.default_rng(seed))
    true = {name: one.value for name, one in estimates(measure(whole, resamples=0)).items()}
    held: dict[str, list[bool]] = {name: [] for name in true}
    for repeat in range(repeats):
        result = study.draw(study.images, study.patients, np.random.default_rng((seed, repeat)))
        for name, one in estimates(measure(result)).items():
            if one.low is not None and one.high is not None:
                held[name].append(one.low <= (true[name] or 0) <= one.high)
    return {name: 100 * float(np.mean(hits)) for name, hits in held.items()}


def share_coverage(images: int, patients: int, shared: float, share: float, repeats: int, seed: int) -> float:
    """How often the interval of a share alone held it, in percent; hits are correlated through a normal variable."""
    from scipy.special import ndtri

    rng, unit = np.random.default_rng(seed), np.arange(images) * patients // images
    held = []
    for _ in range(repeats):
        latent = np.sqrt(shared) * rng.normal(size=patients)[unit] + np.sqrt(1 - shared) * rng.normal(size=images)
        hits: NDArray[np.bool_] = latent < ndtri(share)
        low, high = clustered_wilson(hits, unit)
        held.append(low <= share <= high)
    return 100 * float(np.mean(held))


def print_row(cells: list[str]) -> None:
    """A row of a table."""
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    versions = ", ".join(f"{name} {installed(name)}" for name in ("numpy", "scikit-learn", "scipy"))
    print(f"{machine()}, {versions}; {args.repeats} repeats (shares: {5 * args.repeats}), seed {args.seed}\n")
    shares = (0.1, 0.3, 0.5, 0.7, 0.9)
    print_row(["images, patients, shared variance", *map(str, shares)])
    print_row(["---"] * (1 + len(shares)))
    for images, patients, shared in ((300, 300, 0.0), (300, 50, 0.0), (300, 50, 0.3), (300, 100, 0.3), (1000, 50, 0.3)):
        cells = (share_coverage(images, patients, shared, share, 5 * args.repeats, args.seed) for share in shares)
        print_row([f"{images}, {patients}, {shared:g}", *(f"{cell:.1f}" for cell in cells)])
    print()
    print_row(["study", *METRICS])
    print_row(["---"] * (1 + len(METRICS)))
    for study in STUDIES:
        found = coverage(study, args.repeats, args.seed)
        print_row([str(study), *(f"{found[name]:.1f}" for name in METRICS)])


if __name__ == "__main__":
    main()
