"""The precision that training computes in: float32, or bfloat16 where the hardware computes it."""

import torch

from infer.core.console import Screen
from infer.core.cpu import BF16_INSTRUCTIONS, instructions
from infer.core.errors import DeviceError
from trainer.choices import Precision


def resolve_precision(wanted: Precision, device: torch.device, is_begun: bool = False) -> Precision:
    """`fp32` or `bf16`, whichever `wanted` means on this device.

    Args:
        wanted: the option's value; of a run that `is_begun`, the one that it was begun with.
        device: where the run trains.
        is_begun: whether the run is resumed or repeated, so that its precision cannot be another.

    Raises:
        DeviceError: bfloat16 is wanted, and the device would only emulate it, which is slower than float32.
    """
    if wanted == "bf16" and not has_bf16(device):
        lack = "this GPU has none" if device.type == "cuda" else "this processor has neither AMX nor AVX-512 for it"
        if is_begun:
            raise DeviceError(
                f"the run trains in bfloat16, and {lack}; go on with it where it has, or train a new run with "
                "--precision fp32"
            )
        raise DeviceError(f"--precision bf16: {lack}, and emulating it is slower than float32; choose fp32")
    if wanted == "auto":
        return "bf16" if device.type == "cuda" and has_bf16(device) else "fp32"
    return wanted


def choose_precision(wanted: Precision, device: torch.device, screen: Screen, is_begun: bool = False) -> Precision:
    """The precision of a run; where `auto` leaves a CPU's bfloat16 unused, the screen names the option that uses it.

    Arguments and errors are those of `resolve_precision`.
    """
    if wanted == "auto" and device.type == "cpu" and has_bf16(device):
        screen.say("training in float32: auto uses bfloat16 on GPUs alone; --precision bf16 uses this processor's")
    return resolve_precision(wanted, device, is_begun)


def has_bf16(device: torch.device) -> bool:
    """Whether a device computes bfloat16 in hardware: GPUs since Ampere, processors with AMX or AVX-512 BF16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(set(instructions()) & set(BF16_INSTRUCTIONS))
