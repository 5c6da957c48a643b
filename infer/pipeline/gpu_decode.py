"""`--decode gpu`: plain JPEGs are decoded and resampled on the GPU; all other files are left to the processor.

The decoder's pixels are within a few levels of Pillow's; `infer.pipeline.decoder_comparison` measures what that does
to answers.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

from infer.config import Tta
from infer.core.errors import ConfigError, DeviceError
from infer.images.archive import File, read_content
from infer.images.jpeg_header import Frame, plain_frame
from infer.images.parallel_map import THREADS
from infer.images.preprocess import PixelSpec, size_problem
from infer.images.tta import views_of
from infer.model.cuda import CUDA
from infer.model.session import Session
from infer.pipeline.batches import CHUNK, Read, read_each
from infer.pipeline.classify import specs_of
from infer.pipeline.gpu_resize import Resampler, only_resamples
from infer.pipeline.nvjpeg import Decoded, JpegDecoder

MOST_BYTES = 1 << 30
"""Of decoded images that lie on the GPU at once, for each lane."""
MOST_PIXELS = 40_000_000
"""Of an image; a larger one would take half a gigabyte and more of the GPU's memory while it is resized."""


class GpuReader:
    """Decodes files for some specs and views.

    Attributes:
        chunk: images that it is given at once, at most.
        lanes: threads that may call it at once: files of one batch are read, one is decoded, one is copied back.
        on_device: images that it has decoded there.
        elsewhere: images that were left to the processor.
    """

    chunk = 64
    lanes = 3

    def __init__(self, specs: Sequence[PixelSpec], tta: Tta, provider: str = CUDA) -> None:
        """Open the decoders. With the CPU's provider they decode on the processor, by the same calls.

        Raises:
            ConfigError: a model's pixels need steps that only the processor does.
            MissingExtraError: nvImageCodec is not installed.
            DeviceError: it cannot decode JPEGs on the GPU.
        """
        if not all(map(only_resamples, specs)):
            raise ConfigError(
                "--decode gpu resizes and crops, but this model's images are enhanced as well; choose --decode cpu"
            )
        self._specs, self._tta = tuple(specs), tta
        self._resampler = Resampler(provider)
        self._free: SimpleQueue[JpegDecoder] = SimpleQueue()
        for _ in range(self.lanes):
            self._free.put(JpegDecoder(provider))
        self._pool = ThreadPoolExecutor(THREADS, "read")
        self._counting = threading.Lock()
        self.count_anew()

    def count_anew(self) -> None:
        """Forget how many images were decoded so far."""
        self.on_device = self.elsewhere = 0

    def __call__(self, files: Sequence[File]) -> list[Read]:
        """What became of each file, in order. Raises DeviceError where the GPU fails."""
        decoder = self._free.get()
        found: dict[int, Read] = {}
        try:
            parts = self._pool.map(_sources, (files[at : at + CHUNK] for at in range(0, len(files), CHUNK)))
            every = enumerate(source for part in parts for source in part)
            for group in _groups({place: source for place, source in every if source}):
                images = decoder.decode([(source.content, source.frame) for source in group.values()])
                found |= self._views({place: image for place, image in zip(group, images, strict=True) if image})
                del images  # before the next group needs the device's memory
            rest = [place for place in range(len(files)) if place not in found]
            read = self._pool.map(lambda place: next(read_each(self._specs, self._tta, [files[place]])), rest)
            found |= zip(rest, read, strict=True)
        finally:
            self._free.put(decoder)
        with self._counting:
            self.on_device += len(files) - len(rest)
            self.elsewhere += len(rest)
        return [found[place] for place in range(len(files))]

    def told(self) -> str:
        """How many images were decoded where, for people."""
        other = f", {self.elsewhere} on the CPU (other formats, very large, or damaged)" if self.elsewhere else ""
        return f"decoded: {self.on_device} images on the GPU{other}"

    def _views(self, images: dict[int, Decoded]) -> dict[int, Read]:
        """The views of images, by place."""
        of_size: dict[tuple[int, int], list[int]] = {}
        for place, image in images.items():
            of_size.setdefault(image.shape, []).append(place)
        found: dict[int, Read] = {}
        for (height, width), places in of_size.items():
            pointers = [images[place].pointer for place in places]
            each = [self._resampler.canvases(pointers, height, width, spec) for spec in self._specs]
            for row, place in enumerate(places):
                found[place] = tuple(
                    views_of(canvases[row], spec, self._tta) for canvases, spec in zip(each, self._specs, strict=True)
                )
        return found


def open_reader(sessions: Sequence[Session], tta: Tta) -> GpuReader:
    """What decodes for these models on their GPU.

    Raises:
        DeviceError: they do not run on one, or it cannot decode JPEGs.
        ConfigError, MissingExtraError: as `GpuReader`.
    """
    for session in sessions:
        if session.provider != CUDA:
            why = session.reason or "the model was opened on the CPU"
            raise DeviceError(f"--decode gpu needs a GPU: {why}; or choose --decode cpu")
    return GpuReader(specs_of(sessions), tta, sessions[0].provider)


@dataclass(frozen=True)
class _Source:
    """A plain JPEG file."""

    content: bytes
    frame: Frame


def _sources(files: Sequence[File]) -> list[_Source | None]:
    return [_source(file) for file in files]


def _source(file: File) -> _Source | None:
    """A file that is a plain JPEG of a sensible size; None for any other, and where it cannot be read."""
    try:
        content = read_content(file)
    except (OSError, ValueError):
        return None
    frame = plain_frame(content)
    if frame is None or frame.width * frame.height > MOST_PIXELS or size_problem(frame.width, frame.height):
        return None
    return _Source(content, frame)


def _groups(sources: dict[int, _Source]) -> Iterator[dict[int, _Source]]:
    """So many at a time as the device has room for."""
    group: dict[int, _Source] = {}
    nbytes = 0
    for place, source in sources.items():
        size = 3 * source.frame.width * source.frame.height
        if group and nbytes + size > MOST_BYTES:
            yield group
            group, nbytes = {}, 0
        group[place] = source
        nbytes += size
    if group:
        yield group
