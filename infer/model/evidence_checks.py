"""Checks of the values in a file's evidence, which may be a stranger's: what shows them relies on their types."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from infer.core.parse import is_whole
from infer.model.card_checks import check_matrix, check_text, is_number
from infer.model.pixel_parity import PixelParity

NUMERIC_KEYS = ("batch", "images", "labels_differ", "logit_difference", "logit_p999", "accuracy", "network_accuracy")
OPTIONAL_NUMBERS = ("tolerance", "noise")
"""Entries of a check that are numbers, and those that may be missing."""


def check_evidence(content: Mapping[str, Any]) -> None:
    """Raise KeyError, TypeError, ValueError or AttributeError for content that `lab export` would not have written."""
    if content["passed"] is not True or not content["checks"]:
        raise ValueError("it records no gate that was passed")
    if not is_whole(content["images"]) or not all(map(is_number, content["rule"].values())):
        raise TypeError("its rule or its number of images has a wrong type")
    check_text("its sha256", content["images_sha256"], content["sha256_before"])
    _ = dict(content.get("graph", {}))
    for check in content["checks"]:
        _check_one(check)
    if resealed := content.get("resealed"):
        check_text("the changes before it was sealed again", *resealed["changes"])
        _ = dict(resealed.get("before") or {})
    if pixels := content.get("pixels"):
        check_matrix("the comparison of its pixels", [[pixels[item.name] for item in fields(PixelParity)]], len(pixels))


def _check_one(check: Mapping[str, Any]) -> None:
    numbers = [check[name] for name in NUMERIC_KEYS] + [check.get(name) or 0 for name in OPTIONAL_NUMBERS]
    if not isinstance(check["provider"], str) or not all(map(is_number, numbers)):
        raise TypeError("a check has a value of a wrong type")
    check_matrix("a difference of accuracy", [check.get("accuracy_difference") or (0, 0)], 2)
    check_matrix("a label that differs", [[flip["image"], flip["margin"]] for flip in check.get("flips") or ()], 2)
