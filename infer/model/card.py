"""A model file's card, and how to read it from a checkpoint or an ONNX file without loading either.

The card is JSON under the key `lab.card`: in a checkpoint's safetensors metadata and in an ONNX file's
`metadata_props`. It has everything that prediction needs, so that no option repeats it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from infer.core.errors import ModelError
from infer.core.parse import is_whole, parse_json
from infer.images.colour import FULL_BITS
from infer.images.preprocess import PixelSpec
from infer.model.card_checks import check_matrix, check_provenance, check_text, is_number
from infer.model.input_kinds import INPUT_KINDS, UINT8
from infer.model.onnx_reader import read_header
from infer.model.precision import NARROW_BITS, PRECISIONS

CARD_KEY = "lab.card"
VERSION = 3
"""The newest version of a card that this lab reads. A card is of version 1 unless an older lab would take other pixels
than it means (2), or would feed the file what it does not take (3)."""


@dataclass(frozen=True)
class ClassName:
    """One class: its name for people, and its label for CSVs, kept as the text that was read."""

    name: str
    label: str

    def __post_init__(self) -> None:
        check_text("the name and the label of a class", self.name, self.label)

    def __str__(self) -> str:
        return self.name if self.name == self.label else f"{self.label} {self.name}"


def class_index(classes: Sequence[ClassName]) -> dict[str, int]:
    """Class index by label and by name: a table or a folder may use either for a class."""
    names = {item.name: index for index, item in enumerate(classes)}
    return names | {item.label: index for index, item in enumerate(classes)}


@dataclass(frozen=True)
class Normalization:
    """y = matrix @ (x / 255 - mean), per pixel: one scale per channel, a full 3x3 colour whitening, or grey levels."""

    mean: tuple[float, float, float]
    matrix: tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
    per_image: bool = False
    """Whether each channel of y is then normalised by its mean and variance: (y - mean) / sqrt(variance + EPSILON)."""

    def __post_init__(self) -> None:
        if not isinstance(self.per_image, bool):
            raise ValueError(f"per_image must be true or false, got {self.per_image}")
        check_matrix("a normalization", (self.mean, *self.matrix), 3)

    @classmethod
    def per_channel(cls, mean: tuple[float, float, float], std: tuple[float, float, float]) -> "Normalization":
        """(x / 255 - mean) / std. Torchvision's pretrained networks use IMAGENET below."""
        return cls(mean, ((1 / std[0], 0.0, 0.0), (0.0, 1 / std[1], 0.0), (0.0, 0.0, 1 / std[2])))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Normalization":
        """Read a card's value; `per_image` may be missing. Raises KeyError, TypeError or ValueError for any other."""
        red, green, blue = data["mean"]
        first, second, third = (tuple(row) for row in data["matrix"])
        return cls((red, green, blue), (first, second, third), data.get("per_image", False))

    def __str__(self) -> str:
        """For people: `(x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]`."""
        mean, rows = _short(self.mean), self.matrix
        scale = [rows[channel][channel] for channel in range(3)]
        if any(rows[i][j] for i in range(3) for j in range(3) if i != j) or not all(scale):
            text = f"[{', '.join(map(_short, rows))}] @ (x / 255 - {mean})"
        else:
            text = f"(x / 255 - {mean}) / {_short([1 / value for value in scale])}"
        return f"{text}, then each image to mean 0 and standard deviation 1 per channel" if self.per_image else text


def _short(values: Sequence[float]) -> str:
    return f"[{', '.join(f'{value:.4g}' for value in values)}]"


@dataclass(frozen=True)
class OperatingPoint:
    """The threshold of a two-class model, chosen on validation images."""

    threshold: float
    """In [0, 1]: an image is positive where the second class has at least this probability, temperature included."""
    images: int
    """The number of validation images on which it was chosen."""
    groups: int | None
    """The number of their patients; None where patients are not known."""

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"a threshold must be between 0 and 1, got {self.threshold}")
        if not is_whole(self.images) or not (self.groups is None or is_whole(self.groups)):
            raise ValueError(f"a threshold's images and groups must be whole numbers, got {self.images}, {self.groups}")

    def __str__(self) -> str:
        patients = f" of {self.groups} patients" if self.groups else ""
        return f"{self.images} validation images{patients}"


EPSILON = 1e-5
"""Prevents division by 0 for an image of one colour: a standard deviation of 0.8 of the 255 levels, at scale 1."""
IMAGENET = Normalization.per_channel((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Everything that is needed to predict with a network, and its provenance."""

    architecture: str
    classes: tuple[ClassName, ...]
    pixels: PixelSpec
    normalization: Normalization
    ordered: bool
    """Whether the classes are grades, so that a distance between them has a meaning."""
    temperature: float = 1.0
    """probabilities = softmax(logits / temperature)"""
    operating_point: OperatingPoint | None = None
    """None where there are more than two classes, or no validation images to choose it on."""
    precision: str = "fp32"
    opset: int | None = None
    """The ONNX file's opset; None in a checkpoint."""
    input: str = UINT8
    """What the ONNX file takes, a key of INPUT_KINDS."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """`weights_sha256`, `data` (name, fingerprint, images per class), `validation` metrics, `versions`; JSON values."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"a card's precision must be one of {', '.join(PRECISIONS)}, got {self.precision}")
        if self.input not in INPUT_KINDS:
            raise ValueError(f"a card's input must be one of {', '.join(INPUT_KINDS)}, got {self.input}")
        check_text("a card's architecture", self.architecture)
        check_provenance(self.provenance)
        if len(self.classes) < 2 or not is_number(self.temperature) or self.temperature <= 0:
            raise ValueError("a card needs at least two classes and a temperature above 0")
        if not isinstance(self.ordered, bool) or not (self.opset is None or is_whole(self.opset)):
            raise ValueError(f"a card's ordered must be true or false, its opset a number, got {self.opset}")
        if self.operating_point and len(self.classes) != 2:
            raise ValueError("only a card of two classes may have an operating point")
        for values in ([item.name for item in self.classes], [item.label for item in self.classes]):
            if len(set(values)) < len(values):
                raise ValueError(f"two classes have the same name: {values}")

    def to_json(self) -> str:
        """One line of JSON; the same card always gives the same text."""
        version = 3 if self.input != UINT8 else 1 if self.pixels.bits == FULL_BITS else 2
        data = {"version": version, **asdict(self), "pixels": self.pixels.to_json()}
        if self.input == UINT8:
            del data["input"]  # older labs do not know it
        return json.dumps(data, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, source: Path) -> "ModelCard":
        """Read a card. Raises ModelError, which names `source`, for a card of a newer version or a damaged one."""
        try:
            data = parse_json(text)
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
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ModelError(f"the card in {source} cannot be read ({reason}); train or export again") from error

    @property
    def trained_on(self) -> str:
        """The training data's name, for people."""
        weights = self.provenance.get("weights")
        unknown = f"data unknown ({weights})" if weights is not None else "unknown data"
        return str(self.provenance.get("data", {}).get("name", unknown))

    @property
    def may_overflow(self) -> bool:
        """Whether 16-bit sums of two 8-bit products may overflow: int8 files of earlier labs have weights of 8 bits."""
        weight_bits = self.provenance.get("int8", {}).get("weight_bits", 8)
        return self.precision == "int8" and bool(weight_bits > NARROW_BITS)

    def with_wide_weights(self) -> "ModelCard":
        """The card of a file whose int8 weights are not known to have the bits that this one says."""
        if "int8" not in self.provenance:
            return self
        record = {**self.provenance["int8"], "weight_bits": 8}
        return replace(self, provenance={**self.provenance, "int8": record})

    @property
    def most_frequent(self) -> int:
        """Index of the class with the most training images; 0 where they are not known."""
        counts = self.provenance.get("data", {}).get("train") or [1]
        return max(range(len(counts)), key=lambda index: counts[index])


def read_card(path: Path) -> ModelCard:
    """Read the card of a `.safetensors` checkpoint or an ONNX file, from the file's header alone.

    Raises:
        ModelError: there is no such file, it is of another type, or it has no card or one of a newer version.
    """
    metadata = _checkpoint_metadata(path) if path.suffix == ".safetensors" else read_header(path).metadata
    if CARD_KEY not in metadata:
        remedy = (
            "use a file that lab wrote; for weights that were trained elsewhere, see --arch of lab export"
            if path.suffix == ".safetensors"
            else "if a program that rewrote the file dropped it, copy it back (docs/onnx.md), or export again"
        )
        raise ModelError(
            f"{path} has no card (metadata entry {CARD_KEY}), so lab cannot know its classes or pixels; {remedy}"
        )
    return ModelCard.from_json(metadata[CARD_KEY], path)


def has_card(path: Path) -> bool:
    """Whether a `.safetensors` file has a card. Raises ModelError where it is not such a file."""
    return CARD_KEY in _checkpoint_metadata(path)


def _checkpoint_metadata(path: Path) -> dict[str, str]:
    """The string-to-string `__metadata__` of a safetensors file: 8 bytes of length, then JSON."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > 100_000_000:
                raise ValueError("not a safetensors header")
            return dict(parse_json(file.read(size)).get("__metadata__", {}))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise ModelError(f"{path} is not a safetensors checkpoint; use a run's best.safetensors") from error
