"""The version of lab, and those of the packages beside it."""

__version__ = "0.1.0"


def installed_version(package: str) -> str:
    """The version of an installed package, by its name on PyPI; "" where it is absent or has no metadata."""
    from importlib.metadata import PackageNotFoundError, version  # late: `lab --help` does not need it

    try:
        return version(package)
    except PackageNotFoundError:
        return ""
