"""Errors, options, the console and files: what every other room may use."""
