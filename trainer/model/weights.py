"""Initial weights: torchvision's ImageNet weights, or a local file, which may never run code."""

import pickle
import warnings
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from infer.core.errors import ModelError
from infer.core.files import cache_folder
from infer.core.text import listed
from trainer.model.network import Backbone
from trainer.model.torch_zip import require_stored

WRAPPERS = ("module", "_orig_mod", "model", "net", "network", "backbone", "encoder", "resnet", "head")
"""First parts of names that wrap a network's own: by DistributedDataParallel, torch.compile, Lightning, training
scripts, mmpretrain (backbone and head), and lab's own PixelNet."""


@dataclass(frozen=True)
class Match:
    """How a file's tensors fit a network."""

    loaded: int
    missing: tuple[str, ...]
    """Tensors that the file lacks; the network keeps its new values."""
    reshaped: tuple[str, ...]
    """Tensors with another shape in the file; the network keeps its new values."""
    unexpected: tuple[str, ...]
    """Tensors that the network lacks."""
    stripped: tuple[str, ...] = ()
    """Prefixes that were taken off the file's names, such as `module._orig_mod.`."""

    def __str__(self) -> str:
        stripped = f", prefix {listed(self.stripped)} stripped" if self.stripped else ""
        parts = [f"{self.loaded} tensors loaded{stripped}"]
        for state, names in (
            ("not in the file, left at new values", self.missing),
            ("of another shape, left at new values", self.reshaped),
            ("in the file only", self.unexpected),
        ):
            if names:
                parts.append(f"{len(names)} {state}: {listed(names)}")
        return "; ".join(parts)


def load_pretrained(backbone: Backbone, architecture: str) -> Match:
    """Load torchvision's default ImageNet weights, without the head; downloaded once into torch's hub folder.

    Raises:
        ModelError: torchvision has none for the architecture, or they cannot be downloaded.
    """
    from torchvision.models import get_model_weights

    try:
        weights = get_model_weights(architecture).DEFAULT
    except ValueError as error:
        raise ModelError(f"torchvision has no ImageNet weights for {architecture}; leave --pretrained out") from error
    folder = _download_folder()
    try:
        state = weights.get_state_dict(model_dir=str(folder), progress=False, check_hash=True, weights_only=True)
    except (URLError, HTTPException, OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        name = weights.url.rsplit("/", 1)[-1]
        reason = str(error).partition("\n")[0]
        raise ModelError(
            f"the ImageNet weights {name} cannot be loaded or downloaded ({reason}); put the file into {folder}, "
            "or give a local one with --weights"
        ) from error
    head = f"{backbone.head_name}."
    return load_matching(backbone, {name: tensor for name, tensor in state.items() if not name.startswith(head)})


def _download_folder() -> Path:
    """Torch's folder for downloaded weights, or one in lab's cache where torch's is below a home that there is not."""
    hub = Path(torch.hub.get_dir())
    return (cache_folder() / "torch" if hub.parts[0].startswith("~") else hub) / "checkpoints"


def load_weights(backbone: Backbone, path: Path) -> Match:
    """Load the tensors of a local `.pth` or `.safetensors` that fit.

    Raises:
        ModelError: the file does not exist, contains no tensors, contains more than weights, or those of another
            architecture.
    """
    if path.is_dir():
        raise ModelError(f"{path} is a folder; give a file of weights")
    if not path.is_file():
        raise ModelError(f"the weights {path} do not exist; check the path")
    read = _read_safetensors if path.suffix == ".safetensors" else _read_torch
    state = _state_of(read(path), path)
    if unusable := [name for name, tensor in state.items() if not _is_plain(tensor)]:
        raise ModelError(f"{path} contains tensors that are not plain floats: {listed(unusable)}; save them as float32")
    match = load_matching(backbone, state)
    if not match.loaded or any(not name.startswith(f"{backbone.head_name}.") for name in match.reshaped):
        raise ModelError(f"{path} does not fit the network: {match}; give weights of the same architecture")
    return match


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is dense and in memory, and of floating point; counters, which have no axis, are integers."""
    has_dtype = tensor.dtype.is_floating_point or tensor.ndim == 0
    return has_dtype and tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_meta


def load_matching(backbone: Backbone, state: dict[str, Tensor]) -> Match:
    """Load all tensors whose name and shape fit; a head for another number of classes does not.

    Names may be wrapped in WRAPPERS.

    Raises:
        ModelError: two tensors of the file have the same name in the network.
    """
    own = backbone.state_dict()
    names = {name: _unwrapped(name, own) for name in state}
    if len(set(names.values())) < len(names):
        counts = Counter(names.values())
        both = [name for name, inner in names.items() if counts[inner] > 1]
        raise ModelError(f"the weights hold more than one network: {listed(both)}; save the one that is wanted alone")
    state = {names[name]: tensor for name, tensor in state.items()}
    prefixes = (name.removesuffix(inner) for name, inner in names.items() if inner in own)
    fitting = {name: t for name, t in state.items() if name in own and own[name].shape == t.shape}
    backbone.load_state_dict(fitting, strict=False)
    return Match(
        loaded=len(fitting),
        missing=tuple(name for name in own if name not in state and not name.endswith("num_batches_tracked")),
        reshaped=tuple(name for name in state if name in own and name not in fitting),
        unexpected=tuple(name for name in state if name not in own),
        stripped=tuple(sorted({prefix for prefix in prefixes if prefix not in ("", "resnet.")})),
    )


def _unwrapped(name: str, own: Collection[str]) -> str:
    """A tensor's name without the WRAPPERS around one of the network's names; as it is where it is none of those."""
    inner = name
    while inner not in own:
        first, _, inner = inner.partition(".")
        if first not in WRAPPERS:
            return name
    return inner


def _read_safetensors(path: Path) -> object:
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"{path} is not a safetensors file: {error}; check it") from error


def _read_torch(path: Path) -> object:
    load: Callable[..., object] = torch.load
    known = False
    try:
        with path.open("rb") as file:
            start = file.read(2)
            known = start == b"PK" or start[:1] == b"\x80"  # a zip since PyTorch 1.6, a bare pickle before
        require_stored(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the errors below say what is wrong
            return load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises almost anything
        if known and isinstance(error, pickle.UnpicklingError):
            raise ModelError(
                f"{path} contains more than weights and is not opened, since that could run any code; "
                "save its state_dict() alone"
            ) from error
        raise ModelError(f"{path} is not a PyTorch file of weights; give a .pth or a .safetensors") from error


def _state_of(content: object, path: Path) -> dict[str, Tensor]:
    """The tensors of a file, at its top level or under the usual keys of training scripts."""
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not any(isinstance(value, Tensor) for value in content.values()):
        raise ModelError(f"{path} contains no named tensors; save the network's state_dict()")
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
