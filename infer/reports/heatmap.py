"""Heat maps: which parts of an image speak for a class, by the model's class activation map or else by occlusion."""

from collections.abc import Callable, Sequence

import numpy as np

from infer.core.arrays import Floats, Pixels
from infer.model.session import Session

GRID = 8
"""Patches along each side of an image, which occlusion covers one at a time."""
GREY = 128


def heat_maps(
    session: Session,
    views: Sequence[Pixels],
    labels: Sequence[int],
    batch_size: int,
    on_done: Callable[[int], None] = lambda count: None,
) -> list[Floats]:
    """How much each part of an image speaks for its label, float32 [h, w] each.

    Args:
        session: a model; if it has an output for class activation maps, that is used.
        views: n images as the network sees them, uint8 RGB [H, W, 3].
        labels: a class index for each.
        batch_size: how many covered images to run at once.
        on_done: called with the number of finished images.

    Raises:
        DeviceError: the device's memory is exhausted.
    """
    maps = []
    for index, (view, label) in enumerate(zip(views, labels, strict=True)):
        if session.has_cam:
            maps.append(activation(session, view, label))
        else:
            maps.append(occlusion(session, view, label, batch_size))
        on_done(index + 1)
    return maps


def activation(session: Session, view: Pixels, label: int) -> Floats:
    """The class activation map of a label minus the mean map of all classes, [h, w]; the mean affects no probability.

    Zhou et al. 2016, https://arxiv.org/abs/1512.04150: the head is a linear map of spatially averaged features, so a
    logit is the mean over positions of its weights applied to the features at each position, plus its bias.
    """
    cam = session.run_cam(np.repeat(view[None], session.batch or 1, axis=0))[0]
    return np.asarray(cam[label] - cam.mean(axis=0), dtype=np.float32)


def occlusion(session: Session, view: Pixels, label: int, batch_size: int) -> Floats:
    """How much the label's probability falls when a grey patch covers each part: [GRID, GRID], in [-1, 1].

    Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901, section 4.2. Patches do not overlap; along a side with
    fewer pixels than GRID there are as many patches as pixels.
    """
    rows, columns = (np.array_split(np.arange(side), min(GRID, side)) for side in view.shape[:2])
    covered = np.repeat(view[None], 1 + len(rows) * len(columns), axis=0)
    for index, (row, column) in enumerate((row, column) for row in rows for column in columns):
        covered[1 + index, row[0] : row[-1] + 1, column[0] : column[-1] + 1] = GREY
    scores = _probabilities(session, covered, batch_size)[:, label]
    return np.asarray(scores[0] - scores[1:], dtype=np.float32).reshape(len(rows), len(columns))


def _probabilities(session: Session, pixels_nhwc: Pixels, batch_size: int) -> Floats:
    """[n, K]; all batches have one size, as some models take no other and CUDA tunes each size anew."""
    size = session.batch or min(batch_size, len(pixels_nhwc))
    filled = np.resize(pixels_nhwc, (-(-len(pixels_nhwc) // size) * size, *pixels_nhwc.shape[1:]))
    batches = [session.run(filled[at : at + size])[1] for at in range(0, len(filled), size)]
    return np.concatenate(batches)[: len(pixels_nhwc)]
