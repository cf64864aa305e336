"""One job: a share of the replays read, parsed, judged and written as shards, in this process or a worker.

Candidates that may be the same game come as a group. Of several uploads of one game, the acceptable one with the lowest content
hash is kept, so results do not depend on file order.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import xxhash

from dataset.codecs.registry import get_codec
from dataset.errors import ReplayError
from dataset.features.layout import ALL
from dataset.slippi.slp import Header, read_header
from dataset.store.frame_table import ShardWriter, missing_columns, rows_digest, sample_of
from dataset.store.manifest import ShardInfo, split_of
from dataset.store.replay_table import ReplayRow, passing
from dataset.stream.track_memory import keep_freed_memory
from ingest.options import DEFAULT_CODEC, IngestOptions
from ingest.replay.judge import Names, file_row, header_row, judge, judge_header, outcome_of, parsed_row, refusal_row
from ingest.replay.parse import ParsedReplay, parse_columns
from ingest.sources.reader import Candidate, Reader

T = TypeVar("T")

KEPT_BYTES = 2**28
"""Each replay takes and frees the same 20 MB, and fresh pages for them cost a tenth of the run."""

GameKey = tuple[str, int, int]
"""Match id, game number and tie-break: what both clients' uploads of a game share."""

Group = tuple[Candidate, ...]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every job of a run shares."""

    store: Path | None
    """Where to write; ``None`` only parses and judges."""
    options: IngestOptions
    names: Names
    codec: str = DEFAULT_CODEC
    """Of the store, as are features and condition."""
    features: str = ALL
    """Feature groups (``dataset.features.layout``) that windows hold."""
    where: str = ""
    """Condition (``dataset.store.replay_table``) that a replay must pass to be encoded into windows."""


@dataclass(frozen=True)
class Known:
    """What the store already holds."""

    ids: frozenset[str] = frozenset()
    games: frozenset[GameKey] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Job:
    """A share of the candidates."""

    index: int
    """Number of its shards."""
    groups: tuple[Group, ...]
    given_up: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    """(reason, message) of groups that killed a worker or kept it too long: counted as failed, not parsed again."""


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What became of a job."""

    rows: list[ReplayRow]
    shards: tuple[ShardInfo, ...]
    cpu_seconds: float


def content_id(data: bytes) -> str:
    """A replay's id: xxh3-128 of its file's bytes, in hex."""
    return xxhash.xxh3_128_hexdigest(data)


def game_key(header: Header) -> GameKey | None:
    """What both clients' uploads of a game share; ``None`` where the version records no match."""
    if header.match_id is None or header.game_number is None:
        return None
    return header.match_id, header.game_number, header.tiebreaker or 0


def run_jobs(jobs: Iterable[Job], settings: Settings, known: Known) -> Iterator[JobResult]:
    """Results of all jobs, run in this process, which a replay may kill or keep forever (``ingest.jobs.workers`` does not)."""
    keep_freed_memory(KEPT_BYTES)
    yield from (run_job(job, settings, known) for job in jobs)


def run_job(job: Job, settings: Settings, known: Known, before_each: Callable[[], None] = lambda: None) -> JobResult:
    """Read, parse, judge and write a job's replays; ``before_each`` is called before each of its groups."""
    start = time.process_time()
    shards: tuple[ShardInfo, ...] = ()
    with Reader() as reader:
        if settings.store is None:
            rows = _Runner(reader, settings, known, None, before_each).run(job)
        else:
            with ShardWriter(settings.store, job.index) as writer:
                rows = _Runner(reader, settings, known, writer, before_each).run(job)
            shards = writer.shards
    return JobResult(rows=rows, shards=shards, cpu_seconds=time.process_time() - start)


class _Runner:
    """The work of one job."""

    def __init__(
        self,
        reader: Reader,
        settings: Settings,
        known: Known,
        shards: ShardWriter | None,
        before_each: Callable[[], None],
    ) -> None:
        self._reader, self._settings, self._known, self._shards = reader, settings, known, shards
        self._before_each = before_each
        self._codec = get_codec(settings.codec)

    def run(self, job: Job) -> list[ReplayRow]:
        """Rows of all candidates, group by group, as the last of each comes by in the stream of its archive."""
        rows: list[ReplayRow] = []
        numbered = sorted(enumerate(job.groups), key=lambda pair: max(candidate.place for candidate in pair[1]))
        self._reader.hold(candidate for _, group in numbered if len(group) > 1 for candidate in group)
        for number, group in numbered:
            self._before_each()
            rows += self._group(group, job.given_up.get(number))
            self._reader.let_go(group)
        return rows

    def _group(self, group: Group, given_up: tuple[str, str] | None) -> list[ReplayRow]:
        read, rows = self._read(group)
        seen: set[str] = set()
        games: set[GameKey] = set()
        for id_, candidate, source in sorted(read, key=lambda entry: entry[0]):
            row = file_row(candidate, self._settings.names) | {"id": id_}
            rows.append(row)
            if id_ in seen or id_ in self._known.ids:
                row |= {"status": "duplicate", "reason": "same_content"}
                continue
            seen.add(id_)
            try:
                if given_up is not None:
                    raise ReplayError(*given_up)
                row |= self._replay(row, self._reader.read(candidate) if source is None else source, games)
            except ReplayError as error:
                row |= refusal_row(error)
        return rows

    def _read(self, group: Group) -> tuple[list[tuple[str, Candidate, str | bytes | None]], list[ReplayRow]]:
        """(id, candidate, source) of those that can be read, rows of those that cannot.

        The source is a path, or the bytes of a lone replay, or ``None`` where the bytes must be read again.
        """
        read: list[tuple[str, Candidate, str | bytes | None]] = []
        rows: list[ReplayRow] = []
        ids: dict[object, str] = {}
        is_lone = len({candidate.content_place for candidate in group}) == 1
        for candidate in map(_as_it_is_now, group):
            place = candidate.content_place
            try:
                if place in ids:  # the same bytes, by a link
                    read.append((ids[place], candidate, None))
                elif candidate.is_plain:
                    read.append((self._reader.content_id(candidate), candidate, candidate.source))
                elif is_lone:
                    data = self._reader.read(candidate)
                    read.append((content_id(data), candidate, data))
                else:
                    read.append((self._reader.content_id(candidate), candidate, None))
                ids[place] = read[-1][0]
            except ReplayError as error:
                rows.append(file_row(candidate, self._settings.names) | refusal_row(error))
        return read, rows

    def _replay(self, file: ReplayRow, source: str | bytes, games: set[GameKey]) -> ReplayRow:
        """The row of a replay; it is written to the shards if it is let in, or if all are kept."""
        header = _while_it_is_there(read_header, source)
        row = file | header_row(header, self._settings.names)
        key = game_key(header)
        if key in games or key in self._known.games:
            return row | {"status": "duplicate", "reason": "same_game"}
        options = self._settings.options
        refusal = _refused(judge_header, header, options)
        if refusal is not None and not (options.keep_all and len(header.players) == 2):
            return row | refusal_row(refusal)
        try:
            settings = {"rollback": options.rollback, "header": header, "is_verbose": options.is_verbose}
            parsed = _while_it_is_there(parse_columns, source, **settings)
        except ReplayError as error:
            return row | refusal_row(refusal or error)
        if isinstance(source, str) and _while_it_is_there(_state, source) != (file["size"], file["mtime"]):
            raise ReplayError("changed", "replay: a file stays as it is while it is read, found that it changed")
        outcome = outcome_of(parsed)
        row |= parsed_row(parsed, outcome)
        refusal = refusal or _refused(judge, parsed, options, outcome)
        if refusal is None:
            row |= self._write(row, parsed)
            if key is not None:
                games.add(key)
        else:
            row |= refusal_row(refusal)
            if options.keep_all:
                with suppress(ReplayError):  # it lacks columns, but its own refusal says more
                    row |= self._write_frames(row["id"], parsed)
        return row

    def _write(self, row: ReplayRow, parsed: ParsedReplay) -> ReplayRow:
        """Frames of a game that is let in, and its window if the store's condition lets it pass."""
        split = split_of(parsed.header.match_id, row["id"], self._settings.options.split_seed)
        written: ReplayRow = {"status": "ok", "split": split} | self._write_frames(row["id"], parsed)
        if self._shards is not None and passing([row | written], self._settings.where)[0]:
            self._shards.add_window(sample_of(row, parsed.columns, self._codec, self._settings.features), split)
        return written

    def _write_frames(self, id_: str, parsed: ParsedReplay) -> ReplayRow:
        missing = ", ".join(missing_columns(parsed.columns, parsed.version))
        if missing:
            raise ReplayError("missing_columns", f"replay: its version records {missing}, found nothing there")
        row: ReplayRow = {"rows_digest": rows_digest(parsed.columns)}
        if self._shards is not None:
            row["shard"], row["row_start"] = self._shards.add_frames(id_, parsed.columns)
        return row


def _as_it_is_now(candidate: Candidate) -> Candidate:
    """A loose file right before it is hashed, which may be long after it was found."""
    if not candidate.is_plain or candidate.fault is not None:
        return candidate
    try:
        size, mtime = _state(candidate.source)
    except OSError:
        return candidate  # whoever opens it will see the error
    return replace(candidate, size=size, mtime=mtime)


def _state(source: str) -> tuple[int, int]:
    about = Path(source).stat()
    return about.st_size, about.st_mtime_ns


def _while_it_is_there(read: Callable[..., T], source: str | bytes, **others: Any) -> T:
    """What ``read`` returns for a replay whose file may go away at any time."""
    try:
        return read(source, **others)
    except OSError as error:
        raise ReplayError(
            "unreadable_file", f"replay: its bytes cannot be read ({error.strerror or type(error).__name__})"
        ) from error


def _refused(check: Callable[..., None], *arguments: object) -> ReplayError | None:
    """The error that a check raises."""
    try:
        check(*arguments)
    except ReplayError as error:
        return error
    return None


def probe(groups: Sequence[Group], settings: Settings) -> None:
    """Parse every replay of the groups and keep nothing, to see which one kills a worker."""
    run_job(Job(index=0, groups=tuple(groups)), replace(settings, store=None), Known())
