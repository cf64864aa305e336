"""Runs exphil's command line in this process, and sees to it that nothing outside the folder it was given is touched."""

import contextlib
import hashlib
import io
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from tests.hardening.campaign import WrongError

CODES = (0, 1, 2)
"""Exit codes of commands that nobody interrupts."""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


def run(*words: str, cwd: Path, codes: tuple[int, ...] = CODES) -> Done:
    """Run ``exphil WORDS``; whatever is no exit and no error in a sentence escapes as it is.

    Raises:
        WrongError: another exit code than ``codes``, a traceback that was printed, or an error that says nothing.
    """
    exphil = import_module("exphil")
    out, err = _Text(), _Text()
    before, where, code = sys.argv, Path.cwd(), 0
    sys.argv = ["exphil", *words]
    os.chdir(cwd)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exphil.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = before
        os.chdir(where)
    done = Done(code, out.getvalue(), err.getvalue())
    shown = f"exphil {' '.join(words)}: exit {done.code}: {done.err[-400:]!r}"
    if done.code not in codes:
        raise WrongError("exit", f"exit code {done.code} is none of {codes}; {shown}")
    if "Traceback (most recent call last)" in done.out + done.err:
        raise WrongError("traceback", shown)
    if done.code and not done.err.strip() and not done.out.strip():
        raise WrongError("exit", f"failed without a word; {shown}")
    return done


class _Text(io.StringIO):
    """Standard output of a program whose output is no terminal; ``buffer`` takes bytes."""

    encoding = "utf-8"  # type: ignore[assignment]

    @property
    def buffer(self) -> "_Bytes":
        return _Bytes(self)


class _Bytes:
    def __init__(self, text: _Text) -> None:
        self._text = text

    def write(self, data: bytes) -> int:
        self._text.write(data.decode("utf-8", "replace"))
        return len(data)

    def flush(self) -> None:
        pass


def state(folder: Path, apart: tuple[Path, ...] = ()) -> dict[str, str]:
    """Every file and folder below ``folder`` and what it holds; ``apart`` and what lies below are left out."""
    found = {}
    for root, folders, files in os.walk(folder):
        here = Path(root)
        folders[:] = [name for name in folders if here / name not in apart]
        for name in folders:
            found[str(here / name)] = "folder"
        for name in files:
            path = here / name
            if path not in apart:
                found[str(path)] = "link" if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@contextlib.contextmanager
def nothing_else_touched(folder: Path, *allowed: Path) -> Iterator[None]:
    """Raise WrongError if anything below ``folder`` changes that is not below ``allowed``."""
    before = state(folder, allowed)
    yield
    after = state(folder, allowed)
    if before != after:
        changed = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
        verbs = {
            path: "touched" if path in before and path in after else "deleted" if path in before else "made"
            for path in changed
        }
        raise WrongError("outside", "; ".join(f"{verbs[path]} {path}" for path in sorted(changed)[:3]))


@cache
def small_store(folder: Path, games: int = 3, frames: int = 200) -> Path:
    """A store of so many short games, made once; do not write to it."""
    from ingest.jobs.pipeline import ingest
    from tests.hardening.parts.replays import OPTIONS, whole_game

    source, store = folder / "source", folder / "whole"
    source.mkdir(parents=True, exist_ok=True)
    for seed in range(games):
        (source / f"{seed}.slp").write_bytes(whole_game(seed, frames))
    if not (store / "manifest.json").exists():
        ingest([source], store, OPTIONS)
    return store


def fresh(store: Path, place: Path) -> Path:
    """A copy of a folder in an empty place."""
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copytree(store, place, symlinks=True))
