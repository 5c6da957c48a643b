"""The best checkpoint of a run: the ResNet's weights as safetensors, with the card in the metadata."""

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


def weights_sha256(state: dict[str, Tensor]) -> str:
    """sha256 over name, dtype, shape and bytes of every tensor, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_checkpoint(network: PixelNet, card: ModelCard, path: Path) -> None:
    """Write the ResNet's weights and the card, with the weights' sha256 in it, atomically. Raises OutputError."""
    save_state(network.resnet.state_dict(), card, path)


def save_state(weights: Mapping[str, Tensor], card: ModelCard, path: Path) -> None:
    """`save_checkpoint` of a ResNet's state_dict. Raises OutputError."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    card = replace(card, provenance={**card.provenance, "weights_sha256": weights_sha256(state)})
    write_bytes(path, safetensors.torch.save(state, metadata={CARD_KEY: card.to_json()}))


def load_checkpoint(path: Path) -> tuple[PixelNet, ModelCard]:
    """The network in evaluation mode on the CPU, and its card.

    Raises:
        ModelError: the file is missing, damaged, has no card, or its card is of other weights.
    """
    card = read_card(path)
    try:
        state = safetensors.torch.load_file(path)
        network = build_network(card)
        network.resnet.load_state_dict(state)
    except (OSError, RuntimeError, KeyError, safetensors.SafetensorError) as error:
        what = str(error).partition("\n")[0]
        raise ModelError(f"{path} does not hold the weights that its card tells of ({what}); train again") from error
    if card.provenance.get("weights_sha256") != weights_sha256(state):
        raise ModelError(f"the weights in {path} are not those that its card was written for; train again")
    return network.eval(), card
