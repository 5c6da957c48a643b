"""Validation: the network's answers for the evaluation views of images."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from infer.images.preprocess import PixelSpec, centre_window
from trainer.model.network import PixelNet


@torch.inference_mode()
def validation_logits(
    network: PixelNet, batches: Iterable[Tensor], spec: PixelSpec, device: torch.device, mixed: bool, exact: bool
) -> Tensor:
    """Logits, float32 [n, K] on the device, of the evaluation views of canvases.

    Args:
        network: on the device; it is left in evaluation mode.
        batches: canvases, uint8 [batch, canvas H, canvas W, 3] on the device.
        spec: that of the canvases.
        device: of the network.
        mixed: whether training computes in bfloat16.
        exact: compute in float32 without TF32, as the exported file does, rather than as training does.
    """
    network.eval()
    logits = [torch.zeros(0, network.backbone.head.out_features, device=device)]
    with _arithmetic(device, mixed and not exact, exact):
        logits += [network(centre_window_of(batch, spec))[0].float() for batch in batches]
    return torch.cat(logits)


def computes_exactly(device: torch.device, mixed: bool) -> bool:
    """Whether training on this device already computes as the exported file does: in float32 without TF32."""
    return device.type == "cpu" and not mixed


@contextmanager
def _arithmetic(device: torch.device, mixed: bool, exact: bool) -> Iterator[None]:
    tf32 = torch.backends.cudnn.allow_tf32 and not exact
    with torch.autocast(device.type, torch.bfloat16, enabled=mixed), torch.backends.cudnn.flags(allow_tf32=tf32):
        yield


def centre_window_of(canvases_nhwc: Tensor, spec: PixelSpec) -> Tensor:
    """The evaluation view of uint8 canvases on any device."""
    return centre_window(canvases_nhwc, spec)  # type: ignore[arg-type, return-value]  # it slices tensors like arrays
