"""Archives are read where they lie, hostile ones are refused, damaged members are bad images."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from infer.core.errors import DataError, ImageError
from infer.images.archive import MAX_MEMBER, Member, is_archive, list_members
from infer.images.preprocess import PixelSpec, read_window
from infer.images.skipped import Skipped

SPEC = PixelSpec.default(32)


@pytest.fixture
def folder(tmp_path: Path, save_image: Callable[..., Path]) -> Path:
    """Images of three kinds, a file that is none, and hidden ones."""
    for name in ("b/img10.png", "b/img2.jpg", "a/Zürich.bmp", ".hidden/x.png", "__MACOSX/b/._img2.jpg"):
        save_image(tmp_path / "cells" / name, seed=len(name))
    (tmp_path / "cells" / "notes.txt").write_text("no image")
    return tmp_path / "cells"


def zipped(folder: Path, path: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def tarred(folder: Path, path: Path, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        archive.add(folder, ".")
    return path


def archives(folder: Path, to: Path) -> list[Path]:
    return [
        zipped(folder, to / "deflated.zip"),
        zipped(folder, to / "stored.ZIP", zipfile.ZIP_STORED),
        tarred(folder, to / "cells.tar"),
    ]


def test_members_are_the_images_in_natural_order_without_hidden_ones(folder: Path, tmp_path: Path) -> None:
    for path in archives(folder, tmp_path):
        skipped = Skipped()
        assert [member.name for member in list_members(path, skipped)] == ["a/Zürich.bmp", "b/img2.jpg", "b/img10.png"]
        assert {reason: sum(kinds.values()) for reason, kinds in skipped.counts.items()} == {
            "hidden files": 1,
            "helper files": 1,
            "other files": 1,
        }


def test_a_member_gives_the_bytes_and_the_pixels_of_its_file(folder: Path, tmp_path: Path) -> None:
    for path in archives(folder, tmp_path):
        for member in list_members(path):
            file = folder / member.name
            assert member.open().read() == file.read_bytes()
            assert read_window(member, SPEC).tobytes() == read_window(str(file), SPEC).tobytes()
            assert str(member) == f"{path}/{member.name}"


def test_a_zip_with_something_before_it_and_one_written_as_a_stream_are_read(folder: Path, tmp_path: Path) -> None:
    """Self-extracting zips begin with a program; streamed ones have sizes after each member, not before."""
    path = zipped(folder, tmp_path / "a.zip")
    path.write_bytes(b"#!/bin/sh\n" * 50 + path.read_bytes())
    stream = io.BytesIO()
    stream.seekable = lambda: False  # type: ignore[method-assign]
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, file.relative_to(folder))
    (tmp_path / "b.zip").write_bytes(stream.getvalue())
    for found in (path, tmp_path / "b.zip"):
        for member in list_members(found):
            assert member.open().read() == (folder / member.name).read_bytes()


@pytest.mark.parametrize(
    "name", ["../out.png", "/etc/out.png", "a/../../out.png", "C:/out.png", "a\\..\\out.png", ".", "./."]
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_outside_the_archive_are_refused(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as zip_file:
            zip_file.writestr(name, b"x")
    else:
        with tarfile.open(path, "w") as tar_file:
            tar_file.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(DataError, match="names members outside itself"):
        list_members(path)


def test_links_and_devices_in_a_tar_are_no_images(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind in (("a.png", tarfile.SYMTYPE), ("b.png", tarfile.LNKTYPE), ("c.png", tarfile.CHRTYPE)):
            item = tarfile.TarInfo(name)
            item.type, item.linkname = kind, "/etc/passwd"
            archive.addfile(item)
    assert list_members(tmp_path / "a.tar") == []


def test_links_in_a_tar_are_the_files_that_they_lead_to_and_others_are_counted(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(folder / "b" / "img2.jpg", "b/img2.jpg")
        for name, kind, path in (
            ("hard.jpg", tarfile.LNKTYPE, "b/img2.jpg"),
            ("c/soft.jpg", tarfile.SYMTYPE, "../hard.jpg"),
            ("out.jpg", tarfile.SYMTYPE, "../../img2.jpg"),
            ("pipe.jpg", tarfile.FIFOTYPE, ""),
        ):
            item = tarfile.TarInfo(name)
            item.type, item.linkname = kind, path
            archive.addfile(item)
    skipped = Skipped()
    members = list_members(tmp_path / "a.tar", skipped)
    assert [member.name for member in members] == ["b/img2.jpg", "c/soft.jpg", "hard.jpg"]
    assert {member.open().read() for member in members} == {(folder / "b" / "img2.jpg").read_bytes()}
    assert skipped.summary() == ("skipped: 1 link to no file here (out.jpg); 1 other file (devices and sparse files)")


def test_links_in_a_zip_are_the_files_that_they_lead_to(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(folder / "b" / "img2.jpg", "b/img2.jpg")
        for name, path in (("c/soft.jpg", "../b/img2.jpg"), ("lost.jpg", "/etc/hosts")):
            item = zipfile.ZipInfo(name)
            item.create_system, item.external_attr = 3, 0o120777 << 16
            archive.writestr(item, path)
    skipped = Skipped()
    members = list_members(tmp_path / "a.zip", skipped)
    assert [member.name for member in members] == ["b/img2.jpg", "c/soft.jpg"]
    assert members[1].open().read() == (folder / "b" / "img2.jpg").read_bytes()
    assert skipped.summary() == "skipped: 1 link to no file here (lost.jpg)"


def test_a_zip_written_on_windows_has_folders(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("b\\", "b\\img2.jpg", "a\\Zürich.bmp"):
            item = zipfile.ZipInfo("x")
            item.filename, item.create_system = name, 10
            archive.writestr(item, b"" if name.endswith("\\") else (folder / name.replace("\\", "/")).read_bytes())
    members = list_members(tmp_path / "a.zip")
    assert [member.name for member in members] == ["a/Zürich.bmp", "b/img2.jpg"]
    assert members[1].open().read() == (folder / "b" / "img2.jpg").read_bytes()


def test_archives_in_an_archive_are_named(folder: Path, tmp_path: Path) -> None:
    for name in ("part1.zip", "part2.tar.gz"):
        (folder / name).touch()
    skipped = Skipped()
    list_members(zipped(folder, tmp_path / "a.zip"), skipped)
    assert "2 archives inside, to be unpacked first (part1.zip, part2.tar.gz)" in skipped.summary()


def test_a_tar_with_a_damaged_header_in_it_is_not_read_as_if_it_ended_there(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:  # pax has further headers
        archive.add(folder, ".")
    content = path.read_bytes()
    header = list_members(path)[1].offset - tarfile.BLOCKSIZE
    path.write_bytes(content[:header] + b"?" + content[header + 1 :])
    with pytest.raises(DataError, match=rf"not a tar file, or is damaged: no member begins at byte {header}"):
        list_members(path)
    path.write_bytes(content[: header + 700])
    with pytest.raises(DataError, match="not a tar file, or is damaged: unexpected end of data"):
        list_members(path)


def test_a_zip_with_a_name_that_is_not_the_utf_8_that_it_says_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("é.png", b"x")
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xfe"))
    with pytest.raises(DataError, match="is not a zip file, or is damaged"):
        list_members(path)


def test_an_encrypted_member_is_a_bad_image(lab: Callable, model: Path, folder: Path, tmp_path: Path) -> None:
    path = zipped(folder, tmp_path / "a.zip")
    content = bytearray(path.read_bytes())
    start = content.rindex(b"PK\x01\x02", 0, content.rindex(b"b/img10.png"))
    content[start + 8] |= 1
    path.write_bytes(content)
    ran = lab("predict", path, "--model", model, "--no-sample", "--out", tmp_path / "o.csv", "--bad-images", "skip")
    assert ran.code == 0, ran.err
    assert "b/img10.png" in (bad := (tmp_path / "o.bad.csv").read_text())
    assert "encrypted; unpack the archive first" in bad
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 3
    assert "skipped: 1 helper file (__MACOSX); 1 hidden file (.hidden); 1 other file (.txt)" in ran.out


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("a.png"), io.BytesIO())
    with pytest.raises(DataError, match=r"two members of one name: a\.png"):
        list_members(tmp_path / "a.tar")


def test_an_encrypted_zip_is_refused(folder: Path, tmp_path: Path) -> None:
    path = zipped(folder, tmp_path / "a.zip")
    content = bytearray(path.read_bytes())
    for at in (place for place in range(len(content)) if content[place : place + 4] == b"PK\x01\x02"):
        content[at + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="is encrypted"):
        list_members(path)


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2"])
def test_a_tar_compressed_as_a_whole_is_refused_with_the_remedy(mode: str, folder: Path, tmp_path: Path) -> None:
    path = tarred(folder, tmp_path / f"a.tar.{mode[2:]}", mode)
    assert is_archive(path)
    with pytest.raises(DataError, match=r"make it a \.tar"):
        list_members(path)
    os.rename(path, tmp_path / "b.tar")
    with pytest.raises(DataError, match="not a tar file"):
        list_members(tmp_path / "b.tar")


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + b"x" * 600, b"\0" * 100])
def test_what_is_no_archive_is_one_line(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"not a (zip|tar) file, or is damaged"):
        list_members(tmp_path / name)


def test_damaged_members_are_bad_images(folder: Path, tmp_path: Path) -> None:
    path = zipped(folder, tmp_path / "a.zip", zipfile.ZIP_STORED)
    first, *rest = list_members(path)
    content = bytearray(path.read_bytes())
    content[first.offset + 200] ^= 1
    path.write_bytes(content)
    with pytest.raises(ImageError, match="a checksum differs"):
        read_window(first, SPEC)
    assert read_window(rest[0], SPEC).shape == (32, 32, 3)
    path.write_bytes(b"x" * len(content))
    with pytest.raises(ImageError, match="there is no member where its directory says"):
        read_window(first, SPEC)
    path.unlink()
    with pytest.raises(ImageError, match="no such file"):
        read_window(first, SPEC)


def test_a_bomb_is_refused_without_being_unpacked(tmp_path: Path) -> None:
    member = Member("none.zip", "a.png", 0, 1000, MAX_MEMBER + 1, zipfile.ZIP_DEFLATED)
    with pytest.raises(ImageError, match="more than 500 million"):
        read_window(member, SPEC)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(50_000_000))
    (member,) = list_members(tmp_path / "a.zip")
    lying = Member(member.archive, member.name, member.offset, member.stored, 1000, member.method, member.crc)
    with pytest.raises(ImageError, match="a checksum differs"):
        read_window(lying, SPEC)


def test_another_compression_is_named(folder: Path, tmp_path: Path) -> None:
    (member, *_) = list_members(zipped(folder, tmp_path / "a.zip", zipfile.ZIP_BZIP2))
    with pytest.raises(ImageError, match="compressed by method 12"):
        read_window(member, SPEC)


def test_many_members_are_listed_in_natural_order(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(3000):
            archive.writestr(f"{number}.png", b"")
    names = [member.name for member in list_members(tmp_path / "a.zip")]
    assert names == [f"{number}.png" for number in range(3000)]


def test_an_archive_is_predicted_as_its_folder_is(lab: Callable, model: Path, cells: Path, tmp_path: Path) -> None:
    expected = tmp_path / "folder.csv"
    assert lab("predict", cells / "test", "--model", model, "--no-sample", "--out", expected).code == 0
    for path in (zipped(cells / "test", tmp_path / "cells.zip"), tarred(cells / "test", tmp_path / "cells.tar")):
        out = tmp_path / f"{path.suffix[1:]}.csv"
        ran = lab("predict", path, "--model", model, "--no-sample", "--out", out)
        assert ran.code == 0, ran.err
        assert out.read_bytes() == expected.read_bytes()


def test_class_folders_in_an_archive_tell_the_truth(
    lab: Callable, model: Path, tmp_path: Path, save_image: Callable[..., Path]
) -> None:
    for k in range(4):
        save_image(tmp_path / "cells" / ("normal", "blast")[k % 2] / f"{k}.png", seed=k)
    ran = lab("predict", zipped(tmp_path / "cells", tmp_path / "c.zip"), "--model", model, "--out", tmp_path / "o.csv")
    assert ran.code == 0, ran.err
    assert (tmp_path / "o.report" / "report.json").is_file()


def test_a_bad_member_is_listed_by_its_place_in_the_archive(
    lab: Callable, model: Path, folder: Path, tmp_path: Path
) -> None:
    (folder / "b" / "bad.png").write_bytes(b"no image")
    path = zipped(folder, tmp_path / "c.zip")
    ran = lab("predict", path, "--model", model, "--no-sample", "--out", tmp_path / "o.csv")
    assert ran.code == 1
    assert f"{path}/b/bad.png" in ran.err
    ran = lab("predict", path, "--model", model, "--no-sample", "--out", tmp_path / "o.csv", "--bad-images", "skip")
    assert ran.code == 0
    assert "b/bad.png" in (tmp_path / "o.bad.csv").read_text()


def test_pixels_do_not_depend_on_what_else_is_read_at_once(folder: Path, tmp_path: Path) -> None:
    from infer.images.parallel_map import read_ahead

    members = list_members(zipped(folder, tmp_path / "a.zip")) * 20
    views = list(read_ahead(members, lambda file: read_window(file, SPEC), count=8))
    for member, view in zip(members, views, strict=True):
        assert not isinstance(view, ImageError)
        assert np.array_equal(view, read_window(member, SPEC))


@pytest.mark.parametrize("kind", ["stored", "deflated", "tar"])
def test_images_without_a_suffix_are_found_by_their_first_bytes(kind: str, tmp_path: Path) -> None:
    contents = {"IM0001": bytes(128) + b"DICM" + bytes(40), "scan.12": b"BM" + bytes(200), "LICENSE": b"words " * 99}
    contents |= {"a.txt": b"BM" + bytes(200), "empty": b""}
    if kind == "tar":
        path = tmp_path / "a.tar"
        with tarfile.open(path, "w") as tar:
            for name, content in contents.items():
                item = tarfile.TarInfo(name)
                item.size = len(content)
                tar.addfile(item, io.BytesIO(content))
    else:
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if kind == "deflated" else zipfile.ZIP_STORED) as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
    skipped = Skipped()
    assert [member.name for member in list_members(path, skipped)] == ["IM0001", "scan.12"]
    assert "3 " in skipped.summary()
    assert "no suffix" in skipped.summary()
