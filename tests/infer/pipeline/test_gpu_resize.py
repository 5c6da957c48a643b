"""Resizing on a device gives Pillow's pixels, to within one level of 255."""

import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import infer.pipeline.gpu_resize
from infer.images.enhance import MeanFilter
from infer.images.preprocess import (
    CenterCrop,
    PixelSpec,
    Resize,
    ResizeLonger,
    ResizeShorter,
    Step,
    centre_window,
    read_canvas,
)
from infer.model.providers import CPU
from infer.pipeline.gpu_resize import (
    GROUPS,
    Resampler,
    axis_lengths,
    axis_matrix,
    graph,
    only_resamples,
    window_only,
)


def spec(*steps: Step, canvas: tuple[int, int] = (40, 40)) -> PixelSpec:
    return PixelSpec(steps=steps, canvas=canvas, window=(32, 32), reduced_decode=False)


SPECS = {
    "shorter side, smaller": spec(ResizeShorter(40)),
    "shorter side, larger": spec(ResizeShorter(150), canvas=(140, 150)),
    "longer side, with black": spec(ResizeLonger(40)),
    "exact": spec(Resize(45, 61)),
    "crop": spec(CenterCrop(50, 44)),
    "crop with black, then resize": spec(CenterCrop(100, 30), Resize(50, 41)),
    "resize, crop with black": spec(Resize(33, 64), CenterCrop(60, 60)),
    "nothing": spec(),
    "crops alone": spec(CenterCrop(100, 30), CenterCrop(60, 20)),
    "crop after a crop and a resize": spec(CenterCrop(90, 100), ResizeShorter(60), CenterCrop(70, 50)),
}


@pytest.fixture(scope="module")
def resampler() -> Resampler:
    return Resampler(CPU)


def matrices(of: PixelSpec, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = axis_lengths(of, height, width)
    return axis_matrix(of, rows), axis_matrix(of, columns).T


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("size", [(97, 64), (64, 97), (41, 41), (7, 300)])
def test_canvases_are_those_of_the_pixel_contract_to_a_level(
    resampler: Resampler, name: str, size: tuple[int, int], tmp_path: Path
) -> None:
    images = [noise(*size, seed) for seed in range(3)]
    expected = []
    for image in images:
        Image.fromarray(image).save(tmp_path / "image.png")
        expected.append(read_canvas(str(tmp_path / "image.png"), SPECS[name]))
    planes = [np.ascontiguousarray(image.transpose(2, 0, 1)) for image in images]
    found = resampler.canvases([item.ctypes.data for item in planes], *size, SPECS[name])
    difference = np.abs(found.astype(int) - np.stack(expected))
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.7  # the rest: where Pillow rounds columns first


def test_where_pillow_rounds_rows_first_hardly_a_value_differs(resampler: Resampler, tmp_path: Path) -> None:
    image = noise(60, 90)
    Image.fromarray(image).save(tmp_path / "image.png")
    expected = read_canvas(str(tmp_path / "image.png"), SPECS["shorter side, smaller"])
    planes = np.ascontiguousarray(image.transpose(2, 0, 1))
    found = resampler.canvases([planes.ctypes.data], 60, 90, SPECS["shorter side, smaller"])
    assert (found[0] == expected).mean() > 0.999


def test_any_number_of_images_keeps_its_order(resampler: Resampler) -> None:
    planes = [np.full((3, 50, 60), value, dtype=np.uint8) for value in range(sum(GROUPS) + 5)]
    found = resampler.canvases([item.ctypes.data for item in planes], 50, 60, SPECS["shorter side, smaller"])
    assert found[:, 0, 0, 0].tolist() == list(range(len(planes)))
    assert all((canvas == canvas[0, 0]).all() for canvas in found)


def test_large_images_are_resized_a_few_at_a_time(resampler: Resampler, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once: list[int] = []
    run = Resampler._run
    monkeypatch.setattr("infer.pipeline.gpu_resize.MAX_BYTES", 10 * 3 * 50 * 60 * 4)
    monkeypatch.setattr(
        Resampler, "_run", lambda self, pointers, *more: at_once.append(len(pointers)) or run(self, pointers, *more)
    )
    plane = np.zeros((3, 50, 60), dtype=np.uint8)
    assert len(resampler.canvases([plane.ctypes.data] * 20, 50, 60, spec(ResizeShorter(40)))) == 20
    assert at_once == [8, 8, 1, 1, 1, 1]


def test_matrices_are_cached_by_length_and_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    resampler = Resampler(CPU)
    cache = resampler._matrices

    def resize(height: int, width: int) -> int:
        """The number of matrices that had to be made."""
        before = cache.loaded
        plane = np.zeros((3, height, width), dtype=np.uint8)
        resampler.canvases([plane.ctypes.data], height, width, spec(ResizeShorter(40)))
        return cache.loaded - before

    assert [resize(41, 60), resize(41, 60)] == [2, 0]
    assert resize(41, 70) == 1  # the rows are those of any other image of 41 rows that keeps 41 of them
    assert resize(45, 70) == 2
    monkeypatch.setattr(infer.pipeline.gpu_resize, "CACHED_BYTES", 3 * 4 * 40 * 100)
    for width in range(80, 100):
        resize(41, width)
    assert len(cache._cached) <= 4
    assert cache._bytes == sum(4 * lengths[0] * lengths[-1] for _, _, lengths in cache._cached) <= 3 * 4 * 40 * 100
    assert resize(41, 99) == 0
    assert resize(45, 70) == 2


@pytest.mark.parametrize("size", [(40, 60), (61, 47), (97, 50), (33, 130)])
def test_a_window_alone_has_the_pixels_of_the_canvas_within_it(resampler: Resampler, size: tuple[int, int]) -> None:
    plane = np.ascontiguousarray(noise(*size).transpose(2, 0, 1))
    for canvas, window in (((40, 40), (32, 32)), ((41, 40), (32, 33)), ((40, 40), (40, 40))):
        whole = PixelSpec(steps=(ResizeShorter(40),), canvas=canvas, window=window, reduced_decode=False)
        (expected,) = resampler.canvases([plane.ctypes.data], *size, whole)
        (found,) = resampler.canvases([plane.ctypes.data], *size, window_only(whole))
        assert np.array_equal(found, centre_window(expected, whole))
        assert found.shape == (*window, 3)


def test_thin_images_take_little_memory() -> None:
    tracemalloc.start()
    rows, columns = matrices(PixelSpec.default(224), 150, 12_000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (rows.shape, columns.shape) == ((256, 150), (12_000, 256))
    assert most < 100e6


def test_weights_of_a_pixel_sum_to_one_and_of_padding_to_zero() -> None:
    rows, columns = matrices(SPECS["longer side, with black"], 200, 50)
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
    assert (rows.dtype, columns.dtype) == (np.float32, np.float32)
    assert sorted(set(columns.sum(axis=0).round(5))) == [0, 1]


def test_the_graph_passes_the_full_check() -> None:
    for count in GROUPS:
        onnx.checker.check_model(onnx.load_from_string(graph(count)), full_check=True)


def test_enhancements_are_not_resampling() -> None:
    assert only_resamples(SPECS["crop with black, then resize"])
    assert not only_resamples(spec(MeanFilter(3), ResizeShorter(40)))
