"""How lab reads public data sets as their owners ship them: right, refused with a remedy, or wrong.

    python bench/layouts.py             prints each set, and exits 1 if one is read wrongly
    python bench/layouts.py --render    prints the table of docs/data.md

Each set is made in small, with drawn pictures, made-up ids, and the real folders and headers (sets_with_tables.py,
sets_in_files.py). lab's own readers read it as it is, and then with the option that the row names; each picture that is
found must have the label and the split that it was made with, and none may be missing or added.
"""

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import numpy as np  # noqa: E402
import sets_in_files as files  # noqa: E402
import sets_with_tables as tables  # noqa: E402
from PIL import Image  # noqa: E402
from small_set import NONE, TEST, TRAIN, VALID, Folder, PublicSet, number_of  # noqa: E402

from infer.config import LabelOptions  # noqa: E402
from infer.core.errors import LabError  # noqa: E402
from infer.dataset.source import read_table  # noqa: E402
from infer.dataset.validation import check_trainable  # noqa: E402

SPLITS = {"train": TRAIN, "test": TEST}
RIGHT, REFUSED, WRONG = "right", "refused", "WRONG"
ISIC_2018 = "MEL,NV,BCC,AKIEC,BKL,DF,VASC"
ISIC_2019 = "MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK"

SETS = (
    PublicSet("C-NMC 2019", tables.cnmc),
    PublicSet(
        "C-NMC 2019, preliminary test set",
        tables.cnmc_preliminary,
        options=("--labels C-NMC_test_prelim_phase_data_labels.csv",),
    ),
    PublicSet("APTOS 2019", tables.aptos),
    PublicSet("EyePACS (Kaggle 2015)", tables.eyepacs, options=("--labels trainLabels.csv",)),
    PublicSet("Messidor-2", tables.messidor, options=("--labels messidor_data.csv",)),
    PublicSet(
        "IDRiD",
        tables.idrid,
        data="1. Original Images/a. Training Set",
        options=("--labels 2. Groundtruths/a. IDRiD_Disease Grading_Training Labels.csv",),
    ),
    PublicSet("HAM10000", tables.ham, options=("--labels HAM10000_metadata.csv",)),
    PublicSet(
        "ISIC 2016, task 3", tables.isic_2016, options=("--labels ISBI2016_ISIC_Part3_Training_GroundTruth.csv",)
    ),
    PublicSet(
        "ISIC 2017, task 3",
        tables.isic_2017,
        options=("--labels ISIC-2017_Training_Part3_GroundTruth.csv", "--label-column melanoma"),
    ),
    PublicSet(
        "ISIC 2018, task 3",
        tables.isic_one_hot(2018, ISIC_2018),
        options=("--labels ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv",),
    ),
    PublicSet(
        "ISIC 2019", tables.isic_one_hot(2019, ISIC_2019), options=("--labels ISIC_2019_Training_GroundTruth.csv",)
    ),
    PublicSet("SIIM-ISIC 2020", tables.isic_2020, options=("--label-column target",)),
    PublicSet("Plant Pathology 2020", tables.plant_pathology),
    PublicSet("Cassava leaf disease 2020", tables.cassava),
    PublicSet("PatchCamelyon", files.pcam_h5),
    PublicSet("PatchCamelyon on Kaggle", tables.pcam_kaggle, options=("--labels train_labels.csv",)),
    PublicSet("PathMNIST (MedMNIST)", files.medmnist("pathmnist.npz", 9), data="pathmnist.npz"),
    PublicSet("BloodMNIST (MedMNIST)", files.medmnist("bloodmnist_64.npz", 8), data="bloodmnist_64.npz"),
    PublicSet("RetinaMNIST (MedMNIST)", files.medmnist("retinamnist.npz", 5), data="retinamnist.npz"),
    PublicSet("PneumoniaMNIST (MedMNIST)", files.medmnist("pneumoniamnist.npz", 2, grey=True)),
    PublicSet("NIH ChestX-ray14", tables.nih, options=("--labels Data_Entry_2017.csv", "--label-column Cardiomegaly")),
    PublicSet("CheXpert", tables.chexpert, data="CheXpert-v1.0-small", options=("--label-column Cardiomegaly",)),
    PublicSet(
        "Chest X-Ray Pneumonia",
        files.folders(
            {"chest_xray/train": TRAIN, "chest_xray/val": VALID, "chest_xray/test": TEST},
            *("NORMAL|PNEUMONIA", "person{k}_{label}.jpeg", "chest_xray/__MACOSX/train/._IM-0001.jpeg"),
        ),
        data="chest_xray",
    ),
    PublicSet("COVID-QU-Ex", files.covid_qu_ex, data="Lung Segmentation Data/Lung Segmentation Data"),
    PublicSet("BreakHis", files.breakhis, data="BreaKHis_v1/histology_slides/breast"),
    PublicSet("BACH", files.bach, data="Photos"),
    PublicSet(
        "Kather NCT-CRC-HE-100K",
        files.folders({".": TRAIN}, "ADI|BACK|DEB|LYM|MUC|MUS|NORM|STR|TUM", "{label}-AAA{k}.tif"),
    ),
    PublicSet("LC25000, lung", files.lc25000, data="lung_colon_image_set/lung_image_sets"),
    PublicSet(
        "Malaria cell images",
        files.folders(
            {"cell_images/cell_images": TRAIN},
            *("Parasitized|Uninfected", "C{k}P{k}ThinF_{label}.png"),
            *(f"cell_images/{label}/C{k}P{k}.png" for label in ("Parasitized", "Uninfected") for k in (1, 2)),
            texts={"cell_images/Parasitized/Thumbs.db": ""},
        ),
        data="cell_images/cell_images",
    ),
    PublicSet("Blood cells (BCCD, Kaggle)", tables.bccd_table, data="images"),
    PublicSet(
        "PBC (Barcelona)",
        files.folders(
            {".": TRAIN},
            "basophil|eosinophil|erythroblast|ig|lymphocyte|monocyte|neutrophil|platelet",
            "{label}_10010{k}.jpg",
            texts={"eosinophil/.DS_169665.jpg": ""},
        ),
    ),
    PublicSet(
        "Raabin-WBC",
        files.folders(
            {"Train": TRAIN, "TestA": TEST, "TestB": TEST},
            *("Basophil|Eosinophil|Lymphocyte|Monocyte|Neutrophil", "95-5-2-1_{k}_{label}.jpg"),
        ),
    ),
    PublicSet("ALL-IDB1", files.all_idb(1), data="im"),
    PublicSet("ALL-IDB2", files.all_idb(2), data="img"),
    PublicSet("PAD-UFES-20", tables.pad_ufes, options=("--labels metadata.csv",)),
    PublicSet(
        "DermNet",
        files.folders(SPLITS, "Acne and Rosacea Photos|Eczema Photos", "07{label}{k}.jpg"),
    ),
    PublicSet(
        "Brain tumor MRI",
        files.folders(
            {"Training": TRAIN, "Testing": TEST}, "glioma|meningioma|notumor|pituitary", "Tr-{label}_{k}.jpg"
        ),
    ),
    PublicSet(
        "ODIR-5K",
        tables.odir,
        options=("--labels full_df.csv", "--image-column filename", "--label-column labels"),
    ),
    PublicSet("DDR, grading", tables.ddr, options=("--labels train.txt",)),
    PublicSet(
        "Roboflow, folders",
        files.folders({"train": TRAIN, "valid": VALID, "test": TEST}, "RBC|WBC", "{label}_{k}.rf.1a.jpg"),
    ),
    PublicSet("Roboflow, _classes.csv", tables.roboflow_csv, data="train", options=("--labels train/_classes.csv",)),
    PublicSet(
        "Hugging Face imagefolder", tables.huggingface_folder, data="train", options=("--labels train/metadata.csv",)
    ),
    PublicSet("Hugging Face parquet", files.huggingface_parquet),
    PublicSet("WebDataset", files.webdataset),
)


@dataclass(frozen=True)
class Outcome:
    """How one set was read."""

    state: str
    """RIGHT, REFUSED or WRONG."""
    detail: str
    """The options with which it is read, the refusal, or what is wrong."""
    options: int = 0
    """The number of options that it takes to read the set right."""


def main() -> None:
    """Read every set, and print the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--render", action="store_true", help="print the table of docs/data.md")
    render = parser.parse_args().render
    outcomes = {item.name: measure(item) for item in SETS}
    print(
        table_text(outcomes) if render else "\n".join(f"{name}: {o.state}: {o.detail}" for name, o in outcomes.items())
    )
    wrong = [name for name, outcome in outcomes.items() if outcome.state == WRONG]
    if not render:
        easy = sum(outcome.state == RIGHT and outcome.options <= 1 for outcome in outcomes.values())
        right = sum(outcome.state == RIGHT for outcome in outcomes.values())
        print(f"{len(outcomes)} sets: {right} read right, {easy} of them with at most one option, {len(wrong)} wrong")
    sys.exit(bool(wrong))


def measure(item: PublicSet) -> Outcome:
    """Make a set and read it, as it is and with its options; nor may the whole folder of a set be read wrongly."""
    with tempfile.TemporaryDirectory() as name:
        os.environ["LAB_CACHE"] = str(Path(name, "cache"))
        folder = Path(name, "set")
        folder.mkdir()
        item.make(made := Folder(folder))
        whole = read(replace(item, data="."), made, ())
        if item.data != "." and whole.state == WRONG:
            return Outcome(WRONG, f"the whole folder: {whole.detail}")
        plain = read(item, made, ())
        if plain.state != REFUSED or not item.options:
            return plain
        return read(item, made, item.options)


def read(item: PublicSet, made: Folder, options: tuple[str, ...]) -> Outcome:
    """Read a set as `lab train` and `lab data check` do, and compare what was found with what was made."""
    try:
        table = read_table(made.root / item.data, options=label_options(made.root, options))
        check_trainable(table)
    except LabError as error:
        return Outcome(REFUSED, str(error).replace(f"{made.root}{os.sep}", "").replace(str(made.root), "the folder"))
    labels = [table.classes[label].label if label >= 0 else NONE for label in table.labels]
    found = {}
    for file, label, split in zip(table.files(), labels, table.splits, strict=True):
        with Image.open(file) as image:
            found[number_of(float(np.asarray(image.convert("L")).mean()))] = (label, split)
    if found != made.truth or len(table) != len(made.truth):
        numbers = sorted(k for k in found.keys() | made.truth.keys() if found.get(k) != made.truth.get(k))
        k = numbers[0] if numbers else -1
        return Outcome(WRONG, f"{len(numbers)} pictures, such as {k}: {found.get(k)} instead of {made.truth.get(k)}")
    return Outcome(RIGHT, " ".join(options), len(options))


def label_options(root: Path, options: tuple[str, ...]) -> LabelOptions:
    """The options of the command line as the config that they make."""
    values: dict[str, object] = {}
    for option in options:
        name, _, value = option.partition(" ")
        field = name.removeprefix("--").replace("-", "_")
        values[field] = root / value if field == "labels" else (root / value,) if field == "images" else value
    return LabelOptions(**values)  # type: ignore[arg-type]


def table_text(outcomes: dict[str, Outcome]) -> str:
    """The table of docs/data.md."""
    return "\n".join(
        ["| set | named as | read |", "|---|---|---|", *(row_text(item, outcomes[item.name]) for item in SETS)]
    )


def row_text(item: PublicSet, outcome: Outcome) -> str:
    """The row of a set in that table."""
    named = "the folder" if item.data == "." else f"`{item.data}`"
    words = f"refused: {outcome.detail}" if outcome.state == REFUSED else outcome.state
    if outcome.state == RIGHT and outcome.detail:
        words = f"right, with `{outcome.detail}`"
    return f"| {item.name} | {named} | {words} |"


if __name__ == "__main__":
    main()
