"""The best checkpoint of a run: the backbone's weights as safetensors, with the card in the metadata."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from infer.core.errors import ModelError
from infer.core.files import write_bytes
from infer.model.card import CARD_KEY, ModelCard, read_card
from trainer.model.network import PixelNet, build_network


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """sha256 over name, dtype, shape and bytes of all tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_checkpoint(network: PixelNet, card: ModelCard, path: Path) -> None:
    """Write the backbone's weights, and the card with their sha256, atomically. Raises OutputError."""
    save_state(network.backbone.state_dict(), card, path)


def save_state(weights: Mapping[str, Tensor], card: ModelCard, path: Path) -> None:
    """Write a backbone's `state_dict` as `save_checkpoint` does. Raises OutputError."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    card = replace(card, provenance={**card.provenance, "weights_sha256": weights_sha256(state)})
    write_bytes(path, safetensors.torch.save(state, metadata={CARD_KEY: card.to_json()}))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file at any path; `load_file` takes none that is not UTF-8.

    Raises:
        OSError, KeyError, SafetensorError: it cannot be read, holds a type that torch lacks, or is damaged.
    """
    return safetensors.torch.load(path.read_bytes())


def load_checkpoint(path: Path) -> tuple[PixelNet, ModelCard]:
    """Load a checkpoint: the network in evaluation mode on the CPU, and its card.

    Raises:
        ModelError: the file is missing, damaged, has no card, or its card belongs to other weights.
    """
    card = read_card(path)
    try:
        state = load_tensors(path)
        network = build_network(card)
        network.backbone.load_state_dict(state)
    except (OSError, RuntimeError, KeyError, safetensors.SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(
            f"{path} does not contain the weights that its card describes ({reason}); train again"
        ) from error
    if card.provenance.get("weights_sha256") != weights_sha256(state):
        raise ModelError(f"the card in {path} belongs to other weights than the file contains; train again")
    return network.eval(), card
