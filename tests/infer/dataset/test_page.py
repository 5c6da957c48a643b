import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from infer.core.console import Screen
from infer.dataset.check import inspect_table
from infer.dataset.config import DataCheckConfig
from infer.dataset.page import PICTURED, check_page
from infer.dataset.source import Source, read_source

HOSTILE = "<img src=x onerror=alert(1)>.png"


def page(root: Path, screen: Screen) -> str:
    table, _ = read_source(Source(data=root))
    return check_page(inspect_table(table, DataCheckConfig(data=root), screen))


@pytest.fixture
def hostile(tmp_path: Path, save_image: Callable[..., Path]) -> Path:
    """Two classes, a leak whose file has a hostile name, and an unreadable file."""
    root = tmp_path / "<script>"
    for k in range(4):
        save_image(root / "train" / f"a&b{k % 2}" / f"{k}.png", seed=k)
    shutil.copy(root / "train" / "a&b0" / "0.png", root / "train" / "a&b0" / HOSTILE)
    (root / "test" / "a&b0").mkdir(parents=True)
    shutil.copy(root / "train" / "a&b0" / "0.png", root / "test" / "a&b0" / "t.png")
    (root / "train" / "a&b1" / "bad.png").write_bytes(b"none")
    return root


class Reader(HTMLParser):
    """The tags that are open and those that were met, and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.met: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.met.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open.pop() not in (tag,):
            assert tag in ("ul", "p", "li")


def test_a_page_shows_leaks_with_pictures_and_needs_nothing_from_anywhere(hostile: Path, quiet: Screen) -> None:
    text = page(hostile, quiet)
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert reader.addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in reader.addresses)
    assert not re.search(r"https?:|url\(|@import|<script|<link", text)
    assert "Leaks: one picture in several parts: 1" in text
    assert "no picture" in text


def test_names_from_outside_are_shown_as_they_are(hostile: Path, quiet: Screen) -> None:
    text = page(hostile, quiet)
    assert HOSTILE not in text
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in text
    assert "a&amp;b0" in text
    assert "<title>data check: &lt;script&gt;</title>" in text


def test_a_page_of_a_sound_set_says_so(cells: Path, quiet: Screen) -> None:
    text = page(cells, quiet)
    assert "No picture and no known patient is in more than one part." in text
    assert "Leakage" not in text


def test_of_very_many_only_some_are_drawn_and_the_rest_is_counted(tmp_path: Path, quiet: Screen) -> None:
    for k in range(PICTURED + 5):
        (tmp_path / f"c{k % 2}").mkdir(exist_ok=True)
        (tmp_path / f"c{k % 2}" / f"{k}.png").write_bytes(b"none")
    text = page(tmp_path, quiet)
    assert text.count("<figure>") == PICTURED
    assert "and 5 more" in text
