from pathlib import Path

import numpy as np
import pytest

from infer.dataset.exclude import Exclusion
from infer.dataset.findings import (
    NEAR,
    NO_LABEL,
    ODD,
    SAME_BYTES,
    SAME_PATH,
    UNREADABLE,
    Findings,
    Match,
    Problem,
    exclusions,
)
from infer.dataset.image_facts import FACTS
from infer.dataset.table import Table
from infer.model.card import ClassName


def found(rows: str, *matches: Match, problems: tuple[Problem, ...] = (), labels: str = "") -> Findings:
    """The findings in rows such as `a:train b:test`, all of label 0 or with a label each."""
    pairs = [row.split(":") for row in rows.split()]
    splits = tuple(split for _, split in pairs)
    table = Table(
        name="x",
        layout="made",
        root=Path("/x"),
        classes=(ClassName("0", "0"), ClassName("1", "1")),
        paths=tuple(path for path, _ in pairs),
        labels=np.array([int(label) for label in labels or "0" * len(pairs)]),
        groups=("",) * len(pairs),
        splits=splits,
    )
    return Findings(
        table=table,
        parts=splits,
        facts=np.zeros(len(pairs), dtype=FACTS),
        problems=problems,
        matches=matches,
        closest=(),
        complete=True,
        crossing_groups={},
        colours="not measured",
    )


def match(kind: str, *rows: int, contradicts: bool = False) -> Match:
    return Match(rows, kind, 1.0, crosses=False, contradicts=contradicts)


def left_out(findings: Findings) -> list[str]:
    return [item.path for item in exclusions(findings)]


def test_of_copies_in_several_splits_the_one_furthest_from_training_stays() -> None:
    assert left_out(found("a:train b:valid c:test", match(SAME_BYTES, 0, 1, 2))) == ["a", "b"]
    assert left_out(found("a:train b:valid", match(SAME_BYTES, 0, 1))) == ["a"]


def test_of_copies_in_one_split_the_first_stays() -> None:
    assert left_out(found("a:train b:train c:train v:valid", match(SAME_BYTES, 0, 1, 2))) == ["b", "c"]


def test_copies_within_the_test_split_all_stay() -> None:
    assert left_out(found("a:test b:test", match(SAME_BYTES, 0, 1))) == []


def test_pictures_nearly_the_same_go_only_where_they_cross_splits_or_a_split_is_yet_to_be_drawn() -> None:
    assert left_out(found("a:train b:train v:valid", match(NEAR, 0, 1))) == []
    assert left_out(found("a:train b:valid", match(NEAR, 0, 1))) == ["a"]
    assert left_out(found("a:train b:train t:test", match(NEAR, 0, 1))) == ["b"]


def test_in_a_chain_of_near_pictures_one_whose_neighbours_have_gone_stays() -> None:
    assert left_out(found("a:train b:train c:train", match(NEAR, 0, 1), match(NEAR, 1, 2))) == ["b"]


def test_where_copies_have_two_labels_none_can_be_trusted_but_the_tests() -> None:
    torn = match(SAME_BYTES, 0, 1, 2, contradicts=True)
    findings = found("a:train b:train c:test", torn, labels="010")
    assert left_out(findings) == ["a", "b"]
    assert exclusions(findings)[1].reason == "same bytes as a, another label"


def test_a_path_in_two_splits_goes_from_training_alone() -> None:
    (gone,) = exclusions(found("a:train a:valid", match(SAME_PATH, 0, 1)))
    assert gone == Exclusion("a", "train", "same path as a in valid")


def test_a_path_listed_twice_in_one_split_is_not_lost() -> None:
    assert left_out(found("a:train a:train v:valid", match(SAME_PATH, 0, 1))) == []


def test_bad_images_go_but_test_images_only_if_they_cannot_be_read() -> None:
    problems = (
        Problem(0, ODD, "wide"),
        Problem(1, NO_LABEL, "in train"),
        Problem(2, ODD, "wide"),
        Problem(3, UNREADABLE, "no such file"),
    )
    listed = exclusions(found("a:train b:train c:test d:test", problems=problems))
    assert [(item.path, item.reason) for item in listed] == [
        ("a", "odd shape: wide"),
        ("b", "no label: in train"),
        ("d", "unreadable: no such file"),
    ]


def test_a_bad_image_is_not_the_copy_that_stays() -> None:
    findings = found("a:train b:train v:valid", match(SAME_BYTES, 0, 1), problems=(Problem(0, ODD, "wide"),))
    assert left_out(findings) == ["a"]


@pytest.mark.parametrize("order", ["test valid train", "train test valid", "fold_2 fold_0 test"])
def test_parts_are_in_the_order_in_which_they_are_read(order: str) -> None:
    named = found(" ".join(f"{k}:train" for k in range(3)))
    parts = tuple(order.split())
    findings = Findings(**{**vars(named), "parts": parts})
    assert findings.names_of_parts() in (["train", "valid", "test"], ["fold_0", "fold_2", "test"])
