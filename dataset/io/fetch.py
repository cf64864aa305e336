"""Downloads one file until it is the wanted one: attempts, back-off, resume, verification.

A broken transfer resumes at its last byte. Bytes that turn out wrong are thrown away whole, since nothing says which of them
are wrong.
"""

import hashlib
import random
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dataset.errors import ConfigError, SchemaError, ShardError
from dataset.io.atomic import sha256_of
from dataset.io.transport import RefusedError, Source, TransferError, WrongFileError

T = TypeVar("T")

PROGRESS_BYTES = 2**20
"""A transfer that gets this much further than ever before has its attempts back."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One file, as the manifest lists it."""

    path: str
    """Relative to the store."""
    sha256: str
    size: int | None
    """In bytes; ``None`` where the manifest does not list it."""
    largest: int = 0
    """Bytes after which a file of unknown ``size`` is given up."""

    def is_whole(self, data: bytes) -> bool:
        """Whether ``data`` is the file's bytes."""
        return self.size in (None, len(data)) and hashlib.sha256(data).hexdigest() == self.sha256

    def fault_at(self, path: Path) -> str | None:
        """How the file at ``path`` differs."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"{size:,} bytes"
        return None if sha256_of(path) == self.sha256 else f"{size:,} bytes that differ"

    def rule(self, place: str) -> str:
        """The rule that errors state for its copy from ``place``."""
        return f"shard {self.path} of {place}: must arrive as the {self} that the manifest lists"

    def __str__(self) -> str:
        size = "" if self.size is None else f"{self.size:,} bytes with "
        return f"{size}SHA-256 {self.sha256[:12]}…"


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a transfer is tried."""

    attempts: int = 6
    """Failures in a row, none of which got further, before giving up."""
    stall_s: float = 30.0
    """Seconds without bytes, or nearly so, after which a transfer counts as stalled."""
    backoff_s: float = 0.5
    """The longest wait after the first failure; doubles with each."""
    max_backoff_s: float = 30.0

    def wait_s(self, failures: int) -> float:
        """Seconds to wait: half to all of the back-off, drawn at random, so that many readers do not return at once."""
        longest = min(self.max_backoff_s, self.backoff_s * 2.0 ** (failures - 1))
        return longest * random.uniform(0.5, 1.0)


@dataclass
class Trial:
    """The attempts at one file."""

    failures: int = 0
    furthest: int = 0
    is_wrong: bool = False
    """Whether the last attempt brought wrong bytes."""

    def reach(self, offset: int) -> None:
        """Note how far an attempt got."""
        if offset >= self.furthest + PROGRESS_BYTES:
            self.furthest, self.failures = offset, 0


def retry(attempt: Callable[[Trial], T], rule: str, patience: Patience) -> T:
    """What ``attempt`` returns, made again after waits while another one may succeed.

    Raises:
        ShardError: another attempt would be useless, or one too many; it says ``rule``.
    """
    trial = Trial()
    while True:
        try:
            return attempt(trial)
        except RefusedError as error:
            raise ShardError(
                f"{rule}, found {error}; check the address, the file there and your credentials"
            ) from error
        except (TransferError, WrongFileError) as error:
            trial.failures += 1
            trial.is_wrong = isinstance(error, WrongFileError)
            if trial.failures >= patience.attempts:
                raise ShardError(
                    f"{rule}, found {error} in the last of {trial.failures} attempts; "
                    "check the connection, or copy it there again"
                ) from error
        time.sleep(patience.wait_s(trial.failures))


def fetch(source: Source, wanted: Wanted, target: Path, store: str, patience: Patience) -> None:
    """Download a file to ``target``, resuming what lies there, and verify it.

    Raises:
        ShardError: it could not be had, or was another file than the manifest lists to the end.
        ConfigError: the disk is full or cannot be written to.
    """

    def attempt(trial: Trial) -> None:
        try:
            _transfer(source, wanted, target, trial)
            fault = wanted.fault_at(target)
            if fault is not None:
                raise WrongFileError(fault)
        except WrongFileError:
            target.unlink(missing_ok=True)
            raise

    retry(attempt, wanted.rule(store), patience)


def fetch_parsed(
    source: Source, path: str, parse: Callable[[bytes], T], store: str, patience: Patience, largest: int
) -> T:
    """Download a small file that no manifest lists, until ``parse`` takes it.

    Raises:
        ShardError: it could not be had, was longer than ``largest`` bytes, or ``parse`` refused it (SchemaError) to the end.
    """

    def attempt(trial: Trial) -> T:
        _, pieces = source.open(path, 0, None, is_fresh=trial.is_wrong)
        try:
            data = bytearray()
            with closing(pieces):
                for piece in pieces:
                    data += piece
                    if len(data) > largest:
                        raise RefusedError(f"more than {largest:,} bytes")
            return parse(bytes(data))
        except SchemaError as error:
            raise WrongFileError(f"a damaged one ({error})") from error

    return retry(attempt, f"store {store}: a store holds a readable {path}", patience)


def _transfer(source: Source, wanted: Wanted, target: Path, trial: Trial) -> None:
    """Append what is missing to ``target``, or write it anew if the server starts over."""
    have = target.stat().st_size if target.exists() else 0
    if wanted.size is None or have > wanted.size:
        have = 0
    if have == wanted.size:
        target.touch()  # an empty file is whole before anything has come
        return
    try:
        with target.open("r+b" if target.exists() else "wb") as file:
            start, pieces = source.open(wanted.path, have, wanted.size, is_fresh=trial.is_wrong)
            file.truncate(start)
            file.seek(start)
            with closing(pieces):
                for piece in pieces:
                    file.write(piece)
                    start += len(piece)
                    trial.reach(start)
                    if wanted.size is not None and start > wanted.size:
                        raise WrongFileError(f"more than {wanted.size:,} bytes")
                    if start > wanted.largest and wanted.size is None:
                        file.truncate(0)
                        raise RefusedError(f"more than {wanted.largest:,} bytes")
    except OSError as error:
        raise ConfigError(
            f"cache {target.parent}: must be a folder with room to write to, found {error.strerror}; "
            "set EXPHIL_CACHE to another, or EXPHIL_CACHE_GB lower"
        ) from error
    if wanted.size is not None and start < wanted.size:
        raise TransferError(f"a transfer that ended after {start:,} bytes")
