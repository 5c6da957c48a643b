"""The page in a real browser: images, table, heat map, CSV and token; nothing is loaded from another origin."""

import base64
import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.browser import BROWSER, Tab, open_tab
from helpers.pages import DROP, IS_DONE, rows, wait
from helpers.serving import Served, form, served

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with open_tab(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture(scope="module")
def with_maps(with_cam: Path) -> Iterator[Served]:
    with served(with_cam) as running:
        yield running


def drop(tab: Tab, *files: tuple[str, bytes]) -> None:
    tab.run(DROP % str([[name, base64.b64encode(content).decode()] for name, content in files]))
    wait(tab, IS_DONE)


def open_page(tab: Tab, server: Served, width: int = 1280) -> None:
    tab.resize(width, 900, mobile=width < 500)
    tab.problems.clear()
    tab.requests.clear()
    tab.visit(f"{server.url}/")
    wait(tab, "document.readyState === 'complete' && !document.getElementById('about').hidden")


def test_dropped_images_are_listed_with_the_servers_answers_and_loaded_from_nowhere_else(
    with_maps: Served, tab: Tab, images: list[Path]
) -> None:
    open_page(tab, with_maps)
    drop(tab, *((path.name, path.read_bytes()) for path in images), ("<img src=x onerror=alert(1)>.png", b"no image"))
    expected = with_maps.client.post("/v1/predict", files=form(*images)).json()["predictions"]
    found = rows(tab)
    assert [row[0] for row in found] == [*(path.name for path in images), "<img src=x onerror=alert(1)>.png"]
    for row, item in zip(found, expected, strict=False):
        assert row[1].startswith(item["label"])
        assert row[2 : 2 + len(item["probabilities"])] == [f"{100 * p:.1f}%" for p in item["probabilities"].values()]
    assert found[-1][1] == "cannot identify image file"
    aligned = "[...document.querySelectorAll('%s')].map((cell) => getComputedStyle(cell).textAlign)"
    numbers = tab.run(aligned % "#head th.number, #rows tr:first-child td.number")
    assert numbers == ["right"] * 2 * len(expected[0]["probabilities"])
    assert "1 of them could not be classified" in tab.run("document.getElementById('status').textContent")
    assert tab.problems == []
    assert all(url.startswith((with_maps.url, "data:", f"blob:{with_maps.url}")) for url in tab.requests)
    assert "not a medical device" in tab.run("document.getElementById('uses').innerText")


def test_the_csv_has_the_probabilities_as_they_are(with_maps: Served, tab: Tab, images: list[Path]) -> None:
    open_page(tab, with_maps)
    tab.run("URL.createObjectURL = (blob) => { window.saved = blob; return 'blob:x'; }")
    drop(tab, ("=1+1.png", images[0].read_bytes()), ('a,"b".png', images[1].read_bytes()))
    tab.run("HTMLAnchorElement.prototype.click = () => {}; document.getElementById('download').click()")
    header, first, second = csv.reader(io.StringIO(tab.run("window.saved.text()")))
    expected = with_maps.client.post("/v1/predict", files=form(images[0])).json()["predictions"][0]
    assert header[:2] == ["ID", "label"]
    assert header[2:] == [*expected["probabilities"], "positive"]
    values = [*map(repr, expected["probabilities"].values()), str(int(expected["positive"]))]
    assert first == ["'=1+1.png", expected["label"], *values]
    assert second[0] == 'a,"b".png'


def test_a_heat_map_is_drawn_where_it_is_asked_for(with_maps: Served, tab: Tab, images: list[Path]) -> None:
    open_page(tab, with_maps)
    drop(tab, ("a.png", images[0].read_bytes()))
    assert tab.run("document.getElementById('map').hidden")
    tab.run("document.getElementById('clear').click(); document.getElementById('heatmap').click()")
    drop(tab, ("a.png", images[0].read_bytes()))
    wait(tab, "document.getElementById('map').getAttribute('aria-label') !== null")
    coloured = """(() => { const canvas = document.getElementById('map');
      const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
      let count = 0;
      for (let at = 0; at < data.length; at += 4) count += Math.abs(data[at] - data[at + 2]) > 20;
      return count / (data.length / 4); })()"""
    assert tab.run(coloured) > 0.1
    assert tab.problems == []


def test_files_are_chosen_and_looked_at_by_keyboard_alone(with_maps: Served, tab: Tab, images: list[Path]) -> None:
    open_page(tab, with_maps)
    drop(tab, *((path.name, path.read_bytes()) for path in images[:3]))
    reached = []
    tab.run("document.body.focus()")
    for _ in range(12):
        press(tab, "Tab")
        reached.append(tab.run("document.activeElement.id || document.activeElement.innerText"))
    assert {"files", "heatmap", "download", "clear", images[1].name} <= set(reached)
    tab.run("document.querySelectorAll('#rows button')[1].focus()")
    press(tab, "Enter", "\r")
    assert tab.run("document.getElementById('chosen-title').textContent") == images[1].name
    assert tab.run("document.activeElement.id") == "chosen-title"
    assert tab.run("document.querySelectorAll('#rows tr')[1].getAttribute('aria-selected')") == "true"


def test_images_are_looked_at_one_after_another_without_leaving_the_picture(
    with_maps: Served, tab: Tab, images: list[Path]
) -> None:
    open_page(tab, with_maps)
    drop(tab, (images[0].name, images[0].read_bytes()))
    assert tab.run("document.getElementById('steps').hidden")
    tab.run("document.getElementById('clear').click()")
    drop(tab, *((path.name, path.read_bytes()) for path in images[:3]))
    tab.run("document.getElementById('next').focus()")
    seen = []
    for _ in range(3):
        state = "['chosen-title', 'position'].map((id) => document.getElementById(id).textContent)"
        seen.append([*tab.run(state), tab.run("document.activeElement.id")])
        press(tab, "Enter", "\r")
    assert seen == [
        [images[0].name, "1 of 3", "next"],
        [images[1].name, "2 of 3", "next"],
        [images[2].name, "3 of 3", "previous"],  # there is no next one
    ]
    assert tab.run("document.getElementById('chosen-title').textContent") == images[1].name
    assert tab.run("document.querySelectorAll('#rows tr')[1].getAttribute('aria-selected')") == "true"


def press(tab: Tab, key: str, text: str = "") -> None:
    code = {"Tab": 9, "Enter": 13}[key]
    for kind in ("keyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_does_not_scroll_sideways(with_maps: Served, tab: Tab, images: list[Path], width: int) -> None:
    open_page(tab, with_maps, width)
    drop(tab, ("a_very_long_name_" * 12 + ".png", images[0].read_bytes()))
    assert tab.run("document.documentElement.scrollWidth") <= width
    tab.run("document.getElementById('clear').click()")
    drop(tab, *((path.name, path.read_bytes()) for path in images[:2]))
    table = "document.getElementById('rows').closest('.wide')"
    assert tab.run(f"{table}.scrollWidth <= {table}.clientWidth")  # usual names and two classes: all is seen at once


def test_a_page_of_a_server_with_a_token_asks_for_it(model: Path, tab: Tab, images: list[Path]) -> None:
    with served(model, token=b"0123456789abcdef") as running:
        tab.visit(f"{running.url}/")
        wait(tab, "!document.getElementById('token-form').hidden")
        for token, problem in (("wrong", "the token is wrong"), ("0123456789abcdef", "")):
            tab.run(f"document.getElementById('token').value = '{token}'")
            tab.run("document.getElementById('token-form').requestSubmit()")
            wait(tab, f"document.getElementById('problem').textContent.startsWith('{problem}')")
            wait(tab, f"document.getElementById('about').hidden === {'true' if problem else 'false'}")
        drop(tab, ("a.png", images[0].read_bytes()))
        assert len(rows(tab)) == 1
