import pytest

from infer.dataset.masks import find_masks


@pytest.mark.parametrize(
    "name",
    ["x_mask.png", "x-mask.JPG", "x_Mask_2.png", "x-d.bmp", "x_segmentation.png", "x_GT.tif", "x_superpixels.png"],
)
def test_a_file_with_a_masks_mark_beside_its_picture_is_a_mask(name: str) -> None:
    assert find_masks([f"cat/{name}", "cat/X.png", f"dog/{name}", name]) == [f"cat/{name}"]


@pytest.mark.parametrize(
    "name", ["xd.png", "x_d.png", "x_2.png", "x_masked_ball.png", "mask.png", "x_left.png", "mask_x.png"]
)
def test_other_names_are_pictures(name: str) -> None:
    assert find_masks(["x.png", name]) == []


def test_a_mark_in_a_pictures_own_name_is_no_mask() -> None:
    assert find_masks(["benign (1).png", "benign (1)_mask.png", "benign (1)_mask_1.png"]) == [
        "benign (1)_mask.png",
        "benign (1)_mask_1.png",
    ]
    assert find_masks(["a_mask.png", "b_mask.png"]) == []


def test_a_folder_of_masks_holds_only_names_of_the_images_beside_it() -> None:
    images = ["c/images/1.jpg", "c/images/2.jpg"]
    assert find_masks([*images, "c/masks/1.png", "c/masks/2_mask.png"]) == ["c/masks/1.png", "c/masks/2_mask.png"]
    assert find_masks([*images, "c/masks/1.png", "c/masks/3.png"]) == []
    assert find_masks([*images, "c/lung masks/1.png", "c/lung/2.png"]) == ["c/lung masks/1.png"]
    assert find_masks([*images, "d/masks/1.png"]) == []
