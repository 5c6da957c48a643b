"""JPEGs decoded into a GPU's memory by nvImageCodec (https://docs.nvidia.com/cuda/nvimagecodec), which uses nvJPEG."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from infer.core.console import captured_stderr
from infer.core.errors import DeviceError, MissingExtraError
from infer.images.jpeg_header import Frame
from infer.model.cuda_driver import Stream
from infer.model.providers import Provider

OPTIONS = ":fancy_upsampling=1"
"""Subsampled chroma is interpolated, as in Pillow's decoder, rather than repeated."""
LOAD_HINT = 1.0
"""nvImageCodec's own default; bench/gpu_day.py measures others."""


@dataclass(frozen=True)
class DeviceImage:
    """A decoded image, planes uint8 [3, height, width] in the device's memory."""

    pointer: int
    shape: tuple[int, int]
    """Height and width."""
    owner: Any
    """The memory is freed with this object."""


class JpegDecoder:
    """nvImageCodec's decoder of JPEGs, for one thread at a time."""

    def __init__(self, provider: Provider, load_hint: float = LOAD_HINT) -> None:
        """Open the decoder; with the CPU's provider it decodes on the CPU.

        Args:
            provider: where images are decoded.
            load_hint: the share of a batch, 0 to 1, for the GPU's own JPEG engine where it has one; a hint alone.

        Raises:
            MissingExtraError: nvImageCodec is not installed.
            DeviceError: it cannot decode JPEGs there.
        """
        self._on_gpu = provider.memory == "cuda"
        self._work: Stream | None = None
        with captured_stderr() as messages:
            nvimgcodec = _import()
            kind = nvimgcodec.BackendKind
            kinds = [kind.HW_GPU_ONLY, kind.GPU_ONLY, kind.HYBRID_CPU_GPU] if self._on_gpu else [kind.CPU_ONLY]
            hints = {kind.HW_GPU_ONLY: load_hint}
            self._stream = nvimgcodec.CodeStream
            self._params = nvimgcodec.DecodeParams(
                apply_exif_orientation=False,
                color_spec=nvimgcodec.ColorSpec.SRGB,
                sample_format=nvimgcodec.SampleFormat.P_RGB,
            )
            try:
                self._decoder = nvimgcodec.Decoder(
                    device_id=0 if self._on_gpu else nvimgcodec.NVIMGCODEC_DEVICE_CPU_ONLY,
                    backends=[nvimgcodec.Backend(each, hints.get(each, 1.0)) for each in kinds],
                    options=OPTIONS,
                )
                # a stream of its own: on CUDA's default stream, decoders and runs would wait for each other
                self._work = Stream() if self._on_gpu else None
                works = self.decode([_small_jpeg()])[0] is not None
            except RuntimeError as error:
                raise DeviceError(f"--decode gpu: nvImageCodec does not start: {error}; choose --decode cpu") from error
        if not works:
            why = next((f" ({line})" for line in messages if "nvjpeg" in line.lower()), "")
            raise DeviceError(
                f"--decode gpu: nvImageCodec cannot decode JPEGs on this GPU{why}; "
                "run pip install '.[nvjpeg]' in lab's folder, or choose --decode cpu"
            )

    def decode(self, sources: Sequence[tuple[bytes, Frame]]) -> list[DeviceImage | None]:
        """Decode files, given by content and frame; None where the decoder cannot decode one.

        Raises:
            DeviceError: the GPU fails.
        """
        opened = {index: stream for index, (content, _) in enumerate(sources) if (stream := self._opened(content))}
        if not opened:
            return [None] * len(sources)
        on_stream = {"cuda_stream": self._work.handle} if self._work else {}
        try:
            decoded = self._decoder.decode([*opened.values()], params=self._params, **on_stream)
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise DeviceError(f"--decode gpu: {reason}; give a smaller --batch-size, or choose --decode cpu") from error
        if self._work:
            self._work.wait()
        images = dict(zip(opened, decoded, strict=True))
        return [self._checked(images.get(index), frame) for index, (_, frame) in enumerate(sources)]

    def _opened(self, content: bytes) -> Any:
        try:
            return self._stream(content)
        except RuntimeError:  # it finds no image in the content
            return None

    def _checked(self, image: Any, frame: Frame) -> DeviceImage | None:
        """The image, where its layout is the one that the file's header promises; otherwise None."""
        if image is None:
            return None
        layout = image.__cuda_array_interface__ if self._on_gpu else image.__array_interface__
        height, width = frame.height, frame.width
        contiguous = layout["strides"] in (None, (height * width, width, 1))
        if layout["shape"] != (3, height, width) or layout["typestr"] != "|u1" or not contiguous:
            return None
        return DeviceImage(layout["data"][0], (height, width), image)


def _import() -> Any:
    """Import nvImageCodec. Raises MissingExtraError."""
    os.environ.setdefault("PYNVIMGCODEC_VERBOSITY", "0")  # the CPU decodes what it cannot decode
    try:
        from nvidia import nvimgcodec
    except ImportError as error:
        raise MissingExtraError(
            f"--decode gpu needs nvImageCodec, which is not installed ({error}); "
            "run pip install '.[nvjpeg]' in lab's folder"
        ) from error
    return nvimgcodec


def _small_jpeg() -> tuple[bytes, Frame]:
    content = io.BytesIO()
    Image.fromarray(np.zeros((16, 16, 3), dtype=np.uint8)).save(content, "JPEG")
    return content.getvalue(), Frame(16, 16)


def decoder_version() -> str:
    """The version of nvImageCodec. Raises MissingExtraError."""
    return str(_import().__version__)
