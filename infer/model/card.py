"""What a model file says of itself, and how to read that from a checkpoint or an ONNX file without loading either.

The card travels as JSON under the key `lab.card`: in a checkpoint's safetensors metadata and in an ONNX file's
`metadata_props`. Nothing that predicts is ever asked for on the command line again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from infer.core.errors import ModelError
from infer.images.preprocess import PixelSpec
from infer.model.onnx_reader import read_header

CARD_KEY = "lab.card"
VERSION = 1
PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class ClassName:
    """One class: the name that people read, and the label that goes into a CSV, text kept as it was read."""

    name: str
    label: str

    def __str__(self) -> str:
        return self.name if self.name == self.label else f"{self.label} {self.name}"


def class_index(classes: Sequence[ClassName]) -> dict[str, int]:
    """What may stand for a class in a table or a folder's name, its label or its name, to its index."""
    names = {item.name: index for index, item in enumerate(classes)}
    return names | {item.label: index for index, item in enumerate(classes)}


@dataclass(frozen=True)
class Normalization:
    """y = matrix @ (x / 255 - mean), per pixel: one scale per channel, a full 3x3 colour whitening, or grey levels."""

    mean: tuple[float, float, float]
    matrix: tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
    per_image: bool = False
    """Whether each channel of y then has the image's own mean m and variance v removed: (y - m) / sqrt(v + EPSILON)."""

    def __post_init__(self) -> None:
        if not isinstance(self.per_image, bool):
            raise ValueError(f"per_image must be true or false, got {self.per_image}")

    @classmethod
    def per_channel(cls, mean: tuple[float, float, float], std: tuple[float, float, float]) -> "Normalization":
        """(x / 255 - mean) / std. Torchvision's pretrained networks use IMAGENET below."""
        return cls(mean, ((1 / std[0], 0.0, 0.0), (0.0, 1 / std[1], 0.0), (0.0, 0.0, 1 / std[2])))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Normalization":
        """Raises KeyError, TypeError or ValueError for what a card would not hold; `per_image` may be missing."""
        red, green, blue = data["mean"]
        one, two, three = (tuple(row) for row in data["matrix"])
        return cls((red, green, blue), (one, two, three), data.get("per_image", False))

    def __str__(self) -> str:
        """For people: `(x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]`."""
        mean, rows = _short(self.mean), self.matrix
        scale = [rows[place][place] for place in range(3)]
        if any(rows[i][j] for i in range(3) for j in range(3) if i != j) or not all(scale):
            text = f"[{', '.join(map(_short, rows))}] @ (x / 255 - {mean})"
        else:
            text = f"(x / 255 - {mean}) / {_short([1 / value for value in scale])}"
        return f"{text}, then each image to mean 0 and standard deviation 1 per channel" if self.per_image else text


def _short(values: Sequence[float]) -> str:
    return f"[{', '.join(f'{value:.4g}' for value in values)}]"


@dataclass(frozen=True)
class OperatingPoint:
    """Of two classes: from which probability of the second on an image is positive, chosen on validation images."""

    threshold: float
    """In [0, 1], of the probability with the card's temperature; that very probability is positive."""
    images: int
    """On how many validation images it was chosen."""
    groups: int | None
    """On how many patients; None where none is known."""

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"a threshold lies between 0 and 1, got {self.threshold}")

    def __str__(self) -> str:
        patients = f" of {self.groups} patients" if self.groups else ""
        return f"{self.images} validation images{patients}"


EPSILON = 1e-5
"""Keeps an image of one colour from being divided by 0: a standard deviation of 0.8 of the 255 levels, at scale 1."""
IMAGENET = Normalization.per_channel((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """All that is needed to predict with a network, and where it came from."""

    architecture: str
    classes: tuple[ClassName, ...]
    pixels: PixelSpec
    normalization: Normalization
    ordered: bool
    """Whether the classes are grades, so that a distance between them means something."""
    temperature: float = 1.0
    """probabilities = softmax(logits / temperature)"""
    operating_point: OperatingPoint | None = None
    """None where there are several classes, or no validation images to choose it on."""
    precision: str = "fp32"
    opset: int | None = None
    """Of the ONNX file; None in a checkpoint."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """`weights_sha256`, `data` (name, fingerprint, images per class), `validation` metrics, `versions`; JSON values."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"a card's precision is one of {', '.join(PRECISIONS)}, got {self.precision}")
        told = (self.provenance, *(self.provenance.get(name, {}) for name in ("data", "versions")))
        if not all(isinstance(item, Mapping) for item in told):
            raise ValueError("a card's provenance, data and versions are given by name")
        if len(self.classes) < 2 or not self.temperature > 0:
            raise ValueError("a card needs two classes and a temperature above 0")
        if self.operating_point and len(self.classes) != 2:
            raise ValueError("only a card of two classes has an operating point")
        for values in ([item.name for item in self.classes], [item.label for item in self.classes]):
            if len(set(values)) < len(values):
                raise ValueError(f"two classes have one name: {values}")

    def to_json(self) -> str:
        """One line of JSON; the same card always gives the same text."""
        data = {"version": VERSION, **asdict(self), "pixels": self.pixels.to_json()}
        return json.dumps(data, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, source: Path) -> "ModelCard":
        """Raises ModelError, naming `source`, for a card of a newer version or one that is damaged."""
        try:
            data = json.loads(text)
            version = data.pop("version")
            if version > VERSION:
                raise ModelError(
                    f"{source} has a card of version {version}, this lab reads up to {VERSION}; install a newer lab"
                )
            point = data.get("operating_point")  # older cards have none
            return cls(
                **{
                    **data,
                    "operating_point": OperatingPoint(**point) if point else None,
                    "classes": tuple(ClassName(**item) for item in data["classes"]),
                    "pixels": PixelSpec.from_json(data["pixels"]),
                    "normalization": Normalization.from_json(data["normalization"]),
                }
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            what = f"{type(error).__name__}: {error}"
            raise ModelError(f"the card in {source} cannot be read ({what}); train or export again") from error

    @property
    def trained_on(self) -> str:
        """The training data's name, for people."""
        elsewhere = f"data unknown ({self.provenance['weights']})" if "weights" in self.provenance else "unknown data"
        return str(self.provenance.get("data", {}).get("name", elsewhere))

    @property
    def most_frequent(self) -> int:
        """Index of the class with the most training images; 0 where the card does not tell."""
        counts = self.provenance.get("data", {}).get("train") or [1]
        return max(range(len(counts)), key=lambda index: counts[index])


def read_card(path: Path) -> ModelCard:
    """The card of a `.safetensors` checkpoint or an ONNX file, from the file's header alone.

    Raises:
        ModelError: there is no such file, it is of another kind, or it has no card or one of a newer version.
    """
    metadata = _checkpoint_metadata(path) if path.suffix == ".safetensors" else read_header(path).metadata
    if CARD_KEY not in metadata:
        brought = (
            "; lab export can bring weights trained elsewhere: see --arch" if path.suffix == ".safetensors" else ""
        )
        raise ModelError(
            f"{path} has no card, so lab cannot know its classes or pixels; use a file that lab wrote{brought}"
        )
    return ModelCard.from_json(metadata[CARD_KEY], path)


def has_card(path: Path) -> bool:
    """Whether a `.safetensors` file has a card. Raises ModelError for what is no such file."""
    return CARD_KEY in _checkpoint_metadata(path)


def _checkpoint_metadata(path: Path) -> dict[str, str]:
    """The string-to-string `__metadata__` of a safetensors file: 8 bytes of length, then JSON."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > 100_000_000:
                raise ValueError("not a safetensors header")
            return dict(json.loads(file.read(size)).get("__metadata__", {}))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise ModelError(f"{path} is not a safetensors checkpoint; use a run's best.safetensors") from error
