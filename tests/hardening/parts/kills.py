"""Kills at random instants: nothing that was there is lost, the next run completes, and its result is the undisturbed one."""

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.hardening.campaign import Case, Part, WrongError
from tests.hardening.shell import run
from tests.hardening.work import VERBS, command_process, ended, said

OFTEN = (
    *("ingest", "ingest more", "rebuild", "encode", "quality") * 3,
    "sync",
    "sync",
    "train",
    "train",
    "export",
    "arena",
    "arena",
    "arena",
)


class Kills(Part):
    """One verb, killed once or a few times in a row, then finished."""

    name = "kills"
    limit_s = 600.0
    most_edits = 5
    must_fit = False

    def prepare(self) -> None:
        """Nothing is timed yet."""
        self._whole: dict[str, tuple[float, str]] = {}

    def weight(self, cases: Sequence[Case]) -> int:
        """Kills that struck since the last batch."""
        struck, self._struck = self._struck, 0
        return struck

    _struck = 0

    def attempt(self, cases: Sequence[Case]) -> None:
        """Kill and finish."""
        for case in cases:
            verb = VERBS[random.Random(case.seed).choice(OFTEN)]
            longest, whole = self.undisturbed(verb.name)
            work = self._begun(verb.name)
            words = verb.words
            for edit in case.edits:
                process = command_process(words.split(), work)
                process.start()
                is_killed, _ = ended(process, 60, random.Random(edit).uniform(0, 1.05 * longest))
                self.tally[f"{verb.name} {'killed' if is_killed else 'was done'}"] += 1
                self._struck += is_killed
                if not is_killed and process.exitcode:
                    raise WrongError("exit", f"{verb.name}: exit {process.exitcode}: {said(work)[-300:]}")
                verb.left(work)
                (words,) = verb.again(work)
            for line in verb.again(work):
                run(*line.split(), cwd=work, codes=(0,))
            found = verb.outcome(work)
            if found != whole:
                raise WrongError("loss", f"{verb.name}: ends as {found}, undisturbed as {whole}")

    def undisturbed(self, name: str) -> tuple[float, str]:
        """How long the verb takes, and what comes of it."""
        if name not in self._whole:
            seconds = 0.0
            for _ in range(2):  # the first pays for imports
                work = self._begun(name)
                process = command_process(VERBS[name].words.split(), work)
                process.start()
                _, seconds = ended(process, 100)
                if process.exitcode:
                    raise WrongError("exit", f"{name}, undisturbed: exit {process.exitcode}: {said(work)[-300:]}")
            self._whole[name] = seconds, VERBS[name].outcome(work)
        return self._whole[name]

    def _begun(self, name: str) -> Path:
        work = self.scratch / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        VERBS[name].begin(work, self.scratch.parent)
        return work
