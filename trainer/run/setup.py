"""What a stage starts with: its device, its PixelSpec, its initial weights, its card."""

import platform
from importlib.metadata import version

import torch

from infer.core.console import Screen
from infer.core.errors import ConfigError, DeviceError
from infer.core.files import expand_home
from infer.dataset.table import TRAIN
from infer.images.preprocess import PixelSpec
from infer.model.card import ModelCard
from infer.version import __version__
from trainer.augment.parse import crop_paddings, reach
from trainer.config import ResolvedConfig
from trainer.data.cache import Canvases
from trainer.data.normalization import compute_normalization
from trainer.data.pixel_spec import pixel_spec
from trainer.model.network import Backbone
from trainer.model.weights import load_pretrained, load_weights


def pick_device(name: str) -> torch.device:
    """The device to train on; `auto` is CUDA where torch can use it. Raises DeviceError."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise DeviceError(f"--device cuda: torch {torch.__version__} finds no usable NVIDIA GPU; choose --device cpu")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def stage_spec(settings: ResolvedConfig) -> PixelSpec:
    """The PixelSpec of a stage, with a canvas large enough for its augmentation. Raises ConfigError."""
    spec = pixel_spec(settings, reach(settings.augment_steps))
    for padding in crop_paddings(settings.augment_steps):
        if not padding and spec.canvas == spec.window:
            raise ConfigError(
                "--augment: crop needs a canvas larger than the window; give it a padding, or --fit shorter"
            )
        if padding * 2 > settings.image_size:
            half = settings.image_size // 2
            raise ConfigError(
                f"--augment: crop({padding}) may cut beside the image; give at most half the window, {half}"
            )
    return spec


def load_start_weights(backbone: Backbone, settings: ResolvedConfig, screen: Screen) -> None:
    """Load the weights that --pretrained or --weights gives, if any. Raises ModelError."""
    if settings.pretrained:
        screen.say(f"ImageNet weights: {load_pretrained(backbone, settings.architecture)}")
    elif settings.weights:
        path = expand_home(settings.weights)
        screen.say(f"{path}: {load_weights(backbone, path)}")


def make_card(settings: ResolvedConfig, canvases: Canvases) -> ModelCard:
    """The card of the network that a stage trains; its normalisation may be computed from the training images."""
    table, spec = canvases.table, stage_spec(settings)
    rows = table.rows(TRAIN)
    data = {
        "name": table.name,
        "fingerprint": table.fingerprint(),
        "layout": table.layout,
        "train": table.counts(TRAIN),
    }
    packages = {name: version(name) for name in ("torchvision", "numpy", "pillow")}
    versions = {"lab": __version__, "python": platform.python_version(), "torch": torch.__version__, **packages}
    options = {"recipe": settings.recipe, "monitor": settings.monitor, "seed": settings.seed}
    return ModelCard(
        architecture=settings.architecture,
        classes=table.classes,
        pixels=spec,
        normalization=compute_normalization(
            settings.normalization, settings.grayscale, canvases.pixels_nhwc, rows, spec
        ),
        ordered=settings.ordered,
        provenance={"data": data, **options, "versions": versions},
    )


def out_of_memory_text(device: torch.device, settings: ResolvedConfig) -> str:
    """The error of a stage that a device has no memory for, with the remedies."""
    more_steps = f"--accumulate {settings.accumulate * 2}, " if settings.batch_size >= 4 * settings.accumulate else ""
    return (
        f"{device} is out of memory with batches of {settings.batch_size // settings.accumulate} images of "
        f"{settings.image_size} px; try {more_steps}a smaller --batch-size or --image-size, or a smaller network"
    )
