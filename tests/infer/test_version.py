"""Versions of packages, whether they are there or not."""

from importlib.metadata import version

from infer.version import installed_version


def test_a_package_has_its_version_and_an_absent_one_has_none() -> None:
    assert installed_version("numpy") == version("numpy")
    assert installed_version("no-such-package") == ""
