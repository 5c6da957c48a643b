"""`lab export --web`: the page predicts in a real browser with the network off, from the pixels of lab predict."""

import base64
import functools
import http.server
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.browser import BROWSER, Tab, open_tab
from helpers.onnx_files import name_in_evidence
from helpers.pages import DROP, IS_DONE, rows, wait
from PIL import Image

from exporter.web.folder import RUNTIME_VERSION, check_picture, check_web, package_content
from infer import load
from infer.core.cpu import BF16_INSTRUCTIONS, instructions
from infer.core.errors import ConfigError
from infer.images.enhance import MeanFilter
from infer.images.preprocess import PixelSpec, read_window
from infer.model.card import ModelCard, read_card
from infer.model.providers import OPENVINO_BF16
from infer.model.session import Session

ROOT = Path(__file__).parents[3]
RUNTIME = ROOT / "docs" / "examples" / "node_modules" / "onnxruntime-web"


@pytest.fixture(scope="module")
def page(lab: Callable, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with heat maps, of a file that is exported with it."""
    folder = tmp_path_factory.mktemp("web")
    ran = lab("export", run, "--cam", "--out", folder / "cells.onnx", "--web", folder / "page")
    assert ran.code == 0, ran.err
    return folder / "page"


def test_a_folder_has_the_page_the_model_and_nothing_to_be_loaded_from_elsewhere(page: Path) -> None:
    text = (page / "index.html").read_text(encoding="utf-8")
    for name in re.findall(r'(?:src|href)="([^"]+)"', text):
        assert name == "data:," or (page / name).is_file()
    for script in page.glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', script.read_text(encoding="utf-8")):
            assert (page / name).is_file()
    assert "default-src 'none'; script-src 'self' 'wasm-unsafe-eval';" in text
    assert "unsafe-inline" not in text
    assert (page / "model.onnx").read_bytes() == (page.parent / "cells.onnx").read_bytes()
    assert not [path for path in page.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.usefixtures("openvino")
@pytest.mark.skipif(not set(instructions()) & set(BF16_INSTRUCTIONS), reason="no bfloat16: auto takes ONNX Runtime")
def test_the_page_checks_its_answers_with_onnx_runtimes_where_lab_itself_predicts_by_openvino_in_bfloat16(
    lab: Callable, model: Path, tmp_path: Path
) -> None:
    shutil.copy(model, tmp_path / "a.onnx")
    named = name_in_evidence(tmp_path / "a.onnx", OPENVINO_BF16)
    assert Session(named, "cpu").provider == OPENVINO_BF16
    ran = lab("export", named, "--web", tmp_path / "page")
    assert ran.code == 0, ran.err
    session = Session(named, "cpu", runtime="onnxruntime")
    window = read_window(str(tmp_path / "page" / "check.png"), session.card.pixels)
    expected = session.run(window[None])[1][0].tolist()
    assert json.loads((tmp_path / "page" / "model.json").read_text())["check"] == expected


def test_the_version_of_the_runtime_is_pinned_and_that_of_the_tests(page: Path) -> None:
    assert json.loads((page / "package.json").read_text()) == package_content()
    tested = json.loads((ROOT / "docs" / "examples" / "package.json").read_text())["devDependencies"]
    assert tested["onnxruntime-web"] == RUNTIME_VERSION


def test_the_code_for_pixels_is_that_of_the_example_for_node(page: Path) -> None:
    example = (ROOT / "docs" / "examples" / "predict.mjs").read_text(encoding="utf-8")
    shared = example[example.index("// ---- Resizing") : example.index("export async function readWindow")]
    assert len(shared) > 3000
    assert shared in (page / "pixels.js").read_text(encoding="utf-8")


def test_the_card_says_what_the_model_is_for_and_that_images_stay(page: Path, model: Path) -> None:
    content = json.loads((page / "model.json").read_text(encoding="utf-8"))
    card = read_card(model)
    assert [item["label"] for item in content["classes"]] == [item.label for item in card.classes]
    assert "Images stay in this browser" in content["where"]
    assert any("not a medical device" in text for text in content["intended_use"])
    assert (content["heatmaps"], content["batch"]) == (True, 1)
    assert PixelSpec.from_json(content["pixels"]) == card.pixels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: replace(card, precision="int8"), "--web needs --precision fp32: int8 was not compared"),
        (lambda card: replace(card, input="float"), "--web needs --input uint8, got a file that takes float"),
        (
            lambda card: replace(
                card,
                pixels=replace(card.pixels, steps=(MeanFilter(5), *card.pixels.steps), reduced_decode=False),
            ),
            "its page cannot compute .*5",
        ),
    ],
)
def test_what_the_page_cannot_compute_is_refused(
    change: Callable[[ModelCard], ModelCard], message: str, model: Path, tmp_path: Path
) -> None:
    check_web(tmp_path / "page", read_card(model))
    with pytest.raises(ConfigError, match=message):
        check_web(tmp_path / "page", change(read_card(model)))


def test_a_changed_file_leaves_no_folder(lab: Callable, model: Path, tmp_path: Path) -> None:
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "changed.onnx").write_bytes(content)
    ran = lab("export", tmp_path / "changed.onnx", "--web", tmp_path / "page")
    assert ran.code == 1
    assert "has been changed since lab export wrote it" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["changed.onnx"]


# ---- in a browser ----

browser = pytest.mark.skipif(
    BROWSER is None or not RUNTIME.is_dir(), reason="no Chromium is installed, or run make node for Node's packages"
)


@pytest.fixture(scope="module")
def url(page: Path) -> Iterator[str]:
    """The page on a static host."""
    if not (page / "node_modules").exists():
        (page / "node_modules").symlink_to(RUNTIME.parent)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *values: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(page))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def tab(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """The page, opened; then the network is off."""
    with open_tab(tmp_path_factory.mktemp("profile")) as tab:
        tab.resize(1280, 900)
        tab.visit(url)
        wait(tab, "!document.getElementById('about').hidden || !document.getElementById('problem').hidden")
        assert tab.run("document.getElementById('problem').textContent") == ""
        assert all(request.startswith((url, "data:")) for request in tab.requests)
        tab.run("Promise.all([import('./decode.js'), import('./pixels.js')])")
        offline: dict[str, Any] = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        tab.call("Network.emulateNetworkConditions", **offline)
        yield tab


def drop(tab: Tab, *files: tuple[str, bytes]) -> None:
    tab.requests.clear()
    tab.run("document.getElementById('clear').click()")
    tab.run(DROP % str([[name, base64.b64encode(content).decode()] for name, content in files]))
    wait(tab, IS_DONE)
    assert all(request.startswith(("blob:", "data:")) for request in tab.requests)


WINDOW = """(async () => {
  const [{ decode }, { windowOf }] = await Promise.all([import('./decode.js'), import('./pixels.js')]);
  const file = new File([Uint8Array.from(atob('%s'), (char) => char.charCodeAt(0))], 'a');
  return [...windowOf(await decode(file), %s)];
})()"""


def save_all_kinds(folder: Path) -> list[Path]:
    """PNG, BMP and JPEG files of the modes that a browser decodes as lab does."""
    random = np.random.default_rng(1)
    levels = np.stack(np.meshgrid(np.arange(256), np.arange(256)), axis=-1).astype(np.uint8)
    every_alpha = np.concatenate([levels[..., :1], levels[..., 1:], 255 - levels[..., :1], levels[..., 1:]], axis=-1)
    rgb = Image.fromarray(random.integers(0, 256, (90, 61, 3), dtype=np.uint8))
    smooth = Image.fromarray(random.integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize(
        (83, 64), Image.Resampling.BICUBIC
    )
    kinds = {
        "rgb.png": rgb,
        "alpha.png": Image.fromarray(every_alpha, "RGBA"),
        "grey.png": rgb.convert("L"),
        "grey_alpha.png": rgb.convert("LA"),
        "palette.png": rgb.quantize(17),
        "one_bit.png": rgb.convert("1"),
        "rgb.bmp": rgb,
        "palette.bmp": rgb.quantize(200),
        "smooth.jpg": smooth,
        "grey.jpg": smooth.convert("L"),
    }
    for name, image in kinds.items():
        image.save(folder / name)
    smooth.save(folder / "full_colour.jpg", subsampling=0, quality=95)
    smooth.save(folder / "progressive.jpg", progressive=True)
    exif = smooth.getexif()
    exif[0x0112] = 6
    smooth.save(folder / "turned.jpg", exif=exif)
    return sorted(folder.iterdir())


@browser
def test_pixels_are_those_of_lab_predict_bit_for_bit(tab: Tab, model: Path, tmp_path: Path) -> None:
    spec = read_card(model).pixels
    for path in save_all_kinds(tmp_path):
        content = base64.b64encode(path.read_bytes()).decode()
        found = tab.run(WINDOW % (content, json.dumps(spec.to_json())))
        np.testing.assert_array_equal(found, read_window(str(path), spec).ravel(), err_msg=path.name)


@browser
def test_with_the_network_off_answers_are_those_of_lab_predict(tab: Tab, page: Path, cells: Path) -> None:
    images = sorted((cells / "test").iterdir())[:3]
    drop(tab, *((path.name, path.read_bytes()) for path in images), ("<img src=x onerror=alert(1)>.png", b"\x89PNG"))
    expected = load(page / "model.onnx", device="cpu").predict(images)
    found = rows(tab)
    assert [row[0] for row in found[:3]] == [path.name for path in images]
    for row, label, probabilities in zip(found, expected.labels, expected.probabilities, strict=False):
        assert row[1].split()[0] == label
        assert row[2:4] == [f"{100 * value:.1f}%" for value in probabilities.tolist()]
    assert found[3][1] == "the image cannot be decoded"
    assert tab.problems == []


@browser
@pytest.mark.parametrize(
    ("mode", "name", "message"),
    [
        ("I;16", "a.png", "16 bits per channel"),
        ("CMYK", "a.jpg", "CMYK JPEG"),
        ("RGB", "a.tif", "PNG, BMP and JPEG files"),
    ],
)
def test_files_that_a_browser_reads_otherwise_are_refused(
    mode: str, name: str, message: str, tab: Tab, tmp_path: Path
) -> None:
    Image.new(mode, (40, 40)).save(tmp_path / name)
    drop(tab, (name, (tmp_path / name).read_bytes()))
    assert message in rows(tab)[0][1]


@browser
def test_a_heat_map_is_drawn_of_the_files_own_output(tab: Tab, cells: Path) -> None:
    image = min((cells / "test").iterdir())
    tab.run("document.getElementById('clear').click(); document.getElementById('heatmap').click()")
    drop(tab, ("a.png", image.read_bytes()))
    wait(tab, "document.getElementById('map').getAttribute('aria-label') !== null")
    tab.run("document.getElementById('heatmap').click()")


@browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_a_phone_and_is_worked_by_keyboard(width: int, tab: Tab, cells: Path) -> None:
    tab.resize(width, 900, mobile=width < 500)
    drop(tab, ("a_very_long_name_" * 12 + ".png", min((cells / "test").iterdir()).read_bytes()))
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run(
        "[...document.querySelectorAll('#files, #rows button, #download')].every((item) => item.tabIndex === 0)"
    )


@browser
def test_a_browser_that_alters_pixels_is_refused(page: Path, url: str, tmp_path: Path, model: Path) -> None:
    spec = read_card(model).pixels
    other = np.asarray(check_picture(spec)).copy()
    other[20:22, 20:22, 0] ^= 8  # as protection against fingerprinting does
    right = (page / "check.png").read_bytes()
    Image.fromarray(other, "RGBA").save(page / "check.png")
    try:
        with open_tab(tmp_path) as tab:
            tab.visit(url)
            wait(tab, "!document.getElementById('problem').hidden")
            assert "this browser alters what is read from a picture" in tab.run("document.body.innerText")
            assert tab.run("document.getElementById('work').hidden")
    finally:
        (page / "check.png").write_bytes(right)
