"""Where a report's predictions come from: its data card, its model card, and the limits that follow from both."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infer.core.errors import LabError
from infer.core.text import listed
from infer.dataset.table import TRAIN, VALID, Table, read_run_table
from infer.images.enhance import Enhancement
from infer.images.preprocess import CenterCrop, PixelSpec, Resize, ResizeLonger, Step
from infer.metrics.metrics import Metrics
from infer.metrics.result import EvaluationResult
from infer.model.card import ModelCard, read_card
from infer.model.runs import CHECKPOINT, DATA, read_recipe
from infer.model.seal import read_seal
from infer.reports.metric_text import describe_threshold

Facts = list[tuple[str, str]]
"""Name and value, for people."""
RECIPE_FIELDS = ("recipe", "pretrained", "epochs", "batch_size", "optimizer", "learning_rate", "augment", "seed")
"""The values of a recipe that a report shows; the run's recipe.toml has all of them."""
MOST_LISTED = 12
"""Classes that are listed by name; with more, the first ones and the number of the others."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where the predictions of one report come from. What is unknown is empty."""

    card: ModelCard
    """The model's card, or that of the first of several whose probabilities were averaged."""
    model: Path | None = None
    """The ONNX file; None for a network that is being trained."""
    run: Path | None = None
    """The folder of the run that trained the network."""
    source: str = ""
    """Name of the data set that the images come from."""
    layout: str = ""
    """Layout that the data set was recognised as, for people."""
    split: str = ""
    """Its split: train, valid or test."""
    own: bool = False
    """Whether the network was trained with this data set."""
    averaged: str = ""
    """Which models and views were averaged, for people."""


def run_of(model: Path, card: ModelCard) -> Path | None:
    """The folder of a model if it is that of the run that the model was exported from, otherwise None."""
    try:
        checkpoint = read_card(model.parent / CHECKPOINT)
    except LabError:
        return None
    sha256 = card.provenance.get("weights_sha256")
    return model.parent if sha256 and sha256 == checkpoint.provenance.get("weights_sha256") else None


def training_table(origin: Origin) -> Table | None:
    """The images that the network was trained and validated with, if its run still has the table."""
    if origin.run is None:
        return None
    try:
        return read_run_table(origin.run / DATA, origin.run, origin.card.classes)
    except LabError:
        return None


def set_counts(origin: Origin) -> dict[str, list[int]]:
    """Images of each class, [K], in the training and validation splits, as far as they are known."""
    table = training_table(origin)
    if table:
        names = {TRAIN: "training", VALID: "validation"}
        return {name: table.counts(split) for split, name in names.items() if any(table.counts(split))}
    counts = origin.card.provenance.get("data", {}).get("train")
    return {"training": list(counts)} if counts and len(counts) == len(origin.card.classes) else {}


def data_card(metrics: Metrics, origin: Origin) -> Facts:
    """Facts about the evaluated images and the images that the network was trained on."""
    provenance: dict[str, Any] = origin.card.provenance.get("data", {})
    classes, table = origin.card.classes, training_table(origin)
    patients = f"{metrics.groups} patients" if metrics.groups else "patients unknown"
    facts = [("these images", f"{metrics.images}, {patients}")]
    if origin.source:
        facts.append(("source", f"{origin.source} ({origin.layout})" if origin.layout else origin.source))
    facts.append(("trained on", origin.card.trained_on))
    for name, counts in set_counts(origin).items():
        by_class = listed([f"{item}: {count}" for item, count in zip(classes, counts, strict=True)], MOST_LISTED)
        facts.append((f"{name} images", f"{sum(counts)} ({by_class})"))
    if "layout" in provenance:
        facts.append(("split", str(provenance["layout"])))
    if table:
        facts.append(("patients in training", _patients(table)))
    if "fingerprint" in provenance:
        facts.append(("fingerprint", f"{provenance['fingerprint']} (sha256 over every image's path, label and split)"))
    return facts


def _patients(table: Table) -> str:
    known = {group for group in table.groups if group}
    if not known:
        return "unknown, so images of one patient may be in both training and validation"
    crossing = table.crossing_groups()
    if crossing:
        return f"{len(known)}, of whom {len(crossing)} are in more than one split: accuracy may be too high"
    return f"{len(known)}, none in more than one split"


def model_card(origin: Origin, run_by: str = "") -> Facts:
    """Facts about the network, its training, and the parity gate of its export."""
    card, provenance = origin.card, origin.card.provenance
    facts = [("network", f"{card.architecture}, {card.precision}" + (f", opset {card.opset}" if card.opset else ""))]
    facts += [("run by", run_by)] if run_by else []
    if origin.averaged:
        facts.append(("averaged", origin.averaged))
    classes = listed([str(item) for item in card.classes], MOST_LISTED)
    facts += [("classes", classes + (" (grades, in order)" if card.ordered else ""))]
    facts += [("preprocessing", describe_pixels(card.pixels)), ("normalisation", str(card.normalization))]
    facts += [("training", _training(origin))]
    if validation := provenance.get("validation"):
        facts.append(
            (
                "best epoch",
                f"{validation.get('epoch')}: accuracy {validation.get('accuracy', 0):.2%} on "
                f"{validation.get('images')} validation images, on which the epoch was chosen",
            )
        )
    facts.append(("temperature", _temperature(card)))
    if card.operating_point:
        facts.append(("threshold", describe_threshold(card)))
    facts.append(("parity gate", _gate(origin)))
    if "weights_sha256" in provenance:
        facts.append(("weights, sha256", str(provenance["weights_sha256"])))
    for name, title in (("versions", "trained with"), ("exported_with", "exported with")):
        if versions := provenance.get(name):
            facts.append((title, ", ".join(f"{package} {version}" for package, version in versions.items())))
    return facts


def describe_pixels(spec: PixelSpec) -> str:
    """How an image is preprocessed, for people."""
    steps = [_describe_step(step) for step in spec.steps]
    height, width = spec.window
    return ", then ".join([*steps, f"cropped to the centre {width} x {height} pixels, in colour"])


def _describe_step(step: Step) -> str:
    if isinstance(step, Enhancement):
        return str(step)
    if isinstance(step, Resize | CenterCrop):
        size = f"{step.width} x {step.height} pixels"
        return f"resized to {size}" if isinstance(step, Resize) else f"cropped to the centre {size}"
    return f"resized so that its {'longer' if isinstance(step, ResizeLonger) else 'shorter'} side is {step.size} pixels"


def _training(origin: Origin) -> str:
    if "weights" in origin.card.provenance:
        return f"elsewhere: {origin.card.provenance['weights']}"
    try:
        recipe = read_recipe(origin.run) if origin.run else {}
    except LabError:
        recipe = {}
    recipe = recipe or dict(origin.card.provenance)
    values = {name.replace("_", " "): recipe[name] for name in RECIPE_FIELDS if name in recipe}
    return ", ".join(f"{name}: {_plain(value)}" for name, value in values.items()) or "unknown"


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _temperature(card: ModelCard) -> str:
    fit = card.provenance.get("temperature_fit")
    if fit:
        return f"{card.temperature:g}, fitted to {fit.get('images')} validation images"
    return f"{card.temperature:g}" + ("" if card.temperature != 1 else ": probabilities are not calibrated")


def _gate(origin: Origin) -> str:
    if origin.model is None:
        return "not exported yet: these are the outputs of the network in training"
    try:
        return read_seal(origin.model).gate_text
    except LabError as error:
        return str(error)


def limits(result: EvaluationResult, origin: Origin) -> list[str]:
    """Intended use and limits, in one or two sentences each, as far as they follow from what is known."""
    sentences = card_limits(origin.card)
    if origin.own:
        sentences.append(
            f"These images come from {origin.source}, like those that it was trained on. Expect lower performance for "
            "another hospital, camera, stain or patient group, and test on such images."
        )
    if not any(result.groups):
        sentences.append(
            "Patients are unknown, so images of one patient may have been both trained on and evaluated: performance "
            "on new patients may be lower."
        )
    if origin.own and origin.split == VALID:
        sentences.append("The best epoch was chosen on these images, so the numbers are optimistic; use a test split.")
    if origin.own and origin.split == TRAIN:
        sentences.append("The network may have been trained on these images: the numbers say nothing about new ones.")
    if is_uncalibrated(origin.card):
        sentences.append("Probabilities are not calibrated: check the reliability diagram before relying on them.")
    return sentences


def card_limits(card: ModelCard) -> list[str]:
    """Intended use and limits of a network on any images."""
    names = listed([str(item) for item in card.classes], MOST_LISTED)
    height, width = card.pixels.window
    return [
        "Intended for research and teaching, on images like those that it was trained on. It is not a medical device: "
        "it has not been shown to be fit for decisions about patients.",
        f"Every image is assigned to one of {names}, even if it shows none of these or is another kind of image.",
        f"The network sees {width} x {height} pixels of an image; it does not see details smaller than one of these "
        "pixels, or anything outside the centre.",
    ]


def intended_use(card: ModelCard) -> list[str]:
    """`card_limits`, and whether its probabilities are calibrated, for pages that show predictions of new images."""
    note = "Probabilities are not calibrated: lab evaluate draws their reliability on images with known labels."
    return [*card_limits(card), *([note] if is_uncalibrated(card) else [])]


def is_uncalibrated(card: ModelCard) -> bool:
    """Whether no temperature was fitted to validation images."""
    return card.temperature == 1 and "temperature_fit" not in card.provenance
