"""What people run instead: other loops over the same image files, for the rows of bench/train.py and bench/predict.py.

The two that train read and augment every image anew in each epoch, in DataLoader worker processes that stay for the
next epoch, and drop the last partial batch. The epochs after the first are timed, whole; the first starts the workers,
fills the disk's cache and lets cuDNN choose its kernels.
"""

import importlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import models, transforms

from trainer.run.precision import has_bf16

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LOG_INTERVAL = 50  # steps between two lines of progress; timm's default


def lab_report_loop(
    files: Sequence[str],
    labels: Sequence[int],
    architecture: str,
    image_size: int,
    batch_size: int,
    device: torch.device,
    workers: int,
    epochs: int = 2,
    steps: int | None = None,
) -> float:
    """Images/s of a lab report's plain PyTorch loop, as its authors write it.

    Pillow and torchvision transforms, torchvision's ResNet from scratch, float32 (on a GPU with PyTorch's default:
    TF32 in convolutions), no channels_last, no pinned memory, and loss and accuracy read back after every step.

    Args:
        files: images that Pillow reads.
        labels: a class index for each file, counted from 0.
        architecture: a torchvision name, such as `resnet18`.
        image_size: side of the square input, pixels.
        batch_size: images per step.
        device: where the network runs.
        workers: DataLoader processes; 0 decodes in this one.
        epochs: 2 or more; all but the first are timed.
        steps: at most so many steps in an epoch, on a fixed random part of the files; None for all files.

    Raises:
        ValueError: the files do not fill a batch, or there is no epoch to time.
    """
    files, labels = _part_of(files, labels, batch_size, steps)
    loader = DataLoader(
        _ImageFiles(files, labels, _report_transform(image_size)),
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    network = getattr(models, architecture)(weights=None, num_classes=max(labels) + 1).to(device)
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-3)

    def train_epoch(_epoch: int) -> int:
        network.train()
        images_seen, running_loss, running_correct = 0, 0.0, 0
        for batch, truth in loader:
            inputs, targets = batch.to(device), truth.to(device)
            optimizer.zero_grad()
            outputs = network(inputs)
            loss = criterion(outputs, targets)
            loss.backward()
            optimizer.step()
            running_loss += loss.item() * len(inputs)
            running_correct += (outputs.argmax(1) == targets).sum().item()
            images_seen += len(inputs)
        return images_seen

    with _cudnn_benchmark(False):
        return _warm_rate(train_epoch, epochs, device)


def timm_loop(
    files: Sequence[str],
    labels: Sequence[int],
    architecture: str,
    image_size: int,
    batch_size: int,
    device: torch.device,
    workers: int,
    epochs: int = 2,
    steps: int | None = None,
) -> float:
    """Images/s of a loop made of timm's parts, set up as timm's train.py is by default for a ResNet.

    Its loader with the device prefetcher (random resized crop, horizontal flip, colour jitter 0.4, random choice of
    bilinear and bicubic), Nesterov SGD without weight decay on biases and normalisation, cosine schedule with warm-up,
    label smoothing 0.1, cuDNN's search for kernels. From train.py's options, the ones that make it fast: `--amp
    --amp-dtype bfloat16` (on CUDA, and on CPUs that multiply bfloat16 numbers), `--pin-mem` (on CUDA),
    `--channels-last`. Kinder than train.py in one point: the loss is read back only where it would be shown.

    Args and ValueError: as `lab_report_loop`; `architecture` is timm's name.

    Raises:
        ModuleNotFoundError: timm is not installed; this project does not depend on it.
    """
    timm = importlib.import_module("timm")  # by name: mypy must pass with and without it
    files, labels = _part_of(files, labels, batch_size, steps)
    loader = _timm_loader(files, labels, image_size, batch_size, device, workers)
    network = timm.create_model(architecture, num_classes=max(labels) + 1)
    network.to(device=device, memory_format=torch.channels_last)
    criterion = importlib.import_module("timm.loss").LabelSmoothingCrossEntropy(smoothing=0.1)
    optimizer = importlib.import_module("timm.optim").create_optimizer_v2(
        network, opt="sgd", lr=0.1 * batch_size / 256, momentum=0.9, weight_decay=2e-5
    )
    scheduler, _ = importlib.import_module("timm.scheduler").create_scheduler_v2(
        optimizer, sched="cosine", num_epochs=300, warmup_epochs=5, updates_per_epoch=len(loader)
    )
    losses = importlib.import_module("timm.utils").AverageMeter()

    def train_epoch(epoch: int) -> int:
        network.train()
        images_seen = 0
        for step, (batch, targets) in enumerate(loader):
            inputs = batch.contiguous(memory_format=torch.channels_last)
            with _mixed(device):
                loss = criterion(network(inputs), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            images_seen += len(inputs)
            if step % LOG_INTERVAL == 0 or step == len(loader) - 1:
                losses.update(loss.item(), len(inputs))
            scheduler.step_update(num_updates=epoch * len(loader) + step + 1, metric=losses.avg)
        scheduler.step(epoch + 1)
        return images_seen

    with _cudnn_benchmark(True):
        return _warm_rate(train_epoch, epochs, device)


def lab_report_prediction(
    files: Sequence[str], architecture: str, image_size: int, batch_size: int, device: torch.device, workers: int
) -> float:
    """Images/s of a lab report's prediction: a DataLoader, torchvision's transforms and network, float32, eager.

    Args: as `lab_report_loop`. The loader's start is not timed, as its first batch is waited for before.
    """
    transform = transforms.Compose(
        [
            transforms.Resize(round(image_size * 8 / 7)),
            transforms.CenterCrop(image_size),
            transforms.ToTensor(),
            transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    dataset = _ImageFiles(files, [0] * len(files), transform)
    loader = DataLoader(dataset, batch_size=batch_size, num_workers=workers)
    network = getattr(models, architecture)(weights=None, num_classes=2).to(device).eval()
    return _prediction_rate(loader, lambda batch: network(batch.to(device)))


def timm_prediction(
    files: Sequence[str], architecture: str, image_size: int, batch_size: int, device: torch.device, workers: int
) -> float:
    """Images/s of timm's evaluation loader and network, as its inference.py sets them up, with `--amp` on CUDA.

    Args: as `lab_report_loop`.

    Raises:
        ModuleNotFoundError: timm is not installed; this project does not depend on it.
    """
    timm, data = importlib.import_module("timm"), importlib.import_module("timm.data")
    loader = data.create_loader(
        data.ImageDataset("", reader=[(file, 0) for file in files]),
        input_size=(3, image_size, image_size),
        batch_size=batch_size,
        is_training=False,
        use_prefetcher=device.type == "cuda",
        interpolation="bilinear",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        num_workers=workers,
        crop_pct=0.875,
        pin_memory=device.type == "cuda",
        device=device,
    )
    network = timm.create_model(architecture, num_classes=2).to(device, memory_format=torch.channels_last).eval()

    def run(batch: Tensor) -> Tensor:
        with _mixed(device):
            answer: Tensor = network(batch.to(device, memory_format=torch.channels_last))
        return answer

    return _prediction_rate(loader, run)


def _prediction_rate(loader: Any, run: Callable[[Tensor], Tensor]) -> float:
    """Images/s from the second batch on; answers are brought to the host, as a CSV needs them."""
    start, images_seen = 0.0, 0
    with torch.inference_mode():
        for number, (batch, _) in enumerate(loader):
            run(batch).argmax(1).cpu()
            if number == 0:
                start = time.perf_counter()
            else:
                images_seen += len(batch)
    if not images_seen:
        raise ValueError("all images are in the first batch; give more images or a smaller batch")
    return images_seen / (time.perf_counter() - start)


class _ImageFiles(Dataset[tuple[Tensor, int]]):
    """One image file per item, decoded and transformed each time it is asked for."""

    def __init__(self, files: Sequence[str], labels: Sequence[int], transform: Callable[[Image.Image], Tensor]) -> None:
        self.files = files
        self.labels = labels
        self.transform = transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.open(self.files[index]).convert("RGB")
        return self.transform(image), self.labels[index]


def _report_transform(image_size: int) -> Any:
    """Rotation on the whole image, flips, shorter side to 8/7 of the input, random crop, ImageNet's mean and std."""
    return transforms.Compose(
        [
            transforms.RandomRotation(20),
            transforms.RandomHorizontalFlip(),
            transforms.RandomVerticalFlip(),
            transforms.Resize(round(image_size * 8 / 7)),
            transforms.RandomCrop(image_size),
            transforms.ToTensor(),
            transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )


def _timm_loader(
    files: Sequence[str], labels: Sequence[int], image_size: int, batch_size: int, device: torch.device, workers: int
) -> Any:
    """Timm's training loader: iterates over (images float32 [N, 3, S, S], labels int64 [N]) on the device."""
    data = importlib.import_module("timm.data")
    # A list of (path, label) is what timm calls a reader.
    dataset = data.ImageDataset("", reader=list(zip(files, labels, strict=True)))
    return data.create_loader(
        dataset,
        input_size=(3, image_size, image_size),
        batch_size=batch_size,
        is_training=True,
        use_prefetcher=True,
        scale=(0.08, 1.0),
        ratio=(3 / 4, 4 / 3),
        hflip=0.5,
        color_jitter=0.4,
        interpolation="random",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        num_workers=workers,
        persistent_workers=True,
        pin_memory=device.type == "cuda",
        device=device,
    )


def _part_of(
    files: Sequence[str], labels: Sequence[int], batch_size: int, steps: int | None
) -> tuple[list[str], list[int]]:
    """The files and labels that one epoch reads: all, or so many as `steps` batches take."""
    rows: Sequence[int] = range(len(files))
    if steps is not None and steps * batch_size < len(files):
        # Drawn, not the first: files are often listed class by class. Not an epoch broken off: what the workers had
        # prepared beyond it would be thrown away at the cost of the next one.
        rows = random.Random(0).sample(rows, steps * batch_size)
    if len(rows) < batch_size:
        raise ValueError(f"{len(rows)} images do not fill a batch of {batch_size}")
    return [files[row] for row in rows], [labels[row] for row in rows]


def _warm_rate(train_epoch: Callable[[int], int], epochs: int, device: torch.device) -> float:
    """Images/s over all epochs but the first; `train_epoch` takes an epoch's index and returns its number of images."""
    if epochs < 2:
        raise ValueError(f"{epochs} epochs leave none to time after the first; give 2 or more")
    train_epoch(0)
    _wait_for(device)
    start = time.perf_counter()
    images_seen = sum(train_epoch(epoch) for epoch in range(1, epochs))
    _wait_for(device)
    return images_seen / (time.perf_counter() - start)


def _wait_for(device: torch.device) -> None:
    """Return when the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _mixed(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 autocast on CUDA and on CPUs that multiply bfloat16 numbers, nothing elsewhere."""
    mixed = device.type == "cuda" or has_bf16(device)
    return torch.autocast(device.type, dtype=torch.bfloat16) if mixed else nullcontext()


@contextmanager
def _cudnn_benchmark(on: bool) -> Iterator[None]:
    """CuDNN's search for the fastest kernels, on or off for this block alone: other rows share the process."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = on
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
