"""`--decode gpu`: plain JPEGs are decoded and resized on the GPU; all other files are decoded on the CPU.

The decoder's pixels are within a few levels of Pillow's; `infer.pipeline.decoder_comparison` measures how that changes
predictions.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

from infer.config import Tta
from infer.core.errors import ConfigError, DeviceError, ImageError
from infer.images.archive import File, read_content
from infer.images.decode import size_problem
from infer.images.jpeg_header import Frame, plain_frame
from infer.images.parallel_map import THREADS
from infer.images.preprocess import PixelSpec
from infer.images.tta import CROPS, views_of
from infer.model.providers import CUDA, Provider
from infer.model.session import Session
from infer.pipeline.batches import CPU_CHUNK, CpuDecoder, Decoder, Views
from infer.pipeline.classify import pixel_specs
from infer.pipeline.gpu_resize import Resampler, only_resamples, window_only
from infer.pipeline.nvjpeg import LOAD_HINT, DeviceImage, JpegDecoder

GPU_CHUNK = 64
"""The most files that the GPU decodes in one call."""
MAX_BYTES = 1 << 30
"""Decoded images on the GPU at the same time, for each worker."""
MAX_PIXELS = 40_000_000
"""A larger image would take half a gigabyte or more of the GPU's memory while it is resized."""


class GpuDecoder(Decoder):
    """Decodes plain JPEGs on the GPU, and other files on the CPU.

    Attributes:
        on_gpu: the number of images decoded on the GPU so far.
        on_cpu: the number of images decoded on the CPU so far.
    """

    workers = 3  # files of one batch are read, one batch is decoded, one is copied back

    def __init__(
        self, specs: Sequence[PixelSpec], tta: Tta, provider: Provider = CUDA, load_hint: float = LOAD_HINT
    ) -> None:
        """Open the decoders. With the CPU's provider the same calls decode on the CPU; `load_hint` as in JpegDecoder.

        Raises:
            ConfigError: a model's pixel spec has steps that only the CPU does.
            MissingExtraError: nvImageCodec is not installed.
            DeviceError: it cannot decode JPEGs on the GPU.
        """
        if not all(map(only_resamples, specs)):
            raise ConfigError(
                "--decode gpu resizes and crops, but this model's images are enhanced as well; choose --decode cpu"
            )
        super().__init__(specs, tta)
        self._cpu = CpuDecoder(specs, tta, count=1, workers=1)
        # only crops need more of the canvas than its window: copy no more from the device
        self._device_specs = [spec if tta in CROPS else window_only(spec) for spec in self.specs]
        self._resampler = Resampler(provider)
        self._free: SimpleQueue[JpegDecoder] = SimpleQueue()
        for _ in range(self.workers):
            self._free.put(JpegDecoder(provider, load_hint))
        self._pool = ThreadPoolExecutor(THREADS, "read")
        self._counting = threading.Lock()
        self.reset_counts()

    def reset_counts(self) -> None:
        """Set the numbers of decoded images to 0."""
        self.on_gpu = self.on_cpu = 0

    def chunk(self, batch_size: int) -> int:
        """A batch is decoded whole, up to GPU_CHUNK images."""
        return min(GPU_CHUNK, batch_size)

    def decode(self, files: Sequence[File]) -> list[Views | ImageError]:
        """Decode each file, in order; an unreadable file gives its error. Raises DeviceError where the GPU fails."""
        decoded = self._decode_on_gpu(files)
        rest = [index for index in range(len(files)) if index not in decoded]
        with self._counting:
            self.on_gpu += len(decoded)
            self.on_cpu += len(rest)
        on_cpu = dict(zip(rest, self._pool.map(self._cpu.decode_file, [files[index] for index in rest]), strict=True))
        return [on_cpu[index] if index in on_cpu else decoded[index] for index in range(len(files))]

    def summary(self) -> str:
        """A line for the user: the number of images decoded on each device."""
        other = f", {self.on_cpu} on the CPU (other formats, very large, or damaged)" if self.on_cpu else ""
        return f"decoded: {self.on_gpu} images on the GPU{other}"

    def _decode_on_gpu(self, files: Sequence[File]) -> dict[int, Views]:
        """The views of the files that the GPU can decode, by their index."""
        decoder = self._free.get()
        decoded: dict[int, Views] = {}
        try:
            parts = self._pool.map(_read_jpegs, (files[i : i + CPU_CHUNK] for i in range(0, len(files), CPU_CHUNK)))
            jpegs = enumerate(jpeg for part in parts for jpeg in part)
            for group in _groups({index: jpeg for index, jpeg in jpegs if jpeg}):
                images = decoder.decode([(jpeg.content, jpeg.frame) for jpeg in group.values()])
                decoded |= self._views({index: image for index, image in zip(group, images, strict=True) if image})
                del images  # before the next group needs the device's memory
        finally:
            self._free.put(decoder)
        return decoded

    def _views(self, images: dict[int, DeviceImage]) -> dict[int, Views]:
        """Resize and crop decoded images, those of one size together; views by the images' index."""
        by_size: dict[tuple[int, int], list[int]] = {}
        for index, image in images.items():
            by_size.setdefault(image.shape, []).append(index)
        views: dict[int, Views] = {}
        for (height, width), indices in by_size.items():
            pointers = [images[index].pointer for index in indices]
            canvases = [self._resampler.canvases(pointers, height, width, spec) for spec in self._device_specs]
            for row, index in enumerate(indices):
                pairs = zip(canvases, self._device_specs, strict=True)
                views[index] = tuple(views_of(of_spec[row], spec, self.tta) for of_spec, spec in pairs)
        return views


def open_gpu_decoder(sessions: Sequence[Session], tta: Tta) -> GpuDecoder:
    """Open the decoder for these models, on their GPU.

    Raises:
        DeviceError: they do not run on one, or it cannot decode JPEGs.
        ConfigError, MissingExtraError: as `GpuDecoder`.
    """
    for session in sessions:
        if session.provider.memory != CUDA.memory:
            why = session.reason or "the model was opened on the CPU"
            raise DeviceError(f"--decode gpu needs a GPU: {why}; or choose --decode cpu")
    return GpuDecoder(pixel_specs(sessions), tta, sessions[0].provider)


@dataclass(frozen=True)
class _Jpeg:
    """The content of a plain JPEG file."""

    content: bytes
    frame: Frame


def _read_jpegs(files: Sequence[File]) -> list[_Jpeg | None]:
    return [_read_jpeg(file) for file in files]


def _read_jpeg(file: File) -> _Jpeg | None:
    """Read a plain JPEG that the GPU has memory for; None where the file is anything else, or cannot be read."""
    try:
        content = read_content(file)
    except (OSError, ValueError):
        return None
    frame = plain_frame(content)
    if frame is None or frame.width * frame.height > MAX_PIXELS or size_problem(frame.width, frame.height):
        return None
    return _Jpeg(content, frame)


def _groups(jpegs: dict[int, _Jpeg]) -> Iterator[dict[int, _Jpeg]]:
    """Groups of images that take at most MAX_BYTES once decoded, or of a single one."""
    group: dict[int, _Jpeg] = {}
    nbytes = 0
    for index, jpeg in jpegs.items():
        size = 3 * jpeg.frame.width * jpeg.frame.height
        if group and nbytes + size > MAX_BYTES:
            yield group
            group, nbytes = {}, 0
        group[index] = jpeg
        nbytes += size
    if group:
        yield group
