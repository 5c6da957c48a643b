"""The precision that training computes in: float32, or bfloat16 where the hardware computes it."""

import torch

from infer.core.console import Screen
from infer.core.cpu import bf16_instructions, fast_bf16
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
        if is_begun:
            raise DeviceError(
                f"the run trains in bfloat16, and {_lack(device)}; go on with it where it has, or train a new run with "
                "--precision fp32"
            )
        raise DeviceError(f"--precision bf16: {_lack(device)}, and emulating it is slower than float32; choose fp32")
    if wanted == "auto":
        if device.type == "cuda":
            return "bf16" if has_bf16(device) else "fp32"
        # a run that does not record its choice is an earlier lab's, which trained in float32 on CPUs
        return "bf16" if fast_bf16() and not is_begun else "fp32"
    return wanted


def tell_precision(wanted: Precision, device: torch.device, screen: Screen, is_begun: bool = False) -> None:
    """Say what a run on a CPU computes in, with the reason where `auto` chose it; arguments as `resolve_precision`."""
    chosen = resolve_precision(wanted, device, is_begun)
    if device.type == "cpu" and (wanted == "auto" or chosen == "bf16"):
        reason = _reason(chosen, device) if wanted == "auto" and not is_begun else ""
        screen.say(f"training in {'bfloat16' if chosen == 'bf16' else 'float32'}{reason}")


def _reason(chosen: Precision, device: torch.device) -> str:
    """Why `auto` chose a precision on a CPU."""
    if chosen == "bf16":
        return f", which this processor multiplies ({fast_bf16()}); --precision fp32 trains in float32"
    if has_bf16(device):
        return ", since this processor has bfloat16 by AVX-512 alone, which is slower"
    return f", since {_lack(device)}"


def _lack(device: torch.device) -> str:
    if device.type == "cuda":
        return "this GPU has no bfloat16"
    return "this processor has neither AMX nor AVX-512 for bfloat16"


def has_bf16(device: torch.device) -> bool:
    """Whether a device computes bfloat16 in hardware: GPUs since Ampere, processors with AMX or AVX-512 BF16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(bf16_instructions())
