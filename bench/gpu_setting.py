"""What the steps of bench/gpu_day.py share: their sizes, the device, and the models and images that they make once."""

import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from infer.config import Device  # noqa: E402
from infer.images.listing import list_images  # noqa: E402
from infer.model.providers import CPU, CUDA, Provider  # noqa: E402
from infer.model.session import Session  # noqa: E402

Row = dict[str, Any]
"""A line of a table: its columns' titles and values."""

JPEG = (360, 363)
"""Width and height of the images that are predicted, as in the data sets that people use."""
QUALITY = 90


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured."""

    image_size: int
    networks: tuple[str, ...]
    """The architectures, smallest first."""
    cells: tuple[int, int, int]
    """Images of the data set that is trained on: training, validation, test."""
    repeat: int
    """How often each training image is linked, so that an epoch is long enough to time."""
    jpegs: int
    """Different JPEGs that are predicted."""
    images: int
    """Images of a prediction: the JPEGs again and again."""
    image_sizes: int
    """Different sizes in the folder of mixed sizes."""
    batches: tuple[int, ...]
    """Of the network alone."""
    batch: int
    """Of a prediction, as `lab predict` has it by default, and of the gate."""
    seconds: float
    """The shortest time of a measurement."""
    rounds: int
    """Of which the median counts."""
    epochs: int
    """Of the whole path's training."""
    too_many: int
    """Images of a batch that does not fit the memory."""
    memory: int
    """Bytes of memory that are left for it."""


ON_GPU = Sizes(
    image_size=224,
    networks=("resnet18", "resnet50", "resnet152"),
    cells=(256, 64, 64),
    repeat=32,
    jpegs=256,
    images=8192,
    image_sizes=500,
    batches=(64, 256),
    batch=64,
    seconds=0.3,
    rounds=3,
    epochs=3,
    too_many=1024,
    memory=2 << 30,
)
DRY = Sizes(
    image_size=32,
    networks=("resnet18",),
    cells=(16, 8, 4),
    repeat=1,
    jpegs=8,
    images=16,
    image_sizes=4,
    batches=(2,),
    batch=4,
    seconds=0.02,
    rounds=1,
    epochs=1,
    too_many=6000,
    memory=24 << 20,
)


@dataclass(frozen=True)
class Setting:
    """Where the steps work, and on which device: CUDA, or in a dry run the CPU."""

    work: Path
    """A folder for models and images, which later steps find."""
    dry_run: bool = False

    @property
    def sizes(self) -> Sizes:
        return DRY if self.dry_run else ON_GPU

    @property
    def provider(self) -> Provider:
        return CPU if self.dry_run else CUDA

    @property
    def device(self) -> Device:
        return "cpu" if self.dry_run else "cuda"

    def has(self, architecture: str) -> bool:
        """Whether this architecture is measured."""
        return architecture in self.sizes.networks

    def model(self, architecture: str, precision: str) -> Path:
        """A file of a network with random weights and with biases."""
        from precision import make_models  # late: it loads torch

        size = self.sizes.image_size

        def make(draft: Path) -> None:
            make_models(architecture, size, draft, [precision])

        return self._made(f"{architecture}.{precision}", make) / f"{architecture}.{precision}.onnx"

    def session(self, architecture: str, precision: str) -> Session:
        """The model on the device."""
        return Session(self.model(architecture, precision), self.device)

    def cells(self) -> Path:
        """A data set of synthetic cells in the reports' CSV layout."""
        from trainer.data.synthetic import make_set

        splits = dict(zip(("train", "valid", "test"), self.sizes.cells, strict=True))
        return self._made("cells", lambda draft: make_set(draft / "set", splits)) / "set"

    def jpegs(self) -> list[str]:
        """Paths of JPEGs of one size, 4:2:0, again and again until they are as many as a prediction takes."""

        def save(image: Image.Image, folder: Path, index: int) -> None:
            image.resize(JPEG).save(folder / f"{index:04}.jpg", quality=QUALITY)

        folder = self._made("jpegs", lambda draft: self._draw(draft, self.sizes.jpegs, save))
        return [str(folder / name) for name in islice(cycle(list_images(folder)), self.sizes.images)]

    def mixed_jpegs(self) -> list[str]:
        """Paths of JPEGs that all have different sizes."""

        def save(image: Image.Image, folder: Path, index: int) -> None:
            width, height = JPEG[0] - 40 + index % 25 * 3, JPEG[1] - 40 + index // 25 * 4
            image.resize((width, height)).save(folder / f"{index:04}.jpg", quality=QUALITY)

        folder = self._made("mixed", lambda draft: self._draw(draft, self.sizes.image_sizes, save))
        return [str(folder / name) for name in list_images(folder)]

    def jpegs_by_subsampling(self) -> dict[str, list[str]]:
        """Paths of JPEGs of the same drawings, by how their chroma is subsampled."""
        kinds = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}

        def save(image: Image.Image, folder: Path, index: int) -> None:
            small = image.resize(JPEG)
            for number in kinds.values():
                small.save(folder / f"{number}-{index:04}.jpg", quality=QUALITY, subsampling=number)
            small.convert("L").save(folder / f"grey-{index:04}.jpg", quality=QUALITY)

        folder = self._made("chroma", lambda draft: self._draw(draft, min(self.sizes.jpegs, 64), save))
        prefixes = {**{kind: str(number) for kind, number in kinds.items()}, "grey": "grey"}
        return {
            kind: [str(path) for path in sorted(folder.glob(f"{prefix}-*.jpg"))] for kind, prefix in prefixes.items()
        }

    def _draw(self, folder: Path, count: int, save: Callable[[Image.Image, Path, int], None]) -> None:
        from trainer.data.synthetic import draw_cell

        with ThreadPoolExecutor() as pool:
            for _ in pool.map(lambda index: save(draw_cell(index % 3 > 0, [1, index]), folder, index), range(count)):
                pass

    def _made(self, name: str, make: Callable[[Path], None]) -> Path:
        """A folder that `make` fills, unless an earlier step has; one that was ended meanwhile leaves no half of it."""
        folder, draft = self.work / name, self.work / f"draft-{name}"
        if not folder.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            make(draft)
            draft.rename(folder)
        return folder


Measure = Callable[[Setting], Iterator[Row]]
"""A step: it yields its rows as soon as they are measured."""
