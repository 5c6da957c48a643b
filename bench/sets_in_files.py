"""Public data sets that are class folders, or a few files that hold their images, in small.

Where a set comes from stands beside its function, or its row in `layouts.py`.
"""

import io
import json
import tarfile
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image
from small_set import TEST, TRAIN, VALID, Folder


def pcam_h5(made: Folder) -> None:
    """Source: github.com/basveeling/pcam."""
    import h5py

    for name, split, count in (("train", TRAIN, 6), ("valid", VALID, 4), ("test", TEST, 2)):
        labels = np.arange(count) % 2
        start = made.root / f"camelyonpatch_level_2_split_{name}"
        with h5py.File(f"{start}_x.h5", "w") as file:
            file["x"] = np.stack([made.pixels(str(label), split, 96) for label in labels])
        with h5py.File(f"{start}_y.h5", "w") as file:
            file["y"] = labels.astype(np.uint8).reshape(-1, 1, 1, 1)
        rows = (f"{k},0,0,False,False,slide_{name}_{k}" for k in range(count))
        header = ",coord_y,coord_x,tumor_patch,center_tumor_patch,wsi"
        made.text(f"camelyonpatch_level_2_split_{name}_meta.csv", header, *rows)


def medmnist(name: str, classes: int, grey: bool = False) -> Callable[[Folder], None]:
    """Source: medmnist.com."""

    def make(made: Folder) -> None:
        arrays = {}
        for part, split, count in (("train", TRAIN, 8), ("val", VALID, 4), ("test", TEST, 3)):
            labels = np.arange(count) % classes
            images = np.stack([made.pixels(str(label), split, 28) for label in labels])
            arrays[f"{part}_images"] = images[..., 0] if grey else images
            arrays[f"{part}_labels"] = labels.astype(np.uint8)[:, None]
        np.savez_compressed(made.root / name, allow_pickle=False, **arrays)

    return make


def huggingface_parquet(made: Folder) -> None:
    """Source: huggingface.co/docs/hub/datasets-image."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (made.root / "data").mkdir()
    names = ["benign", "malignant"]
    for part, split, count in (("train", TRAIN, 6), ("test", TEST, 2)):
        images = [{"bytes": png(made.pixels(str(k % 2), split)), "path": f"{k}.png"} for k in range(count)]
        struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table({"image": pa.array(images, struct), "label": pa.array([k % 2 for k in range(count)])})
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        pq.write_table(table, made.root / "data" / f"{part}-00000-of-00001.parquet")


def webdataset(made: Folder) -> None:
    """Source: github.com/webdataset/webdataset."""
    for part, split, count in (("train", TRAIN, 6), ("val", VALID, 4)):
        with tarfile.open(made.root / f"cells-{part}-000000.tar", "w") as shard:
            for k in range(count):
                content = png(made.pixels(str(k % 2), split))
                for name, data in ((f"{k:06}.png", content), (f"{k:06}.cls", str(k % 2).encode())):
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    shard.addfile(member, io.BytesIO(data))


def png(pixels: np.ndarray) -> bytes:
    """The content of a PNG file."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def folders(
    layout: Mapping[str, str], labels: str, name: str, *others: str, texts: Mapping[str, str] | None = None
) -> Callable[[Folder], None]:
    """Make a set of class folders: `layout` gives the split of each folder, `labels` are parted by `|`."""

    def make(made: Folder) -> None:
        for folder, split in layout.items():
            made.classes(folder, labels.split("|"), name, 2, split)
        for path in others:
            made.image(path)
        for path, content in (texts or {}).items():
            made.text(path, *content.split("\n"))

    return make


def covid_qu_ex(made: Folder) -> None:
    """Source: kaggle.com/datasets/anasmohammedtahir/covidqu."""
    top = "Lung Segmentation Data/Lung Segmentation Data"
    for part, split in (("Train", TRAIN), ("Val", VALID), ("Test", TEST)):
        for label, prefix in (("COVID-19", "covid"), ("Non-COVID", "non_COVID"), ("Normal", "Normal")):
            for k in range(2):
                made.image(f"{top}/{part}/{label}/images/{prefix}_{part}{k}.png", label, split)
                made.image(f"{top}/{part}/{label}/lung masks/{prefix}_{part}{k}.png")


def breakhis(made: Folder) -> None:
    """Source: web.inf.ufpr.br/vri/databases/breast-cancer-histopathological-database-breakhis."""
    top = "BreaKHis_v1/histology_slides/breast"
    for label, kinds in (("benign", ("adenosis", "fibroadenoma")), ("malignant", ("ductal_carcinoma",))):
        for kind in kinds:
            slide = f"SOB_{label[0].upper()}_{kind[0].upper()}_14-22549AB"
            for size in ("40X", "100X"):
                name = f"{slide}-{size[:-1]}-001.png"
                made.image(f"{top}/{label}/SOB/{kind}/{slide}/{size}/{name}", label)
    made.text(f"{top}/README.txt", "Breast Cancer Histopathological Database")


def bach(made: Folder) -> None:
    """Source: doi.org/10.5281/zenodo.3632035; the table has no header."""
    rows = []
    for label, prefix in (("Benign", "b"), ("InSitu", "is"), ("Invasive", "iv"), ("Normal", "n")):
        for k in (1, 2):
            made.image(f"Photos/{label}/{prefix}{k:03}.tif", label)
            rows.append(f"{prefix}{k:03}.tif,{label}")
        made.text(f"Photos/{label}/Thumbs.db", "")
    made.text("Photos/microscopy_ground_truth.csv", *rows)
    made.image("WSI/thumbnails/A01.png")


def lc25000(made: Folder) -> None:
    """Source: github.com/tampapath/lung_colon_image_set."""
    for label in ("colon_aca", "colon_n"):
        made.image(f"lung_colon_image_set/colon_image_sets/{label}/{label}1.jpeg")
    made.classes("lung_colon_image_set/lung_image_sets", ("lung_aca", "lung_n", "lung_scc"), "{label}{k}.jpeg")


def all_idb(number: int) -> Callable[[Folder], None]:
    """Source: scotti.di.unimi.it/all; the class is the name's last digit."""

    def make(made: Folder) -> None:
        for k in range(6):
            made.image(
                f"{'im' if number == 1 else 'img'}/Im{k + 1:03}_{k % 2}.{'jpg' if number == 1 else 'tif'}", str(k % 2)
            )
            if number == 1:
                made.text(f"xyc/Im{k + 1:03}_{k % 2}.xyc", "1 1")

    return make
