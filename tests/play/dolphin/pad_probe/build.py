"""Builds the program: C and assembler for the GameCube's PowerPC, packed as the DOL file that Dolphin boots."""

import shutil
import struct
import subprocess
from pathlib import Path

COMPILER = "powerpc-linux-gnu-gcc"
_SOURCES = Path(__file__).parent
_BASE = 0x80003100
"""Where ``padprobe.ld`` puts ``_start``."""


def can_build() -> bool:
    """Whether the cross compiler is installed."""
    return shutil.which(COMPILER) is not None


def build(folder: Path) -> Path:
    """Write ``padprobe.dol``, about 1 KB, into a folder."""
    elf, code, dol = (folder / f"padprobe.{kind}" for kind in ("elf", "bin", "dol"))
    options = "-Os -m32 -mcpu=750 -msoft-float -ffreestanding -fno-pic -fno-pie -fno-stack-protector"
    options += " -fno-asynchronous-unwind-tables -nostdlib -static"
    linker = f"-Wl,-T,{_SOURCES / 'padprobe.ld'},--build-id=none,-z,noexecstack"
    sources = (_SOURCES / "start.S", _SOURCES / "padprobe.c")
    subprocess.run([COMPILER, *options.split(), linker, *sources, "-o", elf], check=True)
    subprocess.run(["powerpc-linux-gnu-objcopy", "-O", "binary", "-j", ".text", elf, code], check=True)
    text = code.read_bytes()
    text += bytes(-len(text) % 32)
    head = bytearray(0x100)
    for at, value in ((0x00, 0x100), (0x48, _BASE), (0x90, len(text)), (0xE0, _BASE)):  # offset, address, size, entry
        struct.pack_into(">I", head, at, value)
    dol.write_bytes(head + text)
    return dol
