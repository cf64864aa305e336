"""One job: a share of the replays read, parsed, judged and written as shards, in this process or a worker.

Candidates that may be the same game come as a group. Of several recordings of one game, the best acceptable one is kept
(``ingest.jobs.same_game``), so results do not depend on file order.
"""

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import xxhash

from dataset.codecs.registry import get_codec
from dataset.errors import ReplayError
from dataset.features.layout import ALL
from dataset.schema import Columns
from dataset.slippi.slp import read_header
from dataset.store.frame_table import ShardWriter, rows_digest, sample_of
from dataset.store.manifest import ShardInfo, split_of
from dataset.store.replay_table import ReplayRow, passing
from dataset.stream.track_memory import keep_freed_memory
from dataset.stream.window_shards import Sample
from ingest.jobs.same_game import GameKey, Rank, known_rank, rank, row_key
from ingest.options import DEFAULT_CODEC, IngestOptions
from ingest.replay.judge import (
    Names,
    file_row,
    header_row,
    judge,
    judge_header,
    outcome_of,
    parsed_row,
    refusal_row,
    require_sound,
)
from ingest.replay.parse import ParsedReplay, parse_columns
from ingest.sources.reader import Candidate, Reader

T = TypeVar("T")

KEPT_BYTES = 2**28
"""Each replay takes and frees the same 20 MB, and fresh pages for them cost a tenth of the run."""

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
    games: Mapping[GameKey, Rank] = field(default_factory=dict)
    """The rank of the recording that it holds of each game."""


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
        kept: dict[GameKey, tuple[ReplayRow, _Made]] = {}
        for id_, candidate, source in sorted(read, key=lambda entry: entry[0]):
            row = file_row(candidate, self._settings.names) | {"id": id_}
            rows.append(row)
            if id_ in seen or id_ in self._known.ids:
                row |= {"status": "duplicate", "reason": "same_content"}
                continue
            seen.add(id_)
            made = None
            with self._refusing(row, candidate):
                if given_up is not None:
                    raise ReplayError(*given_up)
                made = self._replay(row, candidate, self._reader.read(candidate) if source is None else source)
            if made is not None:
                self._compete(row, made, kept)
        for row, made in kept.values():
            self._keep(row, made)
        return rows

    def _compete(self, row: ReplayRow, made: "_Made", kept: "dict[GameKey, tuple[ReplayRow, _Made]]") -> None:
        """Put a recording among those ``kept`` instead of a worse one of its game, unless a better one is known."""
        if made.key is None:
            self._keep(row, made)
            return
        loser, its = kept.get(made.key, (None, made))
        known = known_rank(self._known.games, made.key)
        if (known is not None and known < rank(made.row)) or (loser is not None and rank(its.row) < rank(made.row)):
            loser, its = row, made
        else:
            kept[made.key] = row, made
        if loser is not None:
            loser |= its.start | {"status": "duplicate", "reason": "same_game"}

    def _keep(self, row: ReplayRow, made: "_Made") -> None:
        """Finish a row and write its frames; what goes wrong from here on concerns the store, and ends the run."""
        row |= made.row | self._write(made)

    @contextmanager
    def _refusing(self, row: ReplayRow, candidate: Candidate) -> Iterator[None]:
        """Make any error in the context the failure of the one replay that it is about."""
        try:
            yield
        except ReplayError as error:
            row |= refusal_row(error)
        except Exception as error:  # noqa: BLE001 (no replay ends a run)
            if self._settings.options.is_verbose:
                traceback.print_exception(error)
            self._reader.close()  # who knows where in its archive it stopped
            row |= refusal_row(_internal_error(error, candidate))

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
            row = file_row(candidate, self._settings.names)
            with self._refusing(row, candidate):
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
            if "status" in row:
                rows.append(row)
        return read, rows

    def _replay(self, file: ReplayRow, candidate: Candidate, source: str | bytes) -> "_Made":
        """What becomes of a replay; its frames are kept if it is let in, or if all are kept."""
        header = _while_it_is_there(read_header, source)
        row = start = file | header_row(header, self._settings.names)
        options = self._settings.options
        refusal = _refused(judge_header, header, options)
        if refusal is not None and not (options.keep_all and len(header.players) == 2):
            return _Made(row | refusal_row(refusal))
        try:
            settings = {"rollback": options.rollback, "header": header, "is_verbose": options.is_verbose}
            parsed = _while_it_is_there(parse_columns, source, **settings)
        except ReplayError as error:
            return _Made(row | refusal_row(refusal or error))
        if isinstance(source, str) and _while_it_is_there(_state, source) != (candidate.size, candidate.mtime):
            raise ReplayError("changed", "replay: a file stays as it is while it is read, found that it changed")
        outcome = outcome_of(parsed)
        row = row | parsed_row(parsed, outcome)
        unsound = _refused(require_sound, row, parsed)
        refusal = refusal or _refused(judge, parsed, options, outcome) or unsound
        if refusal is None:
            return self._let_in(row, parsed, start)
        row |= refusal_row(refusal)
        is_kept = options.keep_all and unsound is None
        return _Made(row | {"rows_digest": rows_digest(parsed.columns)}, parsed.columns) if is_kept else _Made(row)

    def _let_in(self, row: ReplayRow, parsed: ParsedReplay, start: ReplayRow) -> "_Made":
        """A game that is let in, with its window if the store's condition lets it pass."""
        split = split_of(parsed.header.match_id, row["id"], self._settings.options.split_seed)
        row = row | {"status": "ok", "split": split, "rows_digest": rows_digest(parsed.columns)}
        is_encoded = self._shards is not None and passing([row], self._settings.where)[0]
        sample = sample_of(row, parsed.columns, self._codec, self._settings.features) if is_encoded else None
        return _Made(row, parsed.columns, sample, row_key(row), start)

    def _write(self, made: "_Made") -> ReplayRow:
        """Write the frames and the window of a replay; returns where its frames lie."""
        if self._shards is None or made.columns is None:
            return {}
        shard, row_start = self._shards.add_frames(made.row["id"], made.columns)
        if made.sample is not None:
            self._shards.add_window(made.sample, made.row["split"])
        return {"shard": shard, "row_start": row_start}


@dataclass(frozen=True)
class _Made:
    """What a replay has become, before anything of it is written."""

    row: ReplayRow
    columns: Columns | None = None
    """To be written to a frame shard."""
    sample: Sample | None = None
    """To be written to a window shard."""
    key: GameKey | None = None
    """Of a game that is let in."""
    start: ReplayRow = field(default_factory=dict)
    """What is known of it without its frames."""


def _internal_error(error: Exception, candidate: Candidate) -> ReplayError:
    """The refusal of a replay on which exphil itself failed; its message may go to the store, which holds no names of files."""
    words = (getattr(error, "strerror", None) or str(error)).partition("\n")[0]
    for name in (candidate.source, Path(candidate.source).name, candidate.member):
        words = words.replace(name, "…") if name else words
    place = traceback.extract_tb(error.__traceback__)[-1]
    return ReplayError(
        "internal_error",
        f"replay: exphil must be able to work on it, found {type(error).__name__} ({words[:_MOST_WORDS]}) at "
        f"{Path(place.filename).name}:{place.lineno}; report this line with the file",
    )


_MOST_WORDS = 200


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
