"""DICOM files as 8-bit RGB: compared with what pydicom's own lookup of rescaling and windows gives."""

import builtins
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.dicom_files import dicom_bytes, dicom_header, save_dicom, save_encapsulated
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from infer.core.errors import ImageError, MissingExtraError
from infer.dataset.image_facts import measure_image
from infer.images import decode
from infer.images.archive import list_members
from infer.images.listing import list_images
from infer.images.preprocess import PixelSpec, read_canvas, read_rgb
from infer.images.survey import survey

RANDOM = np.random.default_rng(0)


def values(bits: int, signed: bool = False) -> NDArray[Any]:
    """Stored values [9, 14] that reach both ends of their bits."""
    low = -(2 ** (bits - 1)) if signed else 0
    numbers = RANDOM.integers(low, low + 2**bits, (9, 14))
    numbers[0, :2] = low, low + 2**bits - 1
    return numbers.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2 if bits <= 16 else 4}")


def read_grey(path: str, window: str = "file") -> NDArray[np.uint8]:
    rgb = np.asarray(decode.decode(path, dicom_window=window)[0])
    assert (rgb == rgb[..., :1]).all()
    return rgb[..., 0]


def assert_levels(levels: NDArray[np.uint8], shares: NDArray[np.float64]) -> None:
    """Compare levels with shares of white, to half a level."""
    assert np.abs(levels - 255 * shares).max() <= 0.5 + 1e-9


def by_pydicom(header: Dataset, pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Shares of white by pydicom's modality and VOI lookups, scaled by the range that they are documented to have."""
    shown = apply_voi_lut(apply_modality_lut(pixels, header), header).astype(np.float64)
    low = -(2 ** (header.BitsStored - 1)) if header.PixelRepresentation else 0
    ends = np.array([low, low + 2**header.BitsStored - 1], dtype=np.float64)
    ends = ends * float(header.get("RescaleSlope", 1)) + float(header.get("RescaleIntercept", 0))
    shares = (shown - ends[0]) / (ends[1] - ends[0])
    return 1 - shares if header.PhotometricInterpretation == "MONOCHROME1" else shares


WINDOWS: dict[str, dict[str, Any]] = {
    "none": {},
    "linear": {"WindowCenter": 100, "WindowWidth": 90},
    "exact": {"WindowCenter": 100, "WindowWidth": 90, "VOILUTFunction": "LINEAR_EXACT"},
    "sigmoid": {"WindowCenter": 100, "WindowWidth": 90, "VOILUTFunction": "SIGMOID"},
    "the first of two": {"WindowCenter": [60, 100], "WindowWidth": [50, 10]},
    "threshold": {"WindowCenter": 100, "WindowWidth": 1},
}


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")  # pydicom's sigmoid
@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("bits", "signed"), [(8, False), (12, False), (16, False), (8, True), (12, True), (16, True)])
@pytest.mark.parametrize("rescale", [{}, {"RescaleSlope": 0.5, "RescaleIntercept": 20}])
def test_grey_values_are_those_of_pydicoms_lookups(
    window: dict[str, Any], kind: str, bits: int, signed: bool, rescale: dict[str, Any], tmp_path: Path
) -> None:
    pixels = values(bits, signed)
    more = {"PhotometricInterpretation": kind, "BitsStored": bits, **window, **rescale}
    path = save_dicom(tmp_path / "a.dcm", pixels, **more)
    assert_levels(read_grey(path), by_pydicom(dicom_header(pixels, **more), pixels))


def test_values_of_32_bits_are_read_like_others(tmp_path: Path) -> None:
    pixels = values(32)
    more = {"WindowCenter": 2**31, "WindowWidth": 2**30}
    path = save_dicom(tmp_path / "a.dcm", pixels, **more)
    assert_levels(read_grey(path), by_pydicom(dicom_header(pixels, **more), pixels))


def table(entries: list[int], first: int, bits: int, explanation: str = "") -> Sequence:
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [len(entries), first, bits], entries
    item.ModalityLUTType = item.LUTExplanation = explanation or "US"
    for name in ("LUTDescriptor", "LUTData"):
        item[name].VR = "US"
    return Sequence([item])


def test_a_voi_table_is_preferred_to_a_window(tmp_path: Path) -> None:
    pixels = values(12)
    entries = [int(entry) for entry in np.linspace(0, 1, 300) ** 2 * 4095]
    more = {"BitsStored": 12, "VOILUTSequence": table(entries, 1000, 12), "WindowCenter": 9, "WindowWidth": 9}
    path = save_dicom(tmp_path / "a.dcm", pixels, **more)
    shown = apply_voi_lut(pixels, dicom_header(pixels, **more)).astype(np.float64)
    assert_levels(read_grey(path), shown / 4095)


def test_a_modality_table_comes_before_the_window(tmp_path: Path) -> None:
    pixels = values(8)
    entries = [int(entry) for entry in RANDOM.integers(0, 1024, 200)]
    more = {"ModalityLUTSequence": table(entries, 20, 10), "WindowCenter": 500, "WindowWidth": 300}
    path = save_dicom(tmp_path / "a.dcm", pixels, **more)
    mapped = np.array(entries)[np.clip(pixels.astype(int) - 20, 0, 199)]
    assert_levels(read_grey(path), np.clip((mapped - 499.5) / 299 + 0.5, 0, 1))
    assert_levels(read_grey(path, "full"), mapped / 1023)


def test_a_negative_slope_turns_bright_to_dark(tmp_path: Path) -> None:
    pixels = values(8)
    path = save_dicom(tmp_path / "a.dcm", pixels, RescaleSlope=-2, RescaleIntercept=5)
    np.testing.assert_array_equal(read_grey(path), 255 - pixels)


@pytest.mark.parametrize("width", [0, 0.5, None])
def test_a_window_that_is_none_is_left_out(width: float | None, tmp_path: Path) -> None:
    pixels = values(8)
    path = save_dicom(tmp_path / "a.dcm", pixels, WindowCenter=40, WindowWidth=width)
    np.testing.assert_array_equal(read_grey(path), pixels)


def test_the_window_of_the_spec_replaces_that_of_the_file(tmp_path: Path) -> None:
    pixels = values(12, signed=True)
    path = save_dicom(tmp_path / "a.dcm", pixels, BitsStored=12, WindowCenter=9, WindowWidth=9)
    assert_levels(read_grey(path, "full"), (pixels + 2048) / 4095)
    header = dicom_header(pixels, BitsStored=12, WindowCenter=-600, WindowWidth=1500)
    assert_levels(read_grey(path, "-600/1500"), by_pydicom(header, pixels))
    canvases = []
    for window in ("file", "full", "-600/1500"):
        spec = PixelSpec(steps=(), canvas=(9, 14), window=(9, 14), reduced_decode=False, dicom_window=window)
        canvases.append(read_canvas(path, spec)[..., 0])
        np.testing.assert_array_equal(canvases[-1], read_grey(path, window))
    assert not np.array_equal(canvases[0], canvases[1])


def test_rescaling_and_window_of_enhanced_files_are_those_of_the_first_frame(tmp_path: Path) -> None:
    def groups(**parts: Dataset) -> Dataset:
        item = Dataset()
        for name, part in parts.items():
            setattr(item, name, Sequence([part]))
        return item

    rescale, window = Dataset(), Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 2, -100, "US"
    window.WindowCenter, window.WindowWidth = 150, 200
    first, second = values(8), values(8)
    path = save_dicom(
        tmp_path / "a.dcm",
        first,
        NumberOfFrames=2,
        PixelData=first.tobytes() + second.tobytes(),
        SharedFunctionalGroupsSequence=Sequence([groups(PixelValueTransformationSequence=rescale)]),
        PerFrameFunctionalGroupsSequence=Sequence([groups(FrameVOILUTSequence=window), Dataset()]),
    )
    assert_levels(read_grey(path), np.clip((first * 2.0 - 100 - 149.5) / 199 + 0.5, 0, 1))


def test_floating_point_values_need_a_window(tmp_path: Path) -> None:
    pixels = RANDOM.normal(0, 100, (6, 8)).astype(np.float32)
    header = dicom_header(pixels)
    for name in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(header, name)
    header.FloatPixelData = pixels.tobytes()
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(header))
    with pytest.raises(ImageError, match="no known range"):
        read_grey(str(tmp_path / "a.dcm"))
    assert_levels(read_grey(str(tmp_path / "a.dcm"), "0/101"), np.clip((pixels.astype(float) + 0.5) / 100 + 0.5, 0, 1))


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("colour", [False, True])
def test_compressed_pixels_are_those_of_the_uncompressed_file(syntax: str, colour: bool, tmp_path: Path) -> None:
    pixels = RANDOM.integers(0, 256, (40, 50, 3), dtype=np.uint8) if colour else RANDOM.integers(0, 4096, (40, 50))
    pixels = pixels if colour else pixels.astype(np.uint16)
    header = dicom_header(pixels, BitsStored=8 if colour else 12)
    header.compress(syntax)
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(header))
    plain = save_dicom(tmp_path / "b.dcm", pixels, BitsStored=8 if colour else 12)
    np.testing.assert_array_equal(read_rgb(str(tmp_path / "a.dcm")), read_rgb(plain))


def jpeg(size: tuple[int, int], mode: str = "L") -> bytes:
    content = io.BytesIO()
    gradient = Image.linear_gradient("L").resize(size)
    gradient.convert(mode).save(content, "JPEG", quality=95)
    return content.getvalue()


def test_a_jpeg_inside_is_what_pillow_decodes(tmp_path: Path) -> None:
    path = save_encapsulated(tmp_path / "a.dcm", jpeg((50, 40)), JPEGBaseline8Bit, np.zeros((40, 50), np.uint8))
    with Image.open(io.BytesIO(jpeg((50, 40)))) as expected:
        assert np.abs(read_grey(path).astype(int) - np.asarray(expected).astype(int)).max() <= 1


@pytest.mark.parametrize("keep", [0.5, 0.8, 0.95])
def test_a_file_that_ends_within_its_jpeg_is_refused(keep: float, tmp_path: Path) -> None:
    path = save_encapsulated(tmp_path / "a.dcm", jpeg((50, 40)), JPEGBaseline8Bit, np.zeros((40, 50), np.uint8))
    content = Path(path).read_bytes()
    start = content.index(b"\xff\xd8")
    Path(path).write_bytes(content[: start + int((len(content) - start) * keep)])
    with pytest.raises(ImageError, match="cut off"):
        read_rgb(path)


def test_single_bits_are_black_and_white(tmp_path: Path) -> None:
    pixels = RANDOM.integers(0, 2, (16, 16), dtype=np.uint8)
    packed = np.packbits(pixels, bitorder="little").tobytes()  # PS3.5, 8.1.1
    path = save_dicom(tmp_path / "a.dcm", pixels, BitsAllocated=1, BitsStored=1, PixelData=packed)
    np.testing.assert_array_equal(read_grey(path), 255 * pixels)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_picture_inside_of_another_size_than_the_headers_is_refused(mode: str, tmp_path: Path) -> None:
    size = (50, 41) if mode == "L" else (50, 40)
    path = save_encapsulated(tmp_path / "a.dcm", jpeg(size, mode), JPEGBaseline8Bit, np.zeros((40, 50), np.uint8))
    with pytest.raises(ImageError, match=r"header gives 50 x 40 pixels of 1 values, its picture 50 x 4[01] of [13]$"):
        read_rgb(path)


@pytest.mark.parametrize(("kind", "bits"), [("RGB", 8), ("RGB", 12), ("YBR_FULL", 8)])
def test_colours_become_rgb(kind: str, bits: int, tmp_path: Path) -> None:
    pixels = RANDOM.integers(0, 2**bits, (6, 8, 3)).astype(np.uint8 if bits == 8 else np.uint16)
    path = save_dicom(tmp_path / "a.dcm", pixels, PhotometricInterpretation=kind, BitsStored=bits)
    read = np.asarray(read_rgb(path))
    if kind == "RGB":
        assert_levels(read, pixels / (2**bits - 1))
    else:  # PS3.3, C.7.6.3.1.2
        y, cb, cr = np.moveaxis(pixels.astype(float), -1, 0)
        expected = [y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128)]
        assert np.abs(read - np.clip(np.stack(expected, -1), 0, 255)).max() <= 1


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_is_looked_up(bits: int, tmp_path: Path) -> None:
    palette = RANDOM.integers(0, 2**bits, (3, 256)).astype(f"u{bits // 8}")
    more: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, entries in zip(("Red", "Green", "Blue"), palette, strict=True):
        more[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        more[f"{colour}PaletteColorLookupTableData"] = entries.tobytes()
    pixels = values(8)
    path = save_dicom(tmp_path / "a.dcm", pixels, **more)
    assert_levels(np.asarray(read_rgb(path)), np.moveaxis(palette[:, pixels], 0, -1) / (2**bits - 1))


def test_the_first_frame_is_read_and_the_others_are_mentioned(tmp_path: Path) -> None:
    pixels = values(8)
    path = save_dicom(tmp_path / "a.dcm", pixels, NumberOfFrames=3, PixelData=pixels.tobytes() + bytes(2 * pixels.size))
    np.testing.assert_array_equal(read_grey(path), pixels)
    plain = save_dicom(tmp_path / "b.dcm", pixels, WindowCenter=40, WindowWidth=80)
    assert survey([path, plain]).notes(16) == [
        f"note: 1 of 2 images has more than one page or frame; the first is used ({path})",
        "note: 1 of 2 images is a DICOM file without a window; the whole range of their stored bits is used, which may "
        f"be dark; lab train --dicom-window CENTRE/WIDTH sets one ({path})",
    ]
    assert survey([path, plain]).notes(16, "40/400") == survey([path, plain]).notes(16)[:1]


@pytest.mark.parametrize("name", ["IM0001", "1.2.840.113619.2.5", "a.DCM", "a.dicom", "a.png"])
def test_files_are_known_by_their_first_bytes(name: str, tmp_path: Path) -> None:
    pixels = values(8)
    path = save_dicom(tmp_path / name, pixels)
    assert list_images(tmp_path) == [name]
    np.testing.assert_array_equal(read_grey(path), pixels)
    assert measure_image(path)["kind"] == "DICOM MONOCHROME2"


def test_the_index_of_a_disc_is_no_picture(tmp_path: Path) -> None:
    header = dicom_header(values(8))
    without_pixels(header)
    (tmp_path / "DICOMDIR").write_bytes(dicom_bytes(header))
    save_dicom(tmp_path / "IM1", values(8))
    assert list_images(tmp_path) == ["IM1"]


def test_a_dicom_file_whose_preamble_is_a_tiff_header_is_read_as_dicom(tmp_path: Path) -> None:
    pixels = values(8)
    path = Path(save_dicom(tmp_path / "a.dcm", pixels))
    path.write_bytes(b"II*\0\x08\0\0\0" + path.read_bytes()[8:])
    np.testing.assert_array_equal(read_grey(str(path)), pixels)


def test_another_picture_named_dcm_is_read_as_what_it_is(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6), (9, 8, 7)).save(tmp_path / "a.dcm", "PNG")
    assert (np.asarray(read_rgb(str(tmp_path / "a.dcm"))) == (9, 8, 7)).all()


def test_a_file_in_an_archive_is_read(tmp_path: Path) -> None:
    pixels = values(8)
    save_dicom(tmp_path / "a.dcm", pixels)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.dcm", "a.dcm")
    (member,) = list_members(tmp_path / "a.zip")
    np.testing.assert_array_equal(np.asarray(read_rgb(member))[..., 0], pixels)


@pytest.mark.parametrize(("rows", "columns"), [(9000, 9000), (65535, 65535), (10, 1001)])
def test_a_size_beyond_the_limits_is_refused_before_pixels_are_decoded(
    rows: int, columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pydicom.pixels.utils.pixel_array", None)
    path = save_dicom(tmp_path / "a.dcm", values(8), Rows=rows, Columns=columns)
    with pytest.raises(ImageError, match=rf"a\.dcm: {columns} x {rows} pixels, (more than 80 million|too thin)"):
        read_rgb(path)


@pytest.mark.parametrize("compress", [None, RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("keep", [0.3, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused_with_the_same_reason_each_time(
    compress: str | None, keep: float, tmp_path: Path
) -> None:
    header = dicom_header(RANDOM.integers(0, 4096, (40, 50)).astype(np.uint16), BitsStored=12)
    if compress:
        header.compress(compress)
    content = dicom_bytes(header)
    reasons = []
    for name in ("a.dcm", "b.dcm"):
        (tmp_path / name).write_bytes(content[: int(len(content) * keep)])
        with pytest.raises(ImageError) as caught:
            read_rgb(str(tmp_path / name))
        reasons.append(caught.value.reason)
    assert reasons[0] == reasons[1]
    assert "\n" not in reasons[0]
    assert str(tmp_path) not in reasons[0]


def without_pixels(header: Dataset) -> None:
    del header.PixelData


def deflated(header: Dataset) -> None:
    header.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"


def no_picture(header: Dataset) -> None:
    del header.Rows


def video(header: Dataset) -> None:
    header.PhotometricInterpretation = "HSV"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without_pixels, "no pixel data"),
        (deflated, "deflated DICOM is not read"),
        (no_picture, "no rows or columns"),
        (video, "of the kind HSV are not read"),
    ],
)
def test_what_is_not_read_is_named(change: Callable[[Dataset], None], reason: str, tmp_path: Path) -> None:
    header = dicom_header(values(8))
    change(header)
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(header))
    with pytest.raises(ImageError, match=reason):
        read_rgb(str(tmp_path / "a.dcm"))


def test_without_the_extra_the_file_and_the_extra_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_dicom(tmp_path / "a.dcm", values(8))
    plain_import = builtins.__import__

    def fail(name: str, *arguments: Any, **more: Any) -> Any:
        if name.startswith("pydicom"):
            raise ImportError(name)
        return plain_import(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(MissingExtraError, match=r"a\.dcm is DICOM, which needs pydicom; install it .*'\.\[dicom\]'"):
        read_rgb(path)
