"""The version of lab."""

__version__ = "0.1.0"
