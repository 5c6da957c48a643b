"""Where a report's predictions come from: what is known of the images and of the model, and its limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infer.core.errors import LabError
from infer.dataset.table import TRAIN, VALID, Table, read_run_table
from infer.images.enhance import Enhancement
from infer.images.preprocess import CenterCrop, PixelSpec, Resize, ResizeLonger, Step
from infer.metrics.metrics import Metrics
from infer.metrics.result import EvaluationResult
from infer.model.card import ModelCard, read_card
from infer.model.evidence import read_evidence
from infer.model.runs import CHECKPOINT, DATA, read_recipe
from infer.reports.metric_text import threshold_in_words

Facts = list[tuple[str, str]]
"""Name and value, for people."""
RECIPE_TOLD = ("recipe", "pretrained", "epochs", "batch_size", "optimizer", "learning_rate", "augment", "seed")
"""What of a recipe a report tells; the run's recipe.toml has all of it."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Of one report. What is not known is empty."""

    card: ModelCard
    """Of the model, or of the first of several whose probabilities were averaged."""
    model: Path | None = None
    """The ONNX file; None for a network in training."""
    run: Path | None = None
    """The folder of the run that the network is of."""
    source: str = ""
    """The name of the data set that the images come from."""
    layout: str = ""
    """Which form that was recognised as, for people."""
    split: str = ""
    """Of that data set: train, valid or test."""
    own: bool = False
    """Whether it is the very data set that the network was trained with."""
    averaged: str = ""
    """Whose probabilities were averaged, for people."""


def run_of(model: Path, card: ModelCard) -> Path | None:
    """The folder in which a model lies, if it is that of the run that the model was exported from."""
    try:
        checkpoint = read_card(model.parent / CHECKPOINT)
    except LabError:
        return None
    sha256 = card.provenance.get("weights_sha256")
    return model.parent if sha256 and sha256 == checkpoint.provenance.get("weights_sha256") else None


def training_table(origin: Origin) -> Table | None:
    """The images that the network was trained and validated with, where its run still tells."""
    if origin.run is None:
        return None
    try:
        return read_run_table(origin.run / DATA, origin.run, origin.card.classes)
    except LabError:
        return None


def set_counts(origin: Origin) -> dict[str, list[int]]:
    """Images of each class, [K], that the network was trained on and validated with, as far as it is known."""
    table = training_table(origin)
    if table:
        named = {TRAIN: "training", VALID: "validation"}
        return {name: table.counts(split) for split, name in named.items() if any(table.counts(split))}
    counts = origin.card.provenance.get("data", {}).get("train")
    return {"training": list(counts)} if counts and len(counts) == len(origin.card.classes) else {}


def data_card(metrics: Metrics, origin: Origin) -> Facts:
    """What is known of the images, and of those that the network was trained on."""
    provenance: dict[str, Any] = origin.card.provenance.get("data", {})
    classes, table = origin.card.classes, training_table(origin)
    patients = f"{metrics.groups} patients" if metrics.groups else "their patients are not known"
    facts = [("these images", f"{metrics.images}, {patients}")]
    if origin.source:
        facts.append(("from", f"{origin.source} ({origin.layout})" if origin.layout else origin.source))
    facts.append(("trained on", origin.card.trained_on))
    for name, counts in set_counts(origin).items():
        told = ", ".join(f"{item}: {count}" for item, count in zip(classes, counts, strict=True))
        facts.append((f"{name} images", f"{sum(counts)} ({told})"))
    if "layout" in provenance:
        facts.append(("how it was split", str(provenance["layout"])))
    if table:
        facts.append(("patients in training", _patients(table)))
    if "fingerprint" in provenance:
        facts.append(("fingerprint", f"{provenance['fingerprint']} (sha256 over every image's path, label and split)"))
    return facts


def _patients(table: Table) -> str:
    known = {group for group in table.groups if group}
    if not known:
        return "not known, so images of one patient may be in both training and validation"
    crossing = table.crossing_groups()
    if crossing:
        return f"{len(known)}, of whom {len(crossing)} are in more than one split: accuracy may be flattered"
    return f"{len(known)}, none in two splits"


def model_card(origin: Origin) -> Facts:
    """What the network is, how it was trained, and what proves that the file answers as it did."""
    card, told = origin.card, origin.card.provenance
    facts = [("network", f"{card.architecture}, {card.precision}" + (f", opset {card.opset}" if card.opset else ""))]
    if origin.averaged:
        facts.append(("averaged", origin.averaged))
    facts += [("classes", ", ".join(map(str, card.classes)) + (" (grades, in order)" if card.ordered else ""))]
    facts += [("an image becomes", pixels_in_words(card.pixels)), ("normalisation", str(card.normalization))]
    facts += [("training", _training(origin))]
    if validation := told.get("validation"):
        facts.append(
            (
                "best epoch",
                f"{validation.get('epoch')}: accuracy {validation.get('accuracy', 0):.2%} on "
                f"{validation.get('images')} validation images, which also chose the epoch",
            )
        )
    facts.append(("temperature", _temperature(card)))
    if card.operating_point:
        facts.append(("threshold", threshold_in_words(card)))
    facts.append(("parity gate", _gate(origin)))
    if "weights_sha256" in told:
        facts.append(("weights, sha256", str(told["weights_sha256"])))
    for name, title in (("versions", "trained with"), ("exported_with", "exported with")):
        if told.get(name):
            facts.append((title, ", ".join(f"{package} {version}" for package, version in told[name].items())))
    return facts


def pixels_in_words(spec: PixelSpec) -> str:
    """How a file becomes what the network sees, for people."""
    steps = [_step_in_words(step) for step in spec.steps]
    height, width = spec.window
    return ", then ".join([*steps, f"the centre {width} x {height} pixels, in colour"])


def _step_in_words(step: Step) -> str:
    if isinstance(step, Enhancement):
        return str(step)
    if isinstance(step, Resize | CenterCrop):
        size = f"{step.width} x {step.height} pixels"
        return f"resized to {size}" if isinstance(step, Resize) else f"cut to the centre {size}"
    return f"resized so that its {'longer' if isinstance(step, ResizeLonger) else 'shorter'} side is {step.size} pixels"


def _training(origin: Origin) -> str:
    if "weights" in origin.card.provenance:
        return f"elsewhere: {origin.card.provenance['weights']}"
    try:
        recipe = read_recipe(origin.run) if origin.run else {}
    except LabError:
        recipe = {}
    recipe = recipe or dict(origin.card.provenance)
    told = {name.replace("_", " "): recipe[name] for name in RECIPE_TOLD if name in recipe}
    return ", ".join(f"{name}: {_plain(value)}" for name, value in told.items()) or "not known"


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _temperature(card: ModelCard) -> str:
    fit = card.provenance.get("temperature_fit")
    if fit:
        return f"{card.temperature:g}, fitted to {fit.get('images')} validation images"
    return f"{card.temperature:g}" + ("" if card.temperature != 1 else ": probabilities are as the network gives them")


def _gate(origin: Origin) -> str:
    if origin.model is None:
        return "not exported yet: these are the network's own answers"
    try:
        evidence = read_evidence(origin.model)
    except LabError as error:
        return str(error)
    return evidence.summary if evidence else "no evidence: lab export did not finish this file"


def limits(result: EvaluationResult, origin: Origin) -> list[str]:
    """Intended use and limits, one sentence or two each, as far as they follow from what is known."""
    card = origin.card
    names = _listed([str(item) for item in card.classes])
    height, width = card.pixels.window
    told = [
        "Intended for research and teaching on images like those that it was trained on. It is not a medical device: "
        "nobody has shown that a decision about a patient may rest on it.",
        f"Every image is called one of {names}. There is no answer for an image that shows none of these, or is "
        "no such picture at all.",
        f"The network sees {width} x {height} pixels of an image. What is smaller than such a pixel, or outside the "
        "centre, it does not see.",
    ]
    if origin.own:
        told.append(
            f"These images come from {origin.source}, as those that it was trained on do. Expect lower figures for "
            "another hospital, camera, stain or patient group; only a test on such images can tell."
        )
    if not any(result.groups):
        told.append(
            "Without patients' names or numbers nobody can tell whether images of one patient were trained on and "
            "evaluated: a figure for new patients may be lower."
        )
    if origin.own and origin.split == VALID:
        told.append("The epoch was chosen on these very images, so they flatter it; a test split of its own would not.")
    if origin.own and origin.split == TRAIN:
        told.append("The network may have been trained on these very images: they say nothing about new ones.")
    if card.temperature == 1 and "temperature_fit" not in card.provenance:
        told.append("Probabilities were not calibrated; look at the reliability diagram before relying on one.")
    return told


def _listed(names: Sequence[str]) -> str:
    shown = names[:12]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"{', '.join(shown)}{more}"
