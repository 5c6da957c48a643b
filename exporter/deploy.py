"""The folders that `lab export` makes of an exported file, for programs that serve it. Needs no torch."""

from pathlib import Path

from exporter.config import ExportConfig
from exporter.triton import check_triton, write_triton
from exporter.web.folder import check_web, write_web
from infer.core.console import Screen
from infer.model.card import ModelCard
from infer.model.runs import find_model


def check_deployment(config: ExportConfig, model: Path, card: ModelCard) -> None:
    """Raises ConfigError where `deploy` cannot make what is asked for of the file `model`, which need not exist yet."""
    if config.triton:
        check_triton(model, config.triton, card, config.device)
    if config.web:
        check_web(config.web, card)


def deploy(config: ExportConfig, model: Path, screen: Screen) -> None:
    """Make the folders that are asked for of an exported file.

    Raises:
        ModelError: there is no such file, it has no evidence, or it was changed since its export.
        ConfigError: a folder exists, or is not possible for this file.
        OutputError: a folder cannot be written.
    """
    if config.triton:
        write_triton(find_model(model), config.triton, config.device, screen)
    if config.web:
        write_web(find_model(model), config.web, screen)
