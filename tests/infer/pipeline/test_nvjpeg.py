"""nvImageCodec's decoder: what it decodes, declines and needs. In most tests it decodes on the CPU."""

import copy
import io
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import infer.pipeline.nvjpeg
from infer.core.errors import DeviceError, MissingExtraError
from infer.images.jpeg_header import Frame, plain_frame
from infer.model.providers import CPU, CUDA
from infer.pipeline.nvjpeg import JpegDecoder

pytest.importorskip("nvidia.nvimgcodec", reason="nvImageCodec is not installed")


def jpeg(width: int, height: int) -> bytes:
    coarse = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(coarse).resize((width, height)).save(content, "JPEG")
    return content.getvalue()


@pytest.fixture(scope="module")
def decoder() -> JpegDecoder:
    return JpegDecoder(CPU)


def test_planes_are_those_of_pillow_and_lie_one_after_the_other(decoder: JpegDecoder) -> None:
    content = jpeg(61, 45)
    frame = plain_frame(content)
    assert frame is not None
    (found,) = decoder.decode([(content, frame)])
    assert found is not None
    assert found.shape == (45, 61)
    planes = np.asarray(found.owner)
    assert planes.ctypes.data == found.pointer
    np.testing.assert_array_equal(planes.transpose(1, 2, 0), np.asarray(Image.open(io.BytesIO(content))))


def test_only_the_file_that_it_cannot_decode_is_declined(decoder: JpegDecoder) -> None:
    good = jpeg(20, 10), Frame(20, 10)
    bad = [(b"no image", Frame(20, 10)), (b"", Frame(1, 1)), (jpeg(20, 10)[:-300], Frame(20, 10))]
    assert [item is None for item in decoder.decode([good, *bad, good])] == [False, True, True, True, False]


def test_an_image_whose_layout_is_not_that_of_its_header_is_declined(decoder: JpegDecoder) -> None:
    (found,) = decoder.decode([(jpeg(20, 10), Frame(20, 11))])
    assert found is None
    planes = np.zeros((3, 47, 60), dtype=np.uint8)
    layout = planes.__array_interface__
    assert decoder._checked(SimpleNamespace(__array_interface__=layout), Frame(60, 47)) is not None
    for changed in ({"strides": (64 * 47, 64, 1)}, {"shape": (1, 47, 60)}, {"typestr": "<u2"}):
        image = SimpleNamespace(__array_interface__={**layout, **changed})
        assert decoder._checked(image, Frame(60, 47)) is None


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nvidia", None)
    with pytest.raises(MissingExtraError, match=r"pip install '.\[nvjpeg\]'"):
        JpegDecoder(CPU)


def test_a_decoder_that_cannot_decode_jpegs_is_an_error_with_the_message_of_the_library(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    library = infer.pipeline.nvjpeg._import()

    def imported() -> object:
        os.write(2, b"Failed to load nvjpeg library!\n")
        return library

    monkeypatch.setattr(infer.pipeline.nvjpeg, "_import", imported)
    monkeypatch.setattr(infer.pipeline.nvjpeg, "_small_jpeg", lambda: (b"\xff\xd8 no jpeg \xff\xd9", Frame(16, 16)))
    with pytest.raises(DeviceError, match=r"\(Failed to load nvjpeg library!\); .*choose --decode cpu"):
        JpegDecoder(CPU)
    assert capfd.readouterr().err == ""


def test_it_opens_where_there_is_no_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(number: int) -> int:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(os, "dup", closed)
    JpegDecoder(CPU)


def test_without_a_gpu_it_says_so() -> None:
    with pytest.raises(DeviceError, match="nvImageCodec does not start"):
        JpegDecoder(CUDA)


class Lane:
    """A CUDA stream that counts how often it is waited for."""

    handle = 99

    def __init__(self) -> None:
        self.waited = 0

    def wait(self) -> None:
        self.waited += 1


def test_a_gpu_decodes_on_a_stream_of_its_own_and_waits_for_that_alone(decoder: JpegDecoder) -> None:
    lane, streams = Lane(), []
    image = decoder.decode([(jpeg(20, 10), Frame(20, 10))])[0]
    own = copy.copy(decoder)
    own._work = lane  # type: ignore[assignment]
    own._decoder = SimpleNamespace(
        decode=lambda sources, params, cuda_stream: streams.append(cuda_stream) or [image.owner for _ in sources]  # type: ignore[union-attr]
    )
    assert [item is None for item in own.decode([(jpeg(20, 10), Frame(20, 10)), (b"no image", Frame(1, 1))])] == [
        False,
        True,
    ]
    assert (streams, lane.waited) == ([99], 1)


def test_a_call_in_which_no_file_is_an_image_asks_nothing_of_the_device(decoder: JpegDecoder) -> None:
    def finds_no_image(content: bytes) -> object:
        raise RuntimeError("Unsupported")

    own, lane = copy.copy(decoder), Lane()
    own._work, own._decoder, own._stream = lane, None, finds_no_image  # type: ignore[assignment]
    assert own.decode([(b"", Frame(1, 1)), (b"", Frame(2, 1))]) == [None, None]
    assert lane.waited == 0


def test_the_load_hint_is_for_the_gpus_jpeg_engine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    library, hints = infer.pipeline.nvjpeg._import(), []
    fake = SimpleNamespace(
        **{name: getattr(library, name) for name in dir(library) if name not in ("Backend", "Decoder")},
        Backend=lambda kind, hint: hints.append((kind, hint)),
        Decoder=lambda **_: (_ for _ in ()).throw(RuntimeError("no GPU")),
    )
    monkeypatch.setattr(infer.pipeline.nvjpeg, "_import", lambda: fake)
    with pytest.raises(DeviceError, match="nvImageCodec does not start: no GPU"):
        JpegDecoder(CUDA, 0.25)
    kinds = library.BackendKind
    assert hints == [(kinds.HW_GPU_ONLY, 0.25), (kinds.GPU_ONLY, 1.0), (kinds.HYBRID_CPU_GPU, 1.0)]
