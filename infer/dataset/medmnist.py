"""The class names of MedMNIST, which its files do not tell.

Source: medmnist/info.py of github.com/MedMNIST/MedMNIST, release 3.0.2, for Yang et al., MedMNIST v2, Scientific Data
10:41 (2023), doi.org/10.1038/s41597-022-01721-8. RetinaMNIST's classes are the grades 0 to 4 themselves.
"""

import re
from collections.abc import Set

_ORGANS = (
    *("bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver", "lung-left"),
    *("lung-right", "pancreas", "spleen"),
)
CLASSES = {
    "pathmnist": (
        *("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa"),
        *("cancer-associated stroma", "colorectal adenocarcinoma epithelium"),
    ),
    "dermamnist": (
        *("actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma", "benign keratosis-like lesions"),
        *("dermatofibroma", "melanoma", "melanocytic nevi", "vascular lesions"),
    ),
    "octmnist": ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
    "pneumoniamnist": ("normal", "pneumonia"),
    "breastmnist": ("malignant", "normal, benign"),
    "bloodmnist": (
        *("basophil", "eosinophil", "erythroblast"),
        "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
        *("lymphocyte", "monocyte", "neutrophil", "platelet"),
    ),
    "tissuemnist": (
        *("Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule", "Glomerular endothelial cells"),
        *("Interstitial endothelial cells", "Leukocytes", "Podocytes", "Proximal Tubule Segments"),
        "Thick Ascending Limb",
    ),
    "organamnist": _ORGANS,
    "organcmnist": _ORGANS,
    "organsmnist": _ORGANS,
}
"""Class names of the sets with one label per image; label i is the class at position i."""
FINDINGS = {
    "chestmnist": (
        *("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax"),
        *("consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia"),
    ),
}
"""Findings of the sets with several per image; column i is the finding at position i."""


def class_names(name: str, labels: Set[str]) -> tuple[str, ...]:
    """The class names of the set with this file name, `pathmnist` or `pathmnist_224`; () where not all labels fit."""
    names = CLASSES.get(_without_size(name), ())
    return names if labels <= {str(position) for position in range(len(names))} else ()


def finding_names(name: str, count: int) -> list[str]:
    """The names of `count` findings an image: those of the set with this file name, otherwise by position."""
    names = FINDINGS.get(_without_size(name), ())
    return list(names) if len(names) == count else [f"finding_{position}" for position in range(count)]


def _without_size(name: str) -> str:
    return re.sub(r"_(28|64|128|224)$", "", name.lower())
