"""Random rotation and flips of a whole batch on the device, in one resampling from canvas to window."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from infer.pixels import PixelSpec
from trainer.config import Flips


@dataclass(frozen=True)
class Augmentation:
    """What training does to its images.

    Images are rotated about the window's centre and then cut, so that the window's corners hold the pixels that lie
    there; beyond the canvas it is black.
    """

    spec: PixelSpec
    rotation: float
    """Largest angle in degrees, either way."""
    flips: Flips

    def draws(self, images: int, seed: int, epoch: int) -> Tensor:
        """Random numbers in [0, 1), [images, 3], from seed and epoch: a sample's do not depend on its batch."""
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        return torch.rand(images, 3, generator=generator)

    def __call__(self, canvases_nhwc: Tensor, draws: Tensor) -> Tensor:
        """uint8 canvases [n, canvas H, canvas W, 3] and draws [n, 3] -> float32 windows [n, H, W, 3], 0 to 255."""
        theta = self._matrices(draws).to(canvases_nhwc.device)
        height, width = self.spec.window
        grid = functional.affine_grid(theta, [len(theta), 3, height, width], align_corners=False)
        planes = canvases_nhwc.permute(0, 3, 1, 2).float()
        windows = functional.grid_sample(planes, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return windows.permute(0, 2, 3, 1)

    def _matrices(self, draws: Tensor) -> Tensor:
        """[n, 2, 3]: from window to canvas, both in coordinates of -1 to 1 across their pixels.

        With no rotation and no flip the window is the evaluation's centre window, whose corner is rounded down.
        """
        angle = (draws[:, 0] * 2 - 1) * math.radians(self.rotation)
        mirrored = torch.where(draws[:, 1] < 0.5, -1.0, 1.0) if self.flips in ("both", "horizontal") else 1.0
        upended = torch.where(draws[:, 2] < 0.5, -1.0, 1.0) if self.flips in ("both", "vertical") else 1.0
        (canvas_height, canvas_width), (height, width) = self.spec.canvas, self.spec.window
        shift_x = (canvas_width - width) // 2 + width / 2 - canvas_width / 2
        shift_y = (canvas_height - height) // 2 + height / 2 - canvas_height / 2
        cosine, sine = torch.cos(angle), torch.sin(angle)
        ones = torch.ones_like(angle)
        row_x = torch.stack([cosine * mirrored * width, -sine * upended * height, ones * 2 * shift_x], dim=1)
        row_y = torch.stack([sine * mirrored * width, cosine * upended * height, ones * 2 * shift_y], dim=1)
        return torch.stack([row_x / canvas_width, row_y / canvas_height], dim=1)
