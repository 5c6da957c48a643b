"""The parity gate for files that take whole images: their pixels are Pillow's, and their answers the network's."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from math import ceil
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image

from exporter.embed_resize import PIXELS
from exporter.gate_result import show_parity
from exporter.parity import Check, Parity, judge
from exporter.precisions import EXPORTS
from exporter.reference import Reference
from infer.core.arrays import Floats, Pixels
from infer.core.console import Screen
from infer.core.errors import ImageError, ModelError
from infer.images.decode import decode
from infer.images.parallel_map import read_ahead
from infer.images.preprocess import PixelSpec, image_window
from infer.model.image_session import ImageSession
from infer.model.input_kinds import IMAGE, INPUT_KINDS
from infer.model.onnx_session import open_onnx
from infer.model.pixel_parity import PixelParity
from infer.model.providers import CPU
from trainer.model.network import PixelNet

LEVELS = 1
"""How far a value may be from Pillow's, of 255: each rounds after both axes, the last place of a sum may differ, and
Pillow 13 resizes the axis first that becomes much shorter."""
LABELS = 0.01
"""Largest share of labels that may differ from those for Pillow's pixels, or one image where that is more."""
VARIED = 40
"""The number of images that are tried at another size as well."""
SHAPES = ((0.45, 0.6), (0.6, 0.45), (1.0, 1.9), (1.9, 1.0), (3.1, 4.3))
"""Height and width of these in turn, in windows: smaller ones, landscape and portrait, and larger ones."""
AHEAD = 8
"""Whole images decoded early; one may take 240 MB."""


class _Tally:
    """Differences of pixels, counted as images are compared."""

    def __init__(self) -> None:
        self.largest, self.differing, self.values, self.images = 0, 0, 0, 0
        self.sides: list[int] = []

    def add(self, image: Image.Image, pixels: Floats, wanted: Pixels) -> bool:
        """Count an image's differences; returns whether there are any."""
        difference = np.abs(pixels - wanted)
        self.largest = max(self.largest, ceil(difference.max()))
        self.differing += int((difference > 0).sum())
        self.values, self.images = self.values + difference.size, self.images + 1
        self.sides += image.size
        return bool(difference.any())

    def result(self, labels_differ: int) -> PixelParity:
        """The differences of all images so far."""
        share = self.differing / self.values
        return PixelParity(self.images, min(self.sides), max(self.sides), self.largest, share, labels_differ)


class _ImageRun:
    """Outputs of a file for whole images, and the network's for the pixels that the file makes of them."""

    def __init__(self, file: Path, network: PixelNet, spec: PixelSpec, tally: _Tally) -> None:
        """Open the file. Raises ModelError."""
        self.session, self.network, self.spec, self.tally = ImageSession(file), network, spec, tally
        self._front = open_onnx(front_of(file), CPU, None, CPU.default_options("fp32"))
        self.outputs: list[tuple[Floats, Floats, Floats]] = []

    def add(self, image: Image.Image, known: Floats | None = None) -> None:
        """Run an image; `known` is the network's logits [1, K] for Pillow's pixels, computed before."""
        whole = np.asarray(image, dtype=np.uint8)
        pixels = self._front.run([PIXELS], {INPUT_KINDS[IMAGE].name: whole})[0]
        wanted = image_window(image, self.spec)[None]
        if self.tally.add(image, pixels, wanted) or known is None:
            with torch.inference_mode():
                known = self.network(torch.from_numpy(pixels))[0].numpy()
        self.outputs.append((*self.session.run_image(whole), known))

    def check(self, truth: Sequence[int], magnitude: float, with_labels: bool) -> Check:
        """Judge the outputs of all images by the rule of the file's precision."""
        logits, probabilities, expected = (np.concatenate(part) for part in zip(*self.outputs, strict=True))
        card = self.session.card
        rule, labels = EXPORTS[card.precision].rule, np.asarray(truth)
        provider = self.session.provider
        precision = provider.computes.get(card.precision, "")
        check = Check(provider.name, 1, len(labels), (), runtime=provider.library, runtime_precision=precision)
        return judge(check, rule, card.temperature, expected, logits, probabilities, labels, magnitude, with_labels)


def require_image_parity(
    file: Path, network: PixelNet, reference: Reference, screen: Screen, consequence: str
) -> Parity:
    """Run the gate and show its result. Raises ParityError, which ends with `consequence`, where it does not pass."""
    with screen.bar("gate", len(reference.files)) as bar:
        parity = run_image_gate(file, network, reference, bar.step)
    return show_parity(parity, file, reference, screen, consequence)


def run_image_gate(
    file: Path, network: PixelNet, reference: Reference, on_progress: Callable[[int], None] = lambda count: None
) -> Parity:
    """Compare a file's pixels with Pillow's, and its outputs with the network's, on whole images of several sizes.

    Args:
        file: takes whole images.
        network: in float32 and evaluation mode, on the CPU.
        reference: n images and the network's outputs, without reduced decoding.
        on_progress: receives the number of images that are finished.

    Raises:
        ModelError: the file cannot be opened, or cannot run an image.
        ImageError: an image can no longer be read.
    """
    tally, spec = _Tally(), reference.spec
    whole, varied = (_ImageRun(file, network, spec, tally) for _ in range(2))
    for row, image in enumerate(_decoded(reference)):
        whole.add(image, reference.logits[row : row + 1])
        if row < VARIED:
            height, width = SHAPES[row % len(SHAPES)]
            size = round(width * spec.window[1]), round(height * spec.window[0])
            varied.add(image.resize(size, Image.Resampling.BICUBIC))
        on_progress(row + 1)
    check = whole.check(reference.truth.tolist(), reference.magnitude, with_labels=True)
    others = varied.check(reference.truth[:VARIED].tolist(), reference.magnitude, with_labels=False)
    labels = np.concatenate([logits for logits, _, _ in whole.outputs]).argmax(axis=1)
    pixels = tally.result(int((labels != reference.logits.argmax(axis=1)).sum()))
    check = replace(check, failures=(*check.failures, *_pixel_failures(pixels, len(reference.files))))
    card = whole.session.card
    return Parity(
        precision=card.precision,
        opset=card.opset or 0,
        images=len(reference.files),
        unreadable=len(reference.unreadable),
        images_sha256=reference.images_sha256,
        checks=(check, others),
        rule=EXPORTS[card.precision].rule.to_json(),
        pixels=pixels,
    )


def sample_outputs(file: Path, reference: Reference, count: int) -> tuple[Floats, Floats]:
    """Logits and probabilities, [n, K] each, of a file for the first `count` whole images. Raises ModelError."""
    session = ImageSession(file)
    rows = [session.run_image(np.asarray(image)) for image in islice(_decoded(reference), count)]
    logits, probabilities = (np.concatenate(part) for part in zip(*rows, strict=True))
    return logits, probabilities


def front_of(file: Path) -> bytes:
    """The part of a file that makes the network's pixels, as a model with the output PIXELS. Raises ModelError."""
    model = onnx.load(file)
    graph = model.graph
    ends = [number for number, node in enumerate(graph.node) if PIXELS in node.output]
    if not ends:
        raise ModelError(f"{file} has no resize in its graph, although its card says so; export it again")
    del graph.node[ends[0] + 1 :]
    used = {name for node in graph.node for name in node.input}
    for tensor in [item for item in graph.initializer if item.name not in used]:
        graph.initializer.remove(tensor)
    del graph.output[:]
    graph.output.append(onnx.helper.make_tensor_value_info(PIXELS, onnx.TensorProto.FLOAT, None))
    content: bytes = model.SerializeToString()
    return content


def _decoded(reference: Reference) -> Iterator[Image.Image]:
    """The gate's images at full size. Raises ImageError."""
    spec = reference.spec
    for image in read_ahead(
        reference.files, lambda file: decode(file, spec.bits, None, spec.dicom_window)[0], ahead=AHEAD
    ):
        if isinstance(image, ImageError):  # it could be read a moment ago
            raise image
        yield image


def _pixel_failures(pixels: PixelParity, count: int) -> list[str]:
    failures = []
    if pixels.largest > LEVELS:
        failures.append(f"pixels differ from Pillow's by up to {pixels.largest} levels, allowed is {LEVELS}")
    if pixels.labels_differ > max(1, LABELS * count):
        failures.append(f"{pixels.labels_differ} of {count} labels differ from those for Pillow's pixels")
    return failures
