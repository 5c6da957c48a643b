"""What is exported: a run's best checkpoint, or weights of a ResNet that was trained elsewhere."""

from dataclasses import dataclass, replace
from pathlib import Path

from exporter.config import ExportConfig
from infer.core.console import Screen
from infer.core.errors import ConfigError, DataError, ModelError
from infer.dataset.held_out import held_out_images, run_table
from infer.dataset.source import read_table
from infer.dataset.table import TRAIN, VALID, Table
from infer.model.card import ClassName, ModelCard, Normalization, has_card
from infer.model.runs import MODELS, find_checkpoint, newest_run
from trainer.data.pixel_spec import pixel_spec
from trainer.model.checkpoint import load_checkpoint, weights_sha256
from trainer.model.network import PixelNet, build_network
from trainer.model.weights import load_weights


@dataclass(frozen=True)
class Source:
    """A network in float32 and evaluation mode on the CPU, with what is needed to export and prove it."""

    network: PixelNet
    card: ModelCard
    gate: Table
    """Labelled images for the gate, with the card's classes."""
    training: Table
    """Images to calibrate on."""
    model: Path
    """Where the ONNX file goes if no other place is named."""


def open_source(config: ExportConfig, screen: Screen) -> Source:
    """Load what is to be exported.

    Raises:
        ConfigError: options that do not go together.
        ModelError: no such checkpoint or weights, or they are not what they should be.
        DataError: the images are not usable.
    """
    if config.arch:
        return _from_elsewhere(config, screen)
    checkpoint = find_checkpoint(config.run or newest_run())
    screen.say(f"checkpoint: {checkpoint}")
    network, card = load_checkpoint(checkpoint)
    table = run_table(checkpoint.parent, card, config.data, screen)
    return Source(network, card, table.split(VALID), table.split(TRAIN), checkpoint.parent / MODELS[config.precision])


@dataclass(frozen=True)
class _View:
    """What `pixel_spec` asks for. Networks from elsewhere have seen JPEGs decoded at full scale, and no enhancement."""

    image_size: int
    fit: str
    crop: int | None = None
    enhance: tuple[str, ...] = ()


def _from_elsewhere(config: ExportConfig, screen: Screen) -> Source:
    """Weights with torchvision's names, and a card from the options."""
    assert config.run is not None
    assert config.data is not None
    assert config.image_size is not None
    (red, green, blue), (*std,) = config.mean, config.std
    table = read_table(config.data, screen=screen)
    card = ModelCard(
        architecture=config.arch,
        classes=parse_classes(config.classes),
        pixels=replace(pixel_spec(_View(config.image_size, config.fit), 1.0), reduced_decode=False),
        normalization=Normalization.per_channel((red, green, blue), (std[0], std[1], std[2])),
        ordered=config.ordered,
    )
    network = build_network(card).eval()
    load_all(network, config.run)
    screen.say(f"weights: {config.run}")
    try:
        gate = held_out_images(table, card.classes, screen)
    except DataError as error:
        raise DataError(f"{error}, or give both with --classes LABEL=NAME,LABEL=NAME") from error
    provenance = {
        "weights": config.run.name,
        "weights_sha256": weights_sha256(network.backbone.state_dict()),
        "gate_data": {"name": table.name, "fingerprint": table.fingerprint()},  # what it was trained on is not known
    }
    return Source(
        network,
        replace(card, provenance=provenance),
        gate,
        table.split(TRAIN),
        config.run.with_name(MODELS[config.precision].replace("model", config.run.stem)),
    )


def load_all(network: PixelNet, path: Path) -> None:
    """Load a `.pth` or `.safetensors` whose tensors are exactly the ResNet's. Raises ModelError."""
    if path.suffix == ".safetensors" and has_card(path):
        raise ConfigError(f"{path} is a checkpoint of lab, whose card tells what --arch would; leave --arch out")
    match = load_weights(network.backbone, path)
    head = network.backbone.head.out_features
    if f"{network.backbone.head_name}.weight" in match.reshaped:
        raise ModelError(f"{path} has another number of outputs than the {head} of --classes; name them all, in order")
    if match.missing or match.reshaped or match.unexpected:
        raise ModelError(f"{path} is not a whole network of this architecture: {match}; check --arch")


def parse_classes(text: str) -> tuple[ClassName, ...]:
    """`normal,blast`, or `0=normal,1=blast` with the labels that go into a CSV. Raises ConfigError."""
    parts = [part.strip().partition("=") for part in text.split(",")]
    classes = tuple(ClassName((name or label).strip(), label.strip()) for label, _, name in parts)
    names, labels = {item.name for item in classes}, {item.label for item in classes}
    if len(classes) < 2 or not min(len(names), len(labels)) == len(classes) or "" in names | labels:
        raise ConfigError(f"--classes must be two or more different names, such as normal,blast, got {text}")
    return classes
