import pytest

from infer.dataset.known_headers import names_images


@pytest.mark.parametrize(
    "header", [["Path"], ["age", "Image_ID"], ["ID_code"], ["patientId", "Target"], ["Image name", "x"]]
)
def test_a_header_names_images_by_its_words_or_as_a_public_set_does(header: list[str]) -> None:
    assert names_images(header)


@pytest.mark.parametrize("header", [["age", "label"], ["patientId"], ["a.png"], []])
def test_a_header_without_such_a_column_names_none(header: list[str]) -> None:
    assert not names_images(header)
