"""What the network itself answers to the images of the gate, and how large the values inside it become."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from infer.core.arrays import Floats, Pixels
from infer.core.errors import DataError, ImageError
from infer.core.text import listed
from infer.images.archive import File
from infer.images.parallel_map import read_ahead
from infer.images.preprocess import PixelSpec, read_window
from infer.model.evidence import images_sha256, view_digest
from trainer.model.network import PixelNet

BATCH = 64
"""Images that the network is given at once."""
HALF_MAX = 65_504.0
"""The largest number of half precision."""


@dataclass(frozen=True)
class Reference:
    """Images and the network's answers to them; all of one length, n > 0."""

    files: tuple[str, ...]
    """Those that can be read."""
    truth: NDArray[np.int64]
    """[n] class index."""
    logits: Floats
    """[n, K], in float32 on the CPU."""
    magnitude: float
    """The largest sum of |weight * feature| + |bias| behind a logit: what the rounding of a logit is relative to."""
    spec: PixelSpec
    unreadable: tuple[ImageError, ...]
    """The images that could not be read."""
    images_sha256: str
    """Over the evaluation views, in any order: tells whether two gates saw the same pixels."""

    def views(self) -> Iterator[Pixels]:
        """The evaluation view of each image, by the production pixel path. Raises ImageError."""
        for view in read_ahead(self.files, self._read):
            if isinstance(view, ImageError):  # it could be read a moment ago
                raise view
            yield view

    def take(self, rows: Sequence[int]) -> "Reference":
        """The reference of these images alone; its `images_sha256` is still that of all."""
        files = tuple(self.files[row] for row in rows)
        return replace(self, files=files, truth=self.truth[list(rows)], logits=self.logits[list(rows)])

    def _read(self, file: File) -> Pixels:
        return read_window(file, self.spec)


class Watch:
    """Follows the largest magnitude of every value that a network computes in its ResNet.

    Attributes:
        largest: by the layer's name, in the order of computation; a sum is named after its block.
    """

    def __init__(self, network: PixelNet) -> None:
        """`network`: with batch normalisation folded, in float32."""
        self.network = network
        self.largest: dict[str, float] = {}
        network.backbone.register_forward_pre_hook(self._pre_hook("the normalised pixels"))
        for name, module in network.backbone.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(self._hook(name))
                self.largest[f"the weights of {name}"] = max(float(w.detach().abs().max()) for w in module.parameters())
            elif isinstance(module, nn.ReLU):  # given a convolution's result, or the sum with the shortcut
                block = name.rpartition(".")[0]
                module.register_forward_pre_hook(self._pre_hook(f"the sum in {block}" if block else "conv1"))

    def see(self, batch: Tensor) -> None:
        """Run a batch of uint8 images [n, H, W, 3]."""
        self.network(batch)

    def beyond_half(self) -> str:
        """The first layer whose values half precision cannot hold, for people; "" where all can be held."""
        for name, value in self.largest.items():
            if not value <= HALF_MAX:
                return f"{name} reaches {value:,.0f}, and half precision ends at 65,504"
        return ""

    def _hook(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _, __, out: self._note(name, out)

    def _pre_hook(self, name: str) -> Callable[[nn.Module, tuple[Tensor]], None]:
        return lambda _, given: self._note(name, given[0])

    def _note(self, name: str, values: Tensor) -> None:
        largest = float(values.abs().max())
        self.largest[name] = max(self.largest.get(name, 0.0), largest) if largest == largest else largest


@torch.inference_mode()
def ask(
    network: PixelNet,
    files: Sequence[str],
    truth: NDArray[np.int64],
    spec: PixelSpec,
    watch: Watch | None = None,
    on_done: Callable[[int], None] = lambda done: None,
) -> Reference:
    """The network's answers to the images of `files`; one that cannot be read is passed over.

    Args:
        network: in float32 and evaluation mode, on the CPU.
        files: n paths.
        truth: [n] class index.
        spec: how a file becomes what the network sees.
        watch: is shown every image as well.
        on_done: is told how many images are finished.

    Raises:
        DataError: half of them or more cannot be read.
    """
    good: list[int] = []
    logits: list[Floats] = []
    digests: list[bytes] = []
    bad: list[ImageError] = []
    head, magnitude = network.backbone.head, 0.0

    def measure(_: nn.Module, given: tuple[Tensor]) -> None:
        nonlocal magnitude
        sums = nn.functional.linear(given[0].abs(), head.weight.abs(), head.bias.abs())
        magnitude = max(magnitude, float(sums.max()))

    hook = head.register_forward_pre_hook(measure)
    views = enumerate(read_ahead(files, lambda file: read_window(file, spec)))
    while chunk := list(islice(views, BATCH)):
        on_done(chunk[-1][0] + 1)
        bad += [view for _, view in chunk if isinstance(view, ImageError)]
        seen = [(row, view) for row, view in chunk if not isinstance(view, ImageError)]
        if not seen:
            continue
        batch = torch.from_numpy(np.stack([view for _, view in seen]))
        logits.append(np.asarray(network(batch)[0].numpy(), dtype=np.float32))
        if watch:
            watch.see(batch)
        good += [row for row, _ in seen]
        digests += [view_digest(view) for _, view in seen]
    hook.remove()
    if len(bad) >= len(good):
        names = listed([str(error) for error in bad], 3)
        raise DataError(
            f"{len(bad)} of {len(files)} images for the gate cannot be read: {names}; say where they are with --data"
        )
    return Reference(
        files=tuple(files[row] for row in good),
        truth=truth[good],
        logits=np.concatenate(logits),
        magnitude=magnitude,
        spec=spec,
        unreadable=tuple(bad),
        images_sha256=images_sha256(digests),
    )
