"""Where networks run: devices, precision."""

from __future__ import annotations

import torch

from heliodor.errors import SettingsError


def device_of(name: str = "auto") -> torch.device:
    """Turn 'auto', 'cpu', 'cuda', 'cuda:1', 'mps' or a number (negative: CPU) into a device.

    Raises
    ------
    SettingsError
        The device is not there.
    """
    if name.lstrip("-").isdigit():
        name = "cpu" if int(name) < 0 else f"cuda:{name}"
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"--device {name}: not available here; use --device cpu or auto") from error
    return device


def autocast(device: torch.device) -> torch.autocast:
    """Mixed precision where the processor is built for it, plain float32 elsewhere."""
    fast = device.type == "cuda" or (device.type == "cpu" and _cpu_has_bfloat16())
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast)


def _cpu_has_bfloat16() -> bool:
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check is not None and check())
