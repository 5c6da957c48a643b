"""Resizing on a device gives Pillow's pixels, to within one level of 255."""

import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from infer.images.enhance import MeanFilter
from infer.images.preprocess import CenterCrop, PixelSpec, Resize, ResizeLonger, ResizeShorter, Step, read_canvas
from infer.model.providers import CPU
from infer.pipeline.gpu_resize import CACHED_SIZES, GROUPS, Resampler, graph, matrices, only_resamples


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


def test_only_the_matrices_of_the_latest_sizes_are_cached() -> None:
    resampler = Resampler(CPU)
    for width in range(41, 41 + CACHED_SIZES + 10):
        plane = np.zeros((3, 41, width), dtype=np.uint8)
        resampler.canvases([plane.ctypes.data], 41, width, spec(ResizeShorter(40)))
    assert resampler._matrices.cache_info().currsize == CACHED_SIZES
    misses = resampler._matrices.cache_info().misses
    resampler._matrices(spec(ResizeShorter(40)), 41, width)
    assert resampler._matrices.cache_info().misses == misses


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
