"""Disks that are full: each verb on a real file system that is too small, then made larger."""

import random
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.hardening.campaign import Case, Part, SkippedError, WrongError
from tests.hardening.shell import run, state
from tests.hardening.work import VERBS

NAMES = ("ingest", "ingest more", "rebuild", "encode", "quality", "train", "train", "export", "sync", "arena")
ROOM = 2**16
LARGE = 2**28


class Disk(Part):
    """One verb on a tmpfs that has room for a random share of what it writes."""

    name = "disk"
    limit_s = 600.0
    most_edits = 0
    must_fit = False

    def prepare(self) -> None:
        """Try to mount one."""
        self.disk = self.scratch / "disk"
        self.disk.mkdir()
        done = subprocess.run(self._mount("size=1m"), capture_output=True, text=True)
        if done.returncode:
            raise SkippedError(f"this system lets us mount no file system ({done.stderr.strip()})")
        self._unmount()
        self._whole: dict[str, tuple[int, int, str]] = {}

    def _mount(self, options: str) -> list[str]:
        return ["mount", "-t", "tmpfs", "-o", options, "exphil", str(self.disk)]

    def _unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.disk)], check=True)

    def attempt(self, cases: Sequence[Case]) -> None:
        """Fill it, look, make it larger, and finish."""
        for case in cases:
            dice = random.Random(case.seed)
            name = dice.choice(NAMES)
            before, after, whole = self._sizes(name)
            size = before + int(dice.random() * max(ROOM, after - before))
            subprocess.run(self._mount(f"size={LARGE}"), check=True)
            try:
                self._attempt(name, size // 4096 * 4096, whole)
            finally:
                self._unmount()

    def _attempt(self, name: str, size: int, whole: str) -> None:
        verb, work = VERBS[name], self.disk / "work"
        work.mkdir()
        verb.begin(work, self.scratch.parent)
        subprocess.run(self._mount(f"remount,size={size}"), capture_output=True)
        done = run(*verb.words.split(), cwd=work, codes=(0, 1))
        self.tally[f"{name} {'fitted' if done.code == 0 else 'was refused'}"] += 1
        if done.code and not any(
            words in done.err for words in ("No space left", "needs room", "remaining disk space")
        ):
            raise WrongError("message", f"{name}: a full disk is told as {done.err[-300:]!r}")
        subprocess.run(self._mount(f"remount,size={LARGE}"), check=True)
        verb.left(work)
        for line in verb.again(work):
            run(*line.split(), cwd=work, codes=(0,))
        found = verb.outcome(work)
        if found != whole:
            raise WrongError("loss", f"{name}: ends as {found}, on a large disk as {whole}")

    def _sizes(self, name: str) -> tuple[int, int, str]:
        """Bytes on the disk before and after the verb, and what comes of it."""
        if name not in self._whole:
            work = self.scratch / "sizes" / "work"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            VERBS[name].begin(work, self.scratch.parent)
            before = _used(work)
            run(*VERBS[name].words.split(), cwd=work, codes=(0,))
            self._whole[name] = before, _used(work), VERBS[name].outcome(work)
        return self._whole[name]


def _used(folder: Path) -> int:
    """Pages that the files take."""
    return sum(-(-Path(path).stat().st_size // 4096) * 4096 for path, what in state(folder).items() if what != "folder")
