"""`--decode gpu`: plain JPEGs are decoded by nvImageCodec and resampled on the GPU; all other files by the processor.

nvImageCodec (https://docs.nvidia.com/cuda/nvimagecodec) finds nvJPEG by itself. Its pixels are within a few levels of
Pillow's; `infer.decode_check` measures what that does to a model's answers.
"""

import contextlib
import ctypes
import io
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np
from PIL import Image

from infer.archive import File
from infer.config import Tta
from infer.cuda import CUDA
from infer.errors import ConfigError, DeviceError, MissingExtraError
from infer.jpeg import Frame, plain_frame
from infer.pixels import MAX_ASPECT, MAX_PIXELS, PixelSpec
from infer.resample import Resampler, only_resamples
from infer.ring import CHUNK, Read, read_each
from infer.views import views_of
from infer.workers import THREADS

MOST_BYTES = 1 << 30
"""Of decoded images that lie on the GPU at once, for each lane."""
OPTIONS = ":fancy_upsampling=1"
"""Colours between those that a file holds are interpolated, as Pillow's decoder does."""


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
        self._free: SimpleQueue[_Decoder] = SimpleQueue()
        for _ in range(self.lanes):
            self._free.put(_Decoder(provider))
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
                images = decoder.decode([source.content for source in group.values()])
                found |= self._views(dict(zip(group, images, strict=True)))
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
        other = f", {self.elsewhere} on the CPU: no plain JPEGs, or damaged" if self.elsewhere else ""
        return f"decoded: {self.on_device} images on the GPU{other}"

    def _views(self, images: dict[int, "_Decoded | None"]) -> dict[int, Read]:
        """The views of the images that were decoded, by place."""
        of_size: dict[tuple[int, int], list[int]] = {}
        for place, image in images.items():
            if image:
                of_size.setdefault(image.shape, []).append(place)
        found: dict[int, Read] = {}
        for (height, width), places in of_size.items():
            pointers = [image.pointer for place in places if (image := images[place])]
            each = [self._resampler.canvases(pointers, height, width, spec) for spec in self._specs]
            for row, place in enumerate(places):
                found[place] = tuple(
                    views_of(canvases[row], spec, self._tta) for canvases, spec in zip(each, self._specs, strict=True)
                )
        return found


@dataclass(frozen=True)
class _Source:
    """A plain JPEG file."""

    content: bytes
    frame: Frame


@dataclass(frozen=True)
class _Decoded:
    """Planes uint8 [3, height, width] on the device; they lie there as long as `owner` lives."""

    pointer: int
    shape: tuple[int, int]
    owner: Any


def _sources(files: Sequence[File]) -> list[_Source | None]:
    return [_source(file) for file in files]


def _source(file: File) -> _Source | None:
    """A file that is a plain JPEG of a sensible size; None for any other, and where it cannot be read."""
    try:
        with open(file, "rb") if isinstance(file, str) else file.open() as opened:
            content = opened.read()
    except (OSError, ValueError):
        return None
    frame = plain_frame(content)
    if frame is None or frame.width * frame.height > MAX_PIXELS:
        return None
    sides = frame.width, frame.height
    return _Source(content, frame) if max(sides) <= MAX_ASPECT * min(sides) else None


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


class _Decoder:
    """nvImageCodec's decoder of JPEGs, for one thread at a time."""

    def __init__(self, provider: str) -> None:
        self._on_gpu = provider == CUDA
        with _errors_kept() as said:
            try:
                os.environ.setdefault("PYNVIMGCODEC_VERBOSITY", "0")  # what it cannot decode, the processor will
                from nvidia import nvimgcodec
            except ImportError as error:
                raise MissingExtraError(
                    "--decode gpu needs nvImageCodec, which is not installed; pip install '.[nvjpeg]' in lab's folder"
                ) from error
            kinds = nvimgcodec.BackendKind
            allowed = [kinds.HW_GPU_ONLY, kinds.GPU_ONLY, kinds.HYBRID_CPU_GPU] if self._on_gpu else [kinds.CPU_ONLY]
            self._stream = nvimgcodec.CodeStream
            self._params = nvimgcodec.DecodeParams(
                apply_exif_orientation=False,
                color_spec=nvimgcodec.ColorSpec.SRGB,
                sample_format=nvimgcodec.SampleFormat.P_RGB,
            )
            try:
                self._decoder = nvimgcodec.Decoder(
                    device_id=0 if self._on_gpu else nvimgcodec.NVIMGCODEC_DEVICE_CPU_ONLY,
                    backends=[nvimgcodec.Backend(kind) for kind in allowed],
                    options=OPTIONS,
                )
                works = self.decode([_small_jpeg()])[0] is not None
            except RuntimeError as error:
                raise DeviceError(f"--decode gpu: nvImageCodec does not start: {error}; choose --decode cpu") from error
        if not works:
            why = next((f" ({line})" for line in said if "nvjpeg" in line.lower()), "")
            raise DeviceError(
                f"--decode gpu: nvImageCodec decodes no JPEG on this GPU{why}; "
                "run pip install '.[nvjpeg]' in lab's folder, or choose --decode cpu"
            )

    def decode(self, contents: Sequence[bytes]) -> list[_Decoded | None]:
        """Each image, or None where it is damaged. Raises DeviceError where the GPU fails."""
        try:
            images = self._decoder.decode([self._stream(content) for content in contents], params=self._params)
        except RuntimeError as error:
            what = str(error).partition("\n")[0]
            raise DeviceError(f"--decode gpu: {what}; give a smaller --batch-size, or choose --decode cpu") from error
        if self._on_gpu:
            _wait()
        return [self._decoded(image) if image is not None else None for image in images]

    def _decoded(self, image: Any) -> _Decoded | None:
        told = image.__cuda_array_interface__ if self._on_gpu else image.__array_interface__
        planes, height, width = told["shape"]
        whole = told["strides"] in (None, (height * width, width, 1))
        if planes != 3 or told["typestr"] != "|u1" or not whole:
            return None
        return _Decoded(told["data"][0], (height, width), image)


def _wait() -> None:
    """Until what was decoded on CUDA's default stream is there. Raises DeviceError."""
    driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    if code := driver.cuStreamSynchronize(None):
        raise DeviceError(f"--decode gpu: the GPU failed while it decoded (CUDA error {code}); choose --decode cpu")


@contextlib.contextmanager
def _errors_kept() -> Iterator[list[str]]:
    """What libraries write to standard error meanwhile, as lines once it is over: they tell of every missing one."""
    said: list[str] = []
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            said += file.read().decode(errors="replace").splitlines()


def _small_jpeg() -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.zeros((16, 16, 3), dtype=np.uint8)).save(content, "JPEG")
    return content.getvalue()
