"""``--compile``: whether the policy's windows go through ``torch.compile``, which fuses the small operations of a step.

In: what was asked for and the device. Out: yes or no, or an error that names what the machine lacks. The surprise: compiling
changes no result beyond rounding, so it belongs to a process and not to a run: a run may be resumed with another choice.
"""

import os
import shutil
from importlib.util import find_spec

import torch

from dataset.errors import ConfigError, require_known

COMPILE = ("auto", "off", "on")


def should_compile(asked: str, device: torch.device) -> bool:
    """Whether to compile; ``auto`` does on CUDA where Triton and a C compiler are, and not on a CPU, where it rarely pays.

    Raises:
        ConfigError: there is no such choice, or it is ``on`` and the device's compiler is not installed.
    """
    require_known("--compile", asked, COMPILE)
    if asked == "off" or (asked == "auto" and device.type != "cuda"):
        return False
    missing = _missing_compiler(device)
    if asked == "on" and missing is not None:
        raise ConfigError(
            f"--compile on: needs {missing} for {device.type}, found none; install it, or use --compile off"
        )
    return missing is None


def _missing_compiler(device: torch.device) -> str | None:
    """What ``torch.compile`` needs for the device and the machine lacks."""
    if device.type == "cuda":
        if not find_spec("triton"):
            return "Triton"
        found = any(
            map(shutil.which, (os.environ.get("CC", "gcc"), "cc", "clang"))
        )  # Triton builds its launchers with it
        return None if found else "a C compiler (gcc)"
    compiler = os.environ.get("CXX", "g++")
    return None if shutil.which(compiler) or shutil.which("clang++") else f"a C++ compiler ({compiler})"
