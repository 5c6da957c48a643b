"""The page in a real browser: no errors, nothing loaded, tables sort, hostile names are shown and not obeyed."""

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from helpers import pictures
from helpers.browser import BROWSER, Tab, open_tab
from helpers.results import HOSTILE, named, origin, random_result
from PIL import Image
from rich.console import Console

from infer.config import ReportConfig
from infer.core.console import Screen
from infer.metrics.metrics import measure
from infer.metrics.result import EvaluationResult
from infer.reports.page import report_page
from infer.reports.pictures import draw_pictures
from infer.reports.report import save_report
from infer.reports.thumbnails import Gallery, make_gallery

FILES = ('"><script>alert(1)</script>.png', "<img src=x onerror=alert(2)>.png", "';alert(3);'.png", "&lt;b&gt;.png")
VOID = {"meta", "img", "br", "wbr", "link"}


def page_of(result: EvaluationResult, gallery: Gallery | None = None) -> str:
    metrics = measure(result, resamples=0)
    pictures = draw_pictures(result, metrics, "none", origin(result))
    return report_page(result, metrics, pictures, gallery or Gallery(0), origin(result))


class Outline(HTMLParser):
    """The headings, ids, and tags that were left open or closed twice."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.mistakes: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        self.ids += [value or "" for key, value in attrs if key == "id"]
        self.headings += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.mistakes.append(tag)


def test_the_page_is_well_formed_with_headings_in_order_and_no_id_twice() -> None:
    outline = Outline(page_of(named(random_result(5, 40), HOSTILE)))
    assert (outline.open, outline.mistakes) == ([], [])
    assert outline.headings[0] == 1
    assert all(after <= before + 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))
    assert len(outline.ids) == len(set(outline.ids)) > 5


def test_the_same_result_gives_the_same_page() -> None:
    result = random_result(3, 30)
    assert page_of(result) == page_of(result)


def test_nothing_outside_the_page_is_named_and_no_attribute_runs_anything() -> None:
    outline = Outline(page_of(named(random_result(5, 40), HOSTILE)))
    assert not [key for key, _ in outline.attributes if key.startswith("on") or key == "style"]
    links = [value or "" for key, value in outline.attributes if key in ("href", "src", "action", "data", "srcset")]
    assert links
    assert all(link.startswith(("#", "data:image/")) for link in links)


def test_the_policy_allows_the_pages_own_script_and_style_alone() -> None:
    page = page_of(random_result(2, 20))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; img-src data:;")
    for tag in ("script", "style"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_numbers_and_warnings_are_on_the_page() -> None:
    result = replace(random_result(2, 60), notes=("chosen on <these> images",))
    metrics = measure(result)
    page = report_page(result, metrics, [], Gallery(0), origin(result))
    assert f"{metrics['accuracy'].value:.2%}" in page
    assert f"{metrics['accuracy'].low:.1%} to {metrics['accuracy'].high:.1%}" in page
    assert "chosen on &lt;these&gt; images" in page
    assert "patients are unknown" in page
    assert f'data-value="{metrics.per_class[1]["f1"].value!r}"' in page


def test_an_undefined_metric_is_a_dash_and_sorts_as_nothing() -> None:
    result = random_result(3, 6)
    page = page_of(replace(result, truth=np.zeros(6, dtype=np.int64)))
    assert '<td class="number" data-value="">-' in page


pytest_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with open_tab(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with all its pictures, whose classes and files are called as badly as they can be."""
    folder = tmp_path_factory.mktemp("hostile")
    result = named(random_result(5, 40), HOSTILE)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / "image.png")
    paths = tuple(f"{k} {FILES[k % len(FILES)]}" for k in range(40))
    files = (str(folder / "image.png"),) * 39 + ("gone.png",)
    result = replace(result, title="<script>alert(4)</script>", paths=paths, files=files)
    config, known = ReportConfig(), origin(result)
    gallery = make_gallery(result, known.card.pixels, config, Screen(Console(quiet=True)))
    with pytest.MonkeyPatch.context() as patch:
        pictures.use(patch, pictures.ALL)
        save_report(result, folder / "report", config, known, gallery)
    return folder / "report" / "report.html"


@pytest_browser
def test_a_browser_shows_hostile_names_as_text_without_errors(hostile: Path, tab: Tab) -> None:
    tab.resize(1280, 900)
    tab.open(hostile)
    assert tab.problems == []
    assert all(url.startswith(("data:", hostile.as_uri())) for url in tab.requests)
    assert tab.run("document.title") == "<script>alert(4)</script>"
    assert tab.run("document.scripts.length") == 1
    loaded = tab.run("[...document.images].map(image => image.complete && image.naturalWidth > 0)")
    assert len(loaded) > 20
    assert all(loaded)
    shown = tab.run("document.body.innerText")
    for name in (*FILES, HOSTILE[0], HOSTILE[4].partition("\n")[0]):
        assert name in shown.replace("\u200b", ""), name


@pytest_browser
def test_a_click_or_a_key_on_a_heading_sorts_the_classes_and_marks_the_order(tmp_path: Path, tab: Tab) -> None:
    result = random_result(12, 200)
    metrics = measure(result, resamples=0)
    (tmp_path / "page.html").write_text(page_of(result), encoding="utf-8")
    tab.open(tmp_path / "page.html")
    names = "[...document.querySelectorAll('.sortable tbody th')].map(head => head.innerText)"
    heads = "document.querySelectorAll('.sortable thead th')"
    before = tab.run(names)
    by_name = sorted(before, key=lambda name: int(name.split()[0]))
    by_recall = sorted(range(12), key=lambda k: metrics.per_class[k]["recall"].value or 0)
    tab.run(f"{heads}[3].querySelector('button').click()")
    assert tab.run(names) == [before[k] for k in by_recall]
    assert (
        tab.run(f"[...{heads}].map(head => head.getAttribute('aria-sort'))") == [None] * 3 + ["ascending"] + [None] * 4
    )
    tab.run(f"{heads}[3].querySelector('button').focus()")
    for kind in ("keyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")
    values = [metrics.per_class[before.index(name)]["recall"].value for name in tab.run(names)]
    assert values == sorted(values, reverse=True)
    assert tab.run(f"{heads}[3].getAttribute('aria-sort')") == "descending"
    tab.run(f"{heads}[0].querySelector('button').click()")
    assert tab.run(names) == by_name
    assert tab.problems == []


@pytest_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_does_not_scroll_sideways_on_a_phone_or_a_desktop(hostile: Path, tab: Tab, width: int) -> None:
    tab.resize(width, 800, mobile=width < 500)
    tab.open(hostile)
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run(
        "[...document.querySelectorAll('main > section > *')].every(e => e.getBoundingClientRect().right <= innerWidth)"
    )


@pytest_browser
def test_dark_and_printed_pages_keep_dark_text_on_white_paper(hostile: Path, tab: Tab) -> None:
    colours = "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    tab.media("screen", "dark")
    tab.open(hostile)
    assert tab.run(colours) == ["rgb(230, 237, 243)", "rgb(15, 19, 24)"]
    tab.media("print", "dark")
    assert tab.run(colours) == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    assert tab.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    tab.media("screen", "light")
    assert tab.pdf().startswith(b"%PDF")
