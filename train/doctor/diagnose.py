"""What this installation is and has: libraries of every extra, devices, room. ``exphil doctor`` shows it.

In: nothing. Out: a ``Diagnosis``. The surprise: each library is imported in a process of its own, so that one whose import
crashes is told beside the others, and only what is installed can be broken: what is missing merely cannot be used.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dataset.version import VERSION

CORE = ("fsspec", "numpy", "polars", "pyarrow", "pyyaml", "rich", "typer", "xxhash", "zstandard")
EXTRAS: dict[str, tuple[str, ...]] = {
    "ingest": ("peppi-py",),
    "train": ("onnx", "onnxruntime", "onnxscript", "peppi-py", "safetensors", "torch", "wandb"),
    "play": ("melee", "onnxruntime"),
    "openvino": ("melee", "onnxruntime", "openvino"),
    "s3": ("s3fs",),
    "7z": ("py7zr",),
    "ray": ("peppi-py", "ray"),
    "hub": ("huggingface-hub",),
}
"""What ``pyproject.toml`` lists, by extra."""

_MODULES = {"pyyaml": "yaml"}
"""Where the module's name is not the library's with underscores."""

_QUESTIONS = {
    "torch": "import json, torch; c = torch.cuda; n = c.device_count() if c.is_available() else 0; print(json.dumps({"
    "'instructions': torch.backends.cpu.get_cpu_capability(), 'cuda': [{'name': c.get_device_name(i), "
    "'memory_bytes': c.mem_get_info(i)[1], 'free_bytes': c.mem_get_info(i)[0]} for i in range(n)]}))",
    "openvino": "import json, openvino; print(json.dumps(openvino.Core().available_devices))",
}
"""Programs that ask a library for its devices; the others are only imported."""

PATIENCE_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Library:
    """One library."""

    name: str
    version: str | None
    """``None``: not installed."""
    fault: str | None = None
    """What its import said before it failed."""
    answer: Any = None
    """To its question."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All that was found."""

    libraries: dict[str, Library]
    cpus: int
    """That this process may use."""
    memory_bytes: int | None
    """Of the machine; None where the system does not tell."""
    memory_free_bytes: int | None
    disk_free_bytes: int
    """Where the command was run."""

    @property
    def is_sound(self) -> bool:
        """Whether everything that is installed can be imported, and the core is there."""
        return not self.missing("core") and not any(library.fault for library in self.libraries.values())

    def whole_extras(self) -> list[str]:
        """Extras that can be used."""
        return [extra for extra in EXTRAS if self.is_whole("core") and self.is_whole(extra)]

    def is_whole(self, extra: str) -> bool:
        """Whether an extra, or ``core``, is there and sound."""
        return not self.missing(extra) and not self.broken(extra)

    def missing(self, extra: str) -> list[str]:
        """Libraries of an extra that are not installed."""
        return [name for name in _names(extra) if self.libraries[name].version is None]

    def broken(self, extra: str) -> dict[str, str]:
        """Libraries of an extra whose import fails, and what it said."""
        found = ((name, self.libraries[name].fault) for name in _names(extra))
        return {name: fault for name, fault in found if fault is not None}

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        torch, openvino = (self.libraries[name].answer for name in ("torch", "openvino"))
        return {
            "versions": {
                "exphil": VERSION,
                "python": platform.python_version(),
                "system": platform.platform(),
            },
            "libraries": {name: library.version for name, library in sorted(self.libraries.items())},
            "extras": {
                extra: {
                    "whole": self.is_whole(extra),
                    "missing": self.missing(extra),
                    "broken": self.broken(extra),
                    "install": install_command(extra) if self.missing(extra) else None,
                }
                for extra in ("core", *EXTRAS)
            },
            "devices": {"cpus": self.cpus, **(torch or {"instructions": None, "cuda": []}), "openvino": openvino or []},
            "memory_bytes": self.memory_bytes,
            "memory_free_bytes": self.memory_free_bytes,
            "disk_free_bytes": self.disk_free_bytes,
        }


def diagnose() -> Diagnosis:
    """Look at everything; a few seconds, most of them in imports."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    names = sorted({*CORE, *(name for extra in EXTRAS for name in _names(extra))})
    with ThreadPoolExecutor(cpus) as pool:
        libraries = dict(zip(names, pool.map(look, names), strict=True))
    total, free = _memory()
    disk = shutil.disk_usage(Path.cwd()).free
    return Diagnosis(libraries=libraries, cpus=cpus, memory_bytes=total, memory_free_bytes=free, disk_free_bytes=disk)


def look(name: str) -> Library:
    """A library's version, and what its import or its question gives."""
    module = _MODULES.get(name, name.replace("-", "_"))
    if find_spec(module) is None:
        return Library(name=name, version=None)
    try:
        found = version(name)
    except PackageNotFoundError:  # put on the path by hand
        found = "unknown"
    program = [sys.executable, "-W", "ignore", "-c", _QUESTIONS.get(name, f"import {module}")]
    try:
        done = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return Library(name=name, version=found, fault=f"not imported within {PATIENCE_S:.0f} s")
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"the import ended with {done.returncode}"]
        return Library(name=name, version=found, fault=said[-1])
    answer = json.loads(done.stdout.splitlines()[-1]) if name in _QUESTIONS else None
    return Library(name=name, version=found, answer=answer)


def install_command(extra: str) -> str:
    """What adds an extra."""
    return "pip install exphil" if extra == "core" else f"pip install 'exphil[{extra}]'"


def _names(extra: str) -> tuple[str, ...]:
    return CORE if extra == "core" else EXTRAS[extra]


def _memory() -> tuple[int | None, int | None]:
    """All of the machine's and what is free, in bytes; only Linux tells the second."""
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if "SC_PHYS_PAGES" in names else None
    told = Path("/proc/meminfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
    return total, free
