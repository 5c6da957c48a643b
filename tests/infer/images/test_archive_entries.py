"""Names and links in archives mean what unzip and tar make of them."""

import zipfile
import zlib

import pytest

from infer.images.archive_entries import (
    UNICODE_PATH,
    UTF8_NAME,
    follow_links,
    is_link,
    leads_outside,
    link_target,
    plain_name,
    zip_name,
)


def entry(raw: bytes, system: int = 3, flags: int = 0, extra: bytes = b"") -> zipfile.ZipInfo:
    """An entry as zipfile reads it from a directory."""
    item = zipfile.ZipInfo(raw.decode("utf-8" if flags & UTF8_NAME else "cp437"))
    item.create_system, item.flag_bits, item.extra = system, flags, extra
    return item


@pytest.mark.parametrize(
    ("raw", "system", "flags", "name"),
    [
        (b"a/b.png", 3, 0, "a/b.png"),
        (b"a\\b.png", 0, 0, "a/b.png"),
        (b"a\\Z\xc3\xbcrich.png", 10, UTF8_NAME, "a/Zürich.png"),
        (b"a\\b.png", 3, 0, "a\\b.png"),  # on Unix a part of the name
        ("Zürich.png".encode(), 3, UTF8_NAME, "Zürich.png"),
        ("Zürich.png".encode(), 3, 0, "Zürich.png"),  # macOS
        ("Zürich.png".encode("cp437"), 0, 0, "Zürich.png"),  # DOS and Windows
        ("Zürich.png".encode("latin-1"), 3, 0, "Z\udcfcrich.png"),
        ("細胞.png".encode("shift-jis"), 3, 0, "細胞.png".encode("shift-jis").decode("utf-8", "surrogateescape")),
    ],
)
def test_a_name_is_what_unzip_makes_of_it(raw: bytes, system: int, flags: int, name: str) -> None:
    assert zip_name(entry(raw, system, flags)) == name


def test_the_unicode_field_of_a_name_counts_where_it_is_of_this_name() -> None:
    raw = b"?.png"
    for stands_for, name in ((raw, "細.png"), (b"other", "?.png")):
        field = b"\1" + zlib.crc32(stands_for).to_bytes(4, "little") + "細.png".encode()
        extra = b"\x55\x54\1\0x" + UNICODE_PATH.to_bytes(2, "little") + len(field).to_bytes(2, "little") + field
        assert zip_name(entry(raw, 0, extra=extra)) == name


def test_a_link_is_known_by_its_mode_on_unix() -> None:
    link = entry(b"a")
    link.external_attr = 0o120777 << 16
    assert is_link(link)
    link.create_system = 0
    assert not is_link(link)
    assert not is_link(entry(b"a"))


def test_names_have_no_empty_parts() -> None:
    assert plain_name("./a//b/./c.png") == "a/b/c.png"


@pytest.mark.parametrize(
    "name", ["../a", "/a", "a/../../b", "C:/a", "c:a", "\\a", "a\\..\\..\\b", "a\0b", ".", "./.", ""]
)
def test_names_that_lead_outside_are_known_in_any_spelling(name: str) -> None:
    assert leads_outside(name)


@pytest.mark.parametrize("name", ["a/b", "a..b", "...", "a\\b", "ab:c/d:e"])
def test_other_names_do_not_lead_outside(name: str) -> None:
    assert not leads_outside(name)


def test_links_lead_to_files_from_their_own_folder_through_others_and_not_in_circles() -> None:
    assert link_target("x/y/a.png", "../b.png") == "x/b.png"
    assert link_target("a.png", "../../etc/hosts") == "../../etc/hosts"
    assert link_target("x/a.png", "/etc/hosts") == "/etc/hosts"
    links = {"first": "second", "second": "file", "round": "about", "about": "round", "lost": "nowhere"}
    assert follow_links({"file": 1}, links) == {"first": 1, "second": 1}
