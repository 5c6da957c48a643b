"""MedMNIST's class names belong to its own sets, at every size."""

import pytest

from infer.dataset.medmnist import CLASSES, FINDINGS, class_names, finding_names


def test_every_set_has_as_many_classes_as_its_paper_says() -> None:
    counts = {"path": 9, "derma": 7, "oct": 4, "pneumonia": 2, "breast": 2, "blood": 8, "tissue": 8}
    counts |= {"organa": 11, "organc": 11, "organs": 11}
    assert {name: len(names) for name, names in CLASSES.items()} == {f"{key}mnist": n for key, n in counts.items()}
    assert {name: len(names) for name, names in FINDINGS.items()} == {"chestmnist": 14}
    assert all(len(set(names)) == len(names) for names in CLASSES.values())


@pytest.mark.parametrize("name", ["pathmnist", "PathMNIST", "pathmnist_28", "pathmnist_64", "pathmnist_224"])
def test_a_set_is_known_by_its_file_name_at_every_size(name: str) -> None:
    assert class_names(name, {"0", "8"})[8] == "colorectal adenocarcinoma epithelium"


def test_other_sets_and_other_labels_have_no_names() -> None:
    assert class_names("cells", {"0"}) == ()
    assert class_names("pathmnist", {"0", "9"}) == ()
    assert finding_names("chestmnist", 14)[1] == "cardiomegaly"
    assert finding_names("chestmnist", 2) == ["finding_0", "finding_1"]
