"""The network to export: a run's best checkpoint, or weights of a ResNet that was trained elsewhere."""

from dataclasses import dataclass, replace
from pathlib import Path

from exporter.config import ExportConfig
from infer.core.console import Screen
from infer.core.errors import ConfigError, DataError, ModelError
from infer.dataset.held_out import held_out_images, run_table
from infer.dataset.source import read_table
from infer.dataset.table import TRAIN, VALID, Table
from infer.images.colour import FULL_BITS
from infer.images.window_option import FILE
from infer.model.card import ClassName, ModelCard, Normalization, has_card
from infer.model.input_kinds import file_name
from infer.model.runs import find_checkpoint, newest_run
from trainer.data.pixel_spec import pixel_spec
from trainer.model.checkpoint import load_checkpoint, weights_sha256
from trainer.model.network import PixelNet, build_network
from trainer.model.weights import load_weights


@dataclass(frozen=True)
class Source:
    """A network in float32 and evaluation mode on the CPU, with what its export and the gate need."""

    network: PixelNet
    card: ModelCard
    gate: Table
    """Labelled images for the gate, with the card's classes."""
    training: Table
    """Training images, on which int8 is calibrated."""
    model: Path
    """Path of the ONNX file, unless --out names another."""


def open_source(config: ExportConfig, screen: Screen) -> Source:
    """Load the network and find its images.

    Raises:
        ConfigError: the file of weights is a checkpoint of lab, or --classes is not a list of names.
        ModelError: there is no such checkpoint or file of weights, or it does not fit the architecture.
        DataError: the images cannot be used.
    """
    if config.arch:
        return _from_elsewhere(config, screen)
    checkpoint = find_checkpoint(config.run or newest_run())
    screen.say(f"checkpoint: {checkpoint}")
    network, card = load_checkpoint(checkpoint)
    table = run_table(checkpoint.parent, card, config.data, screen)
    model = checkpoint.parent / file_name(config.precision, config.input_kind)
    return Source(network, card, table.split(VALID), table.split(TRAIN), model)


@dataclass(frozen=True)
class _View:
    """The fields that `pixel_spec` reads. Networks from elsewhere were trained without enhancement."""

    image_size: int
    fit: str
    crop: int | None = None
    bits: str = str(FULL_BITS)
    dicom_window: str = FILE
    enhance: tuple[str, ...] = ()


def _from_elsewhere(config: ExportConfig, screen: Screen) -> Source:
    """A network from weights with torchvision's names, and its card from the options."""
    assert config.run is not None
    assert config.data is not None
    assert config.image_size is not None
    (red, green, blue), (*std,) = config.mean, config.std
    table = read_table(config.data, screen=screen)
    card = ModelCard(
        architecture=config.arch,
        classes=parse_classes(config.classes),
        # elsewhere JPEGs are decoded at full scale
        pixels=replace(pixel_spec(_View(config.image_size, config.fit), 1.0), reduced_decode=False),
        normalization=Normalization.per_channel((red, green, blue), (std[0], std[1], std[2])),
        ordered=config.ordered,
    )
    network = build_network(card).eval()
    load_all(network, config.run, config.arch)
    screen.say(f"weights: {config.run}")
    try:
        gate = held_out_images(table, card.classes, screen)
    except DataError as error:
        raise DataError(f"{error}, or give both with --classes LABEL=NAME,LABEL=NAME") from error
    provenance = {
        "weights": config.run.name,
        "weights_sha256": weights_sha256(network.backbone.state_dict()),
        "gate_data": {"name": table.name, "fingerprint": table.fingerprint()},  # the training data are not known
    }
    return Source(
        network,
        replace(card, provenance=provenance),
        gate,
        table.split(TRAIN),
        config.run.with_name(file_name(config.precision, config.input_kind).replace("model", config.run.stem)),
    )


def load_all(network: PixelNet, path: Path, architecture: str) -> None:
    """Load a `.pth` or `.safetensors` whose tensors are exactly the architecture's. Raises ModelError."""
    if path.suffix == ".safetensors" and has_card(path):
        raise ConfigError(f"{path} is a checkpoint of lab, whose card has the architecture; leave --arch out")
    match = load_weights(network.backbone, path)
    head = network.backbone.head.out_features
    if f"{network.backbone.head_name}.weight" in match.reshaped:
        raise ModelError(f"{path} does not have the {head} outputs that --classes names; name all classes, in order")
    if match.missing or match.reshaped or match.unexpected:
        raise ModelError(f"{path} does not fit --arch {architecture}: {match}; check --arch")


def parse_classes(text: str) -> tuple[ClassName, ...]:
    """Read `normal,blast`, or `0=normal,1=blast` with the labels that go into a CSV. Raises ConfigError."""
    parts = [part.strip().partition("=") for part in text.split(",")]
    classes = tuple(ClassName((name or label).strip(), label.strip()) for label, _, name in parts)
    names, labels = {item.name for item in classes}, {item.label for item in classes}
    if len(classes) < 2 or not min(len(names), len(labels)) == len(classes) or "" in names | labels:
        raise ConfigError(f"--classes must be two or more different names, such as normal,blast, got {text}")
    return classes
