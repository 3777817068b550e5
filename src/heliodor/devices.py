"""Where networks run: devices, precision."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from heliodor.errors import SettingsError

if TYPE_CHECKING:
    import torch

# What the drivers of NVIDIA (also within Windows) and AMD put there. To ask torch takes seconds.
_ACCELERATORS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")


def on_processors(name: str = "auto") -> bool:
    """Whether this name (see `devices_of`) means the processors; found out without torch."""
    if name == "auto":
        return sys.platform.startswith("linux") and not any(os.path.exists(path) for path in _ACCELERATORS)
    return name == "cpu" or (name.startswith("-") and name[1:].isdigit())


def devices_of(name: str = "auto") -> list[torch.device]:
    """Turn a name into devices to spread micrographs over.

    Parameters
    ----------
    name : str
        As in `device_of`, or several numbers with commas between them. 'auto' and 'cuda' mean every GPU
        that is visible (CUDA_VISIBLE_DEVICES hides some).

    Raises
    ------
    SettingsError
        One of the devices is not there.
    """
    import torch

    if name in ("auto", "cuda") and torch.cuda.is_available():
        return [torch.device("cuda", k) for k in range(torch.cuda.device_count())]
    return [device_of(part.strip()) for part in name.split(",")]


def device_of(name: str = "auto") -> torch.device:
    """Turn 'auto', 'cpu', 'cuda', 'cuda:1', 'mps' or a number (negative: CPU) into a device.

    Raises
    ------
    SettingsError
        The device is not there.
    """
    import torch

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
    import torch

    fast = device.type == "cuda" or (device.type == "cpu" and _cpu_has_bfloat16())
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast)


def _cpu_has_bfloat16() -> bool:
    import torch

    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check is not None and check())
