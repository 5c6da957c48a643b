"""The headers of labels tables: words for each role, and those of public data sets with their sources."""

from collections.abc import Sequence
from dataclasses import dataclass

IMAGE_NAMES = (
    *(
        "path",
        "image",
        "image_id",
        "image_name",
        "filename",
        "file_name",
        "file",
        "filepath",
        "file_path",
        "image_path",
    ),
    *("img", "img_path", "name", "id"),
)


LABEL_NAMES = ("label", "labels", "class", "target", "level", "grade", "diagnosis", "category", "truth")


GROUP_NAMES = ("group", "patient", "patient_id", "patientid", "patient id", "subject", "subject_id")


SPLIT_COLUMN_NAMES = ("split", "subset", "partition")


@dataclass(frozen=True)
class KnownHeader:
    """A header that a public data set is distributed with; names in lower case."""

    source: str
    image: str
    label: str
    group: str = ""
    """The patient's or lesion's column; images of one never cross splits."""
    group_pattern: str = ""
    """Where a cell of that column holds more than the patient: the first group of this expression is the patient."""


KNOWN_HEADERS = (
    KnownHeader("APTOS 2019 blindness detection, kaggle.com", "id_code", "diagnosis"),
    KnownHeader("EyePACS diabetic retinopathy detection 2015, kaggle.com", "image", "level"),
    KnownHeader("HAM10000, doi.org/10.7910/DVN/DBW86T", "image_id", "dx", "lesion_id"),
    KnownHeader("Cassava leaf disease 2020, kaggle.com", "image_id", "label"),
    KnownHeader("PatchCamelyon as on Kaggle, histopathologic cancer detection", "id", "label"),
    KnownHeader("IDRiD, doi.org/10.21227/H25W98", "image name", "retinopathy grade"),
    KnownHeader("Messidor-2 adjudicated grades, kaggle.com", "image_id", "adjudicated_dr_grade"),
    KnownHeader(
        "C-NMC 2019 preliminary test set, doi.org/10.7937/tcia.2019.dc64i46r",
        *("new_names", "labels", "patient_id"),
        group_pattern=r"UID_([^_]+)_",
    ),
    KnownHeader("SIIM-ISIC melanoma 2020, kaggle.com", "image_name", "target", "patient_id"),
    KnownHeader("PAD-UFES-20, doi.org/10.17632/zr7vgbcyr2.1", "img_id", "diagnostic", "patient_id"),
    KnownHeader("RSNA pneumonia detection 2018, kaggle.com", "patientid", "target", "patientid"),
    KnownHeader("NIH ChestX-ray14, nihcc.app.box.com", "image index", "finding labels", "patient id"),
    KnownHeader("Fitzpatrick17k, github.com/mattgroh/fitzpatrick17k", "md5hash", "label"),
    KnownHeader("Hugging Face image folders, metadata.csv and metadata.jsonl", "file_name", "label"),
    KnownHeader("lab and the reports that it grew from", "path", "label"),
)
"""Tried in this order, by the columns for image and label; the first that a header holds is taken."""


def names_images(header: Sequence[str]) -> bool:
    """Whether a column of a header names images, by its words or as in a known header."""
    names = {name.lower() for name in header}
    if names.intersection(IMAGE_NAMES):
        return True
    return any(
        known.image in names and (known.label in names or known.image not in GROUP_NAMES) for known in KNOWN_HEADERS
    )
