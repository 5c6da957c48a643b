"""The network's own outputs for the gate's images, and how large the values inside it become."""

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
"""Images per batch of the network."""


@dataclass(frozen=True)
class Reference:
    """Images and the network's outputs for them; n > 0 of each."""

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
    """Over the evaluation views, in any order: shows whether two gates saw the same pixels."""

    def views(self) -> Iterator[Pixels]:
        """The evaluation view of each image, by the pixel path of prediction. Raises ImageError."""
        for view in read_ahead(self.files, self._read):
            if isinstance(view, ImageError):  # it could be read a moment ago
                raise view
            yield view

    def take(self, rows: Sequence[int]) -> "Reference":
        """The reference of these images only; its `images_sha256` is still that of all."""
        files = tuple(self.files[row] for row in rows)
        return replace(self, files=files, truth=self.truth[list(rows)], logits=self.logits[list(rows)])

    def first_views(self, count: int) -> Pixels:
        """The evaluation views of the first `count` images, or of all where there are fewer: uint8 [n, H, W, 3]."""
        return np.stack(list(self.take(range(min(count, len(self.files)))).views()))

    def _read(self, file: File) -> Pixels:
        return read_window(file, self.spec)


class RangeWatch:
    """Records the largest magnitude of every value that a network computes in its backbone.

    Attributes:
        maxima: the largest magnitude by layer, in the order of computation; a sum is named after its block.
    """

    def __init__(self, network: PixelNet) -> None:
        """`network`: with batch normalisation folded, in float32."""
        self.network = network
        self.maxima: dict[str, float] = {}
        network.backbone.register_forward_pre_hook(self._input_hook("the normalised pixels"))
        for name, module in network.backbone.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(self._output_hook(name))
                self.maxima[f"the weights of {name}"] = max(float(w.detach().abs().max()) for w in module.parameters())
            elif isinstance(module, nn.ReLU):  # its input is a convolution's result, or the sum with the shortcut
                block = name.rpartition(".")[0]
                module.register_forward_pre_hook(self._input_hook(f"the sum in {block}" if block else "conv1"))

    def run(self, batch: Tensor) -> None:
        """Run a batch of uint8 images [n, H, W, 3] and record its values."""
        self.network(batch)

    def problem(self, limit: float) -> str:
        """The first layer whose values exceed a limit, for people; "" where none does."""
        for name, value in self.maxima.items():
            if not value <= limit:  # NaN exceeds it too
                return f"{name} reaches {value:,.0f}, the limit is {limit:,.0f}"
        return ""

    def _output_hook(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _, __, output: self._record(name, output)

    def _input_hook(self, name: str) -> Callable[[nn.Module, tuple[Tensor]], None]:
        return lambda _, inputs: self._record(name, inputs[0])

    def _record(self, name: str, values: Tensor) -> None:
        largest = float(values.abs().max())
        self.maxima[name] = max(self.maxima.get(name, 0.0), largest) if largest == largest else largest


@torch.inference_mode()
def compute_reference(
    network: PixelNet,
    files: Sequence[str],
    truth: NDArray[np.int64],
    spec: PixelSpec,
    watch: RangeWatch | None = None,
    on_progress: Callable[[int], None] = lambda count: None,
) -> Reference:
    """Run the network on the images that can be read.

    Args:
        network: in float32 and evaluation mode, on the CPU.
        files: n paths.
        truth: [n] class index.
        spec: how a file becomes the network's input.
        watch: runs every image as well.
        on_progress: receives the number of images that are finished.

    Raises:
        DataError: half of the images or more cannot be read.
    """
    readable: list[int] = []
    logits: list[Floats] = []
    digests: list[bytes] = []
    unreadable: list[ImageError] = []
    with _LogitMagnitude(network) as magnitude:
        for rows, views in _batches(files, spec, unreadable, on_progress):
            batch = torch.from_numpy(np.stack(views))
            logits.append(np.asarray(network(batch)[0].numpy(), dtype=np.float32))
            if watch:
                watch.run(batch)
            readable += rows
            digests += [view_digest(view) for view in views]
    if len(unreadable) >= len(readable):
        names = listed([str(error) for error in unreadable], 3)
        raise DataError(
            f"{len(unreadable)} of {len(files)} images for the gate cannot be read: {names}; name their folder "
            "with --data"
        )
    return Reference(
        files=tuple(files[row] for row in readable),
        truth=truth[readable],
        logits=np.concatenate(logits),
        magnitude=magnitude.largest,
        spec=spec,
        unreadable=tuple(unreadable),
        images_sha256=images_sha256(digests),
    )


def _batches(
    files: Sequence[str], spec: PixelSpec, unreadable: list[ImageError], on_progress: Callable[[int], None]
) -> Iterator[tuple[list[int], list[Pixels]]]:
    """Yield rows and views of up to BATCH readable images at a time; errors of the others are added to `unreadable`."""
    views = enumerate(read_ahead(files, lambda file: read_window(file, spec)))
    while chunk := list(islice(views, BATCH)):
        on_progress(chunk[-1][0] + 1)
        unreadable += [view for _, view in chunk if isinstance(view, ImageError)]
        good = [(row, view) for row, view in chunk if not isinstance(view, ImageError)]
        if good:
            yield [row for row, _ in good], [view for _, view in good]


class _LogitMagnitude:
    """While open, records the largest sum of |weight * feature| + |bias| behind a logit of a network."""

    def __init__(self, network: PixelNet) -> None:
        self.head, self.largest = network.backbone.head, 0.0

    def __enter__(self) -> "_LogitMagnitude":
        self.hook = self.head.register_forward_pre_hook(self._measure)
        return self

    def __exit__(self, *_: object) -> None:
        self.hook.remove()

    def _measure(self, _: nn.Module, inputs: tuple[Tensor]) -> None:
        sums = nn.functional.linear(inputs[0].abs(), self.head.weight.abs(), self.head.bias.abs())
        self.largest = max(self.largest, float(sums.max()))
