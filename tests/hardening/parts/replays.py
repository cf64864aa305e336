"""Replays that are damaged, made up or made to harm: each is counted, none harms its neighbours, and who is let in passes verify.

Most batches go through finding, reading, parsing and judging, and what is let in through the audit of ``exphil verify``. One in
sixty-four goes through the whole of ingest and verify.
"""

import random
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from dataset.codecs.registry import get_codec
from dataset.duels.generate import generate_replay
from dataset.slippi import slp
from dataset.store.replay_table import REPLAY_SCHEMA
from dataset.verify.frame_audit import Faults, FrameAudit, contradictions
from dataset.verify.verify import verify
from ingest.jobs import job
from ingest.jobs.job import Known, Settings, run_jobs
from ingest.jobs.pipeline import ingest, make_jobs
from ingest.options import IngestOptions
from ingest.replay.judge import SENTENCES, Names
from ingest.replay.parse import ParsedReplay
from ingest.sources.find import find_candidates
from tests.hardening.campaign import Case, Part, WrongError, WrongsError
from tests.hardening.draft import Draft
from tests.hardening.replay_edits import VERSIONS, edited, items

OPTIONS = IngestOptions(workers=1, min_frames=1, include_cpu=True, keep_names=True)
HEALTHY = "healthy.slp"
DEEP = 64
"""Of so many batches one goes through the whole command."""
UNEXPECTED = ("unexpected_error", "internal_error", "worker_died", "worker_timeout", "crashed")
"""Reasons that stand for an exception that nobody foresaw."""
STATUSES = {"ok", "rejected", "failed", "duplicate"}


@cache
def whole_game(seed: int, frames: int = 48) -> bytes:
    """A game of so many frames, in which somebody is hit."""
    path = Path(f"/dev/shm/whole-{seed}-{frames}.slp") if Path("/dev/shm").is_dir() else Path(f"whole-{seed}.slp")
    stages = ("final_destination", "fountain_of_dreams", "battlefield", "yoshis_story")
    foes = ("fox", "falco", "sheik", "peach", "marth")
    generate_replay(path, seed=seed, frames=frames, characters=("mewtwo", foes[seed % 5]), stage=stages[seed % 4])
    try:
        data = path.read_bytes()
    finally:
        path.unlink()
    draft = Draft.of(data)
    for place in draft.places(slp.POST_FRAME)[-60:]:
        draft.put(place, "percent", 12.5)
    return draft.bytes()


@cache
def bases() -> tuple[Draft, ...]:
    """What is edited: games of today, of older versions, with Nana, with many items."""
    today = [Draft.of(whole_game(seed)) for seed in range(6)]
    old = [_as_version(today[i % 6], found) for i, found in enumerate(VERSIONS) if found < (3, 18, 0)]
    climbing, throwing = today[0].copy(), today[1].copy()
    _climb(climbing)
    items(random.Random(5), throwing)
    return (*today, *old, climbing, _as_version(climbing, (2, 0, 1)), throwing)


GROWTH: dict[int, tuple[tuple[tuple[int, int], int], ...]] = {
    slp.GAME_START: (
        *(((0, 1), 320), ((1, 0), 352), ((1, 3), 416), ((1, 5), 417), ((2, 0), 418), ((3, 7), 420), ((3, 9), 584)),
        *(((3, 11), 700), ((3, 12), 701), ((3, 14), 760)),
    ),
    slp.PRE_FRAME: (((0, 1), 58), ((1, 2), 59), ((1, 4), 63), ((3, 15), 64), ((3, 17), 66)),
    slp.POST_FRAME: (
        *(((0, 1), 33), ((0, 2), 37), ((2, 0), 51), ((2, 1), 52), ((3, 5), 72), ((3, 8), 76), ((3, 11), 80)),
        ((3, 16), 84),
    ),
    slp.ITEM: (((3, 0), 37), ((3, 2), 41), ((3, 6), 42), ((3, 16), 44)),
    slp.FRAME_START: (((2, 2), 8), ((3, 10), 12)),
    slp.BOOKEND: (((3, 0), 4), ((3, 7), 8)),
    slp.GAME_END: (((0, 1), 1), ((2, 0), 2), ((3, 13), 6)),
}
"""Bytes of each payload from which version on, by Slippi's specification."""


def _as_version(draft: Draft, version: tuple[int, int, int]) -> Draft:
    """The game as a recorder of that version would have written it, as far as sizes go."""
    found = draft.copy()
    sizes = {c: max((s for since, s in steps if since <= version[:2]), default=0) for c, steps in GROWTH.items()}
    found.sizes = [(c, sizes[c]) for c, _ in found.sizes if sizes.get(c)]
    kept = [(c, payload[: sizes[c]]) for c, payload in found.events if sizes.get(c)]
    found.events = [(c, bytes(version) + p[3:] if c == slp.GAME_START else p) for c, p in kept]
    return found


def _climb(draft: Draft) -> None:
    """Let the first player be Ice Climbers, whose Nana dies after a while."""
    for place in reversed(draft.places(slp.PRE_FRAME, slp.POST_FRAME)):
        kind, payload = draft.events[place]
        if payload[4] == 0:
            draft.put(place, "character", 10)
            if place < len(draft.events) * 2 // 3:
                draft.events.insert(place + 1, (kind, payload[:5] + b"\x01" + payload[6:]))
                draft.put(place + 1, "character", 11)
    start = draft.events[0][1]
    draft.events[0] = (slp.GAME_START, start[:0x64] + b"\x0e" + start[0x65:])


def mutant(case: Case) -> bytes:
    """The case's file; its match is its own."""
    draft = bases()[case.seed % len(bases())].copy()
    for place in draft.places(slp.GAME_START)[:1]:
        draft.put(place, "match_id", f"mode.unranked-{case.seed}".encode())
        draft.put(place, "random_seed", case.seed % 2**32)
    return edited(draft, case.edits)


class Replays(Part):
    """Mutants of generated games."""

    name = "replays"
    batch = 200
    limit_s = 5.0

    def prepare(self) -> None:
        """Set up what catches the columns of the replays that are let in."""
        self._parsed: dict[str, ParsedReplay] = {}
        self._codec = get_codec("axis17")
        self._healthy = _own_match(whole_game(1), b"mode.unranked-healthy")
        self._tried = 0

    def attempt(self, cases: Sequence[Case]) -> None:
        """Judge them all beside one healthy game."""
        shutil.rmtree(self.scratch)
        folder = self.scratch / "in"
        folder.mkdir(parents=True)
        (folder / HEALTHY).write_bytes(self._healthy)
        for number, case in enumerate(cases):
            (folder / f"{number:04d}.slp").write_bytes(mutant(case))
        is_deep = len(cases) == 1 or self._tried % DEEP == 0
        self._tried += 1
        rows, wrong = self._judged(folder)
        wrong |= self._check_rows(rows, len(cases))
        if wrong:
            raise WrongsError([(cases[int(name[:4])], error) for name, error in wrong.items()])
        if is_deep:
            self._deep(folder, len(cases))

    def _judged(self, folder: Path) -> tuple[list[dict[str, Any]], dict[str, WrongError]]:
        """Rows of all files, and what is wrong with those let in, by file."""
        audits: list[tuple[dict[str, Any], ParsedReplay]] = []
        parse = job.parse_columns
        newest: list[ParsedReplay] = []

        def remembering(*arguments: Any, **named: Any) -> ParsedReplay:
            found = parse(*arguments, **named)
            newest.append(found)
            return found

        job.parse_columns = remembering
        try:
            settings = Settings(store=None, options=OPTIONS, names=Names(b"salt", True))
            rows = []
            jobs = make_jobs(find_candidates([folder]), 0, settings.names)
            for one in jobs:
                for group in one.groups:
                    newest.clear()
                    (result,) = run_jobs([job.Job(index=0, groups=(group,))], settings, Known())
                    rows += result.rows
                    audits += [(row, newest[-1]) for row in result.rows if row["status"] == "ok"]
        finally:
            job.parse_columns = parse
        wrong: dict[str, WrongError] = {}
        for row, parsed in audits:
            try:
                self._audit(row, parsed)
            except WrongError as error:
                wrong[Path(row["source"]).name] = error
        return rows, wrong

    def _audit(self, row: dict[str, Any], parsed: ParsedReplay) -> None:
        known = {name: value for name, value in row.items() if name in REPLAY_SCHEMA.names}
        row = pa.Table.from_pylist([known], schema=REPLAY_SCHEMA).to_pylist()[0]
        audit = FrameAudit()
        audit.add(row, parsed.columns, self._codec)
        for kind in ("order", "ids", "sticks", "triggers", "codec"):
            faults: Faults = getattr(audit, kind)
            if faults.count:
                raise WrongError("accepted", f"{kind}: {faults.first}")
        for wrong in contradictions(row, parsed.columns):
            raise WrongError("accepted", f"row: {wrong}")

    def _check_rows(self, rows: list[dict[str, Any]], count: int) -> dict[str, WrongError]:
        found = {Path(row["source"]).name: row for row in rows}
        if len(found) != count + 1:
            raise WrongError("loss", f"{count + 1} files were found, {len(found)} rows came")
        if found[HEALTHY]["status"] != "ok":
            raise WrongError("loss", f"the healthy neighbour became {found[HEALTHY]['status']}")
        wrong: dict[str, WrongError] = {}
        for name, row in found.items():
            status, reason = row["status"], row.get("reason")
            self.tally[status if reason is None else f"{status} {reason}"] += 1
            if status not in STATUSES or (reason is not None and reason not in SENTENCES):
                wrong[name] = WrongError("message", f"status {status}, reason {reason} is not one that is documented")
            if reason in UNEXPECTED:
                wrong[name] = WrongError("traceback", f"{reason}: {row.get('detail')}")
        return wrong

    def _deep(self, folder: Path, count: int) -> None:
        store = self.scratch / "store"
        report = ingest([folder], store, OPTIONS)
        if report.replays_found != count + 1 or report.replays_new != count + 1:
            raise WrongError("loss", f"{count + 1} files, {report.replays_found} found, {report.replays_new} counted")
        verdict = verify(store)
        for check in verdict.checks:
            if not check.ok and "too few to tell" not in check.detail:
                raise WrongError("accepted", f"verify: {check.name}: {check.detail}")

    def write(self, case: Case, folder: Path) -> str:
        """The mutant beside a healthy game."""
        (folder / "mutant.slp").write_bytes(mutant(case))
        (folder / HEALTHY).write_bytes(self._healthy)
        return f"exphil ingest {folder} --store STORE --min-frames 1 --include-cpu; exphil verify --store STORE"


def _own_match(data: bytes, match: bytes) -> bytes:
    draft = Draft.of(data)
    draft.put(draft.places(slp.GAME_START)[0], "match_id", match)
    return draft.bytes()
