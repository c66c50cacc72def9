"""Where a proxy is trained, and what is quick there."""

from typing import Any

import torch

from mixopt.errors import InputError


def device_of(name: str) -> torch.device:
    """The device of a setting, `auto` resolved.

    Raises:
        InputError: it is 'cuda', and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "device is 'cuda' and torch sees no GPU here; set device to 'cpu' or 'auto'"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether a device computes faster in bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # newer than the oldest torch we take
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
