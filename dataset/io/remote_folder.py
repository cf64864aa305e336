"""A folder on another machine that stores and runs are copied to and from: through rclone, or on Hugging Face's hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

LARGEST_TEXT = 2**26
"""Bytes of the longest text that is read from there."""


@dataclass(frozen=True)
class Copied:
    """What one or several copies moved."""

    files: int = 0
    bytes: int = 0

    def __add__(self, other: "Copied") -> "Copied":
        """Both together."""
        return Copied(self.files + other.files, self.bytes + other.bytes)


class RemoteFolder(Protocol):
    """Files are named by their paths below the folder; nothing is deleted, and a broken copy resumes."""

    @property
    def name(self) -> str:
        """What errors call it."""

    def read_text(self, path: str) -> str | None:
        """The text of one file; ``None`` if it is not there."""

    def send(self, folder: Path, files: Sequence[str], *, is_dry: bool) -> Copied:
        """Copy those files of a folder there, unless they are there already."""

    def fetch(self, folder: Path, files: Sequence[str], *, is_dry: bool) -> Copied:
        """Copy those of the files that are there into a folder, unless it has them already."""

    def check(self, folder: Path, files: Sequence[str]) -> None:
        """Raise ``ExphilError`` if one of the files is another there than in the folder."""
