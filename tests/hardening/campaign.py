"""What all attacks share: cases drawn from seeds, tried under a time limit, and shrunk and written down when they go wrong.

A case is a seed, which chooses what is attacked, and the seeds of its edits. So a case is a line of text, and a smaller case has
fewer edits.
"""

import faulthandler
import json
import random
import re
import resource
import shutil
import signal
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

MEMORY_BYTES = 2**34
"""Address space of a campaign: what asks for more meets a MemoryError, which is a finding."""


@dataclass(frozen=True)
class Case:
    """One attack."""

    seed: int
    edits: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Case":
        """The case that ``str`` wrote."""
        seed, _, edits = text.partition(":")
        return cls(int(seed), tuple(int(edit) for edit in edits.split(",") if edit))

    def __str__(self) -> str:
        return f"{self.seed}:{','.join(map(str, self.edits))}"


class WrongError(Exception):
    """Something went wrong that raises nothing by itself; ``kind`` is loss, accepted, exit, outside or message."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what)
        self.kind = kind


class WrongsError(Exception):
    """Several cases of a batch went wrong, and it is known which."""

    def __init__(self, found: list[tuple["Case", WrongError]]) -> None:
        super().__init__(f"{len(found)} cases")
        self.found = found


class HangError(BaseException):
    """The time limit struck. No ``except Exception`` on the way may take it."""


class SkippedError(Exception):
    """A part cannot be run here; the message says why."""


class Part:
    """One kind of attack; subclasses say what a case does.

    Args:
        scratch: an empty folder of its own; everything it touches lies in there.
        seed: of the campaign.
    """

    name = ""
    limit_s = 20.0
    """How long a case may take."""
    batch = 1
    """Cases tried together."""
    most_edits = 3
    must_fit = True
    """Whether ``MEMORY_BYTES`` holds; PyTorch's threads need more."""

    def __init__(self, scratch: Path, seed: int) -> None:
        self.scratch, self.seed = scratch, seed
        self.tally: Counter[str] = Counter()
        """What became of the cases, by words of the part's own."""
        self.prepare()

    def prepare(self) -> None:
        """Make what all cases start from; SkippedError if this machine cannot."""

    def close(self) -> None:
        """Put back what was changed in this process."""

    def draw(self, number: int) -> Case:
        """The case of that number."""
        dice = random.Random(f"{self.name} {self.seed} {number}")
        edits = 1 + dice.randrange(self.most_edits) if self.most_edits else 0
        return Case(dice.randrange(2**31), tuple(dice.randrange(2**31) for _ in range(edits)))

    def attempt(self, cases: Sequence[Case]) -> None:
        """Try a batch of cases; whatever is raised is a finding."""
        raise NotImplementedError

    def write(self, case: Case, folder: Path) -> str:
        """Write the case's files into an empty folder; the command that shows what is wrong with it, if one can."""
        return ""

    def weight(self, cases: Sequence[Case]) -> int:
        """How many attacks a batch counts for."""
        return len(cases)


@dataclass
class Finding:
    """A case that went wrong, and how often the same was met."""

    part: str
    kind: str
    what: str
    case: Case
    count: int = 1


@dataclass
class Tally:
    """What came out of a part."""

    part: str
    seed: int
    attacks: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: dict[str, Finding] = field(default_factory=dict)
    skipped: str | None = None

    @property
    def kinds(self) -> Counter[str]:
        """Findings met, by kind."""
        kinds: Counter[str] = Counter()
        for finding in self.findings.values():
            kinds[finding.kind] += finding.count
        return kinds

    def as_json(self) -> dict[str, Any]:
        """One line's worth."""
        about: dict[str, Any] = {"part": self.part, "seed": self.seed, "attacks": self.attacks}
        about |= {"seconds": round(self.seconds, 1), "findings": dict(sorted(self.kinds.items()))}
        about |= {"outcomes": dict(self.outcomes.most_common(40))} if self.outcomes else {}
        return about | ({"skipped": self.skipped} if self.skipped else {})


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise HangError after so long; code that does not return to Python for ten times as long ends the process."""

    def strike(*_: object) -> None:
        raise HangError(f"no end after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, strike)
    faulthandler.dump_traceback_later(10 * seconds, exit=True)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


def fault_of(part: Part, cases: Sequence[Case]) -> Finding | None:
    """What goes wrong when these cases are tried together."""
    try:
        with limited(part.limit_s * max(1.0, len(cases) / 10)):
            part.attempt(cases)
    except WrongError as error:
        return Finding(part.name, error.kind, str(error), cases[0])
    except HangError as error:
        return Finding(part.name, "hang", f"{error} in {_place(error)}", cases[0])
    except WrongsError as errors:
        if len(cases) > 1:
            raise
        return Finding(part.name, errors.found[0][1].kind, str(errors.found[0][1]), cases[0])
    except (KeyboardInterrupt, SkippedError):
        raise
    except BaseException as error:  # noqa: BLE001 (whatever escapes is what we are after)
        return Finding(
            part.name, "traceback", f"{type(error).__name__} in {_place(error)}: {str(error)[:300]}", cases[0]
        )
    return None


def _place(error: BaseException) -> str:
    """The innermost line of exphil's own that an error passed, and of a library below it."""
    root = str(Path(__file__).parents[2])
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    ours = [f for f in frames if f.filename.startswith(root) and "/site-packages/" not in f.filename]
    ours = [f for f in ours if "/tests/" not in f.filename] or ours
    places = [f"{Path(f.filename).relative_to(root)}:{f.lineno} {f.name}" for f in ours[-1:]]
    places += [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames[-1:] if f not in ours[-1:]]
    return " through ".join(places) or "no file of ours"


def signature(finding: Finding) -> str:
    """What findings of one cause have in common."""
    return f"{finding.kind} {re.sub(r'0x[0-9a-f]+|[0-9a-f]{8,}|[0-9]+|/[^ ]*/', '#', finding.what)[:120]}"


def shrunk(part: Part, finding: Finding, tries: int = 12) -> Finding:
    """The finding with the fewest edits that still goes wrong in the same way."""
    again = True
    while again and len(finding.case.edits) > 1:
        again = False
        for edit in finding.case.edits:
            smaller = replace(finding.case, edits=tuple(one for one in finding.case.edits if one != edit))
            found = fault_of(part, [smaller])
            tries -= 1
            if found is not None and signature(found) == signature(finding):
                finding, again = replace(found, count=finding.count), tries > 0
                break
    return finding


class Campaign:
    """Runs one part for a while.

    Args:
        kind: the part.
        folder: where findings are written, a folder each.
        seed: decides all cases.
    """

    def __init__(self, kind: type[Part], folder: Path, seed: int) -> None:
        self.tally, self._folder = Tally(kind.name, seed), folder
        scratch = folder / f"scratch-{kind.name}"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            self.part: Part | None = kind(scratch, seed)
            self.tally.outcomes = self.part.tally
        except SkippedError as error:
            self.part, self.tally.skipped = None, str(error)

    def run(self, seconds: float, first: int = 0, most: int | None = None) -> Tally:
        """Try cases until the time is up, or until ``most`` were tried."""
        if self.part is None:
            return self.tally
        before = resource.getrlimit(resource.RLIMIT_AS)
        if self.part.must_fit:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, before[1]))
        try:
            self._run(self.part, seconds, first, most)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
            self.part.close()
        return self.tally

    def _run(self, part: Part, seconds: float, first: int, most: int | None) -> None:
        begin, number = time.monotonic(), first
        while (self.tally.seconds < seconds or number == first) and (most is None or number - first < most):
            batch = part.batch if most is None else min(part.batch, most - (number - first))
            cases = [part.draw(number + i) for i in range(batch)]
            (self._folder / f"{part.name}.now").write_text(" ".join(map(str, cases)))  # should the process die
            self.try_(cases)
            number += batch
            self.tally.attacks += part.weight(cases)
            self.tally.seconds = time.monotonic() - begin

    def try_(self, cases: Sequence[Case]) -> None:
        """Try a batch; of one that goes wrong, look for the cases to blame."""
        assert self.part is not None
        try:
            found = fault_of(self.part, cases)
        except WrongsError as errors:
            for case, error in errors.found:
                self._keep(Finding(self.part.name, error.kind, str(error), case))
            return
        if found is None:
            return
        guilty = self._guilty(cases) if len(cases) > 1 else [found]
        for finding in guilty or [replace(found, what=f"only together, from {cases[0]} on: {found.what}")]:
            self._keep(finding)

    def _guilty(self, cases: Sequence[Case]) -> list[Finding]:
        """Findings of single cases, looked for by halves."""
        assert self.part is not None
        with suppress(WrongsError):
            found = fault_of(self.part, cases)
            if found is None or len(cases) == 1:
                return [] if found is None else [found]
        half = len(cases) // 2
        return self._guilty(cases[:half]) + self._guilty(cases[half:])

    def _keep(self, finding: Finding) -> None:
        assert self.part is not None
        known = self.tally.findings.get(signature(finding))
        if known is not None:
            known.count += 1
            return
        self.tally.findings[signature(finding)] = finding
        small = shrunk(self.part, finding)
        finding.case, finding.what = small.case, small.what
        folder = self._folder / f"{finding.part}-{len(self.tally.findings):03d}-{finding.kind}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        command = ""
        with suppress(Exception):
            command = self.part.write(finding.case, folder)
        again = f"scripts/harden --part {finding.part} --case {finding.case}"
        (folder / "README").write_text(f"what: {finding.what}\ncommand: {command or again}\nagain: {again}\n")


def line(tally: Tally) -> str:
    """A tally as one line of JSON."""
    return json.dumps(tally.as_json(), ensure_ascii=True)
