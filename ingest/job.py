"""One job: a share of the candidates read, parsed, judged and written as shards, in this process or a worker.

In: groups of candidates that may be the same game. Out: one row a candidate for ``replays.parquet``, and the shards. The
surprise: of a group the first acceptable replay *by content hash* is kept, so the result does not depend on the order in
which files were found.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from dataset.arrow import rows_digest
from dataset.codec import get_codec
from dataset.errors import ReplayError
from dataset.manifest import ShardInfo
from dataset.schema import Version
from dataset.slp import Header, read_header
from dataset.split import split_key, split_of
from ingest.archives import Candidate, Reader
from ingest.columns import Rollback
from ingest.judge import REJECTIONS, Filters, judge, judge_header, outcome_of
from ingest.names import Names
from ingest.parse import ParsedReplay, parse_columns, to_sample
from ingest.shardset import ShardSet

Row = dict[str, Any]
"""One row of ``replays.parquet``; absent keys are null."""

GameKey = tuple[str, int, int]
"""Match id, game number and tie-break: what both clients' uploads of a game share."""

Group = tuple[Candidate, ...]

FIRST_VERSION: Version = (0, 1, 0)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every job of a run shares."""

    store: Path | None
    """Where to write; ``None`` only parses and judges."""
    filters: Filters
    rollback: Rollback
    codec: str
    split_seed: int
    names: Names
    is_verbose: bool = False


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
    oldest: Version = FIRST_VERSION
    """The oldest Slippi version among its replays, so far as their headers can be read."""
    deadly: frozenset[int] = frozenset()
    """Groups that killed a worker: counted as failed, not parsed again."""


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What became of a job."""

    rows: list[Row]
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


def run_job(job: Job, settings: Settings, known: Known) -> JobResult:
    """Read, parse, judge and write a job's replays."""
    start = time.process_time()
    shards: tuple[ShardInfo, ...] = ()
    with Reader() as reader:
        if settings.store is None:
            rows = _Runner(reader, settings, known, None).run(job)
        else:
            with ShardSet(settings.store, job.index, job.oldest) as shard_set:
                rows = _Runner(reader, settings, known, shard_set).run(job)
            shards = shard_set.shards
    return JobResult(rows=rows, shards=shards, cpu_seconds=time.process_time() - start)


class _Runner:
    """The work of one job."""

    def __init__(self, reader: Reader, settings: Settings, known: Known, shards: ShardSet | None) -> None:
        self._reader, self._settings, self._known, self._shards = reader, settings, known, shards
        self._codec = get_codec(settings.codec)

    def run(self, job: Job) -> list[Row]:
        """Rows of all candidates, group by group."""
        rows: list[Row] = []
        for number, group in enumerate(job.groups):
            rows += self._group(group, number in job.deadly)
        return rows

    def _group(self, group: Group, is_deadly: bool) -> list[Row]:
        read, rows = self._read(group)
        seen, games = set(self._known.ids), set(self._known.games)
        for id_, candidate, source in sorted(read, key=lambda entry: entry[0]):
            row = self._row(candidate) | {"id": id_}
            rows.append(row)
            if id_ in seen:
                row |= {"status": "duplicate", "reason": "same_content"}
                continue
            seen.add(id_)
            try:
                if is_deadly:
                    raise ReplayError("worker_died", "replay: the process that read it died; report the file")
                row |= self._replay(id_, self._reader.read(candidate) if source is None else source, games)
            except ReplayError as error:
                row |= _refusal(error)
        return rows

    def _read(self, group: Group) -> tuple[list[tuple[str, Candidate, str | bytes | None]], list[Row]]:
        """(id, candidate, source) of those that can be read, rows of those that cannot.

        The source is a path, or the bytes of a lone replay, or ``None`` where the bytes must be read again.
        """
        read: list[tuple[str, Candidate, str | bytes | None]] = []
        rows: list[Row] = []
        for candidate in group:
            try:
                if candidate.is_plain:
                    read.append((self._reader.content_id(candidate), candidate, candidate.source))
                elif len(group) == 1:
                    data = self._reader.read(candidate)
                    read.append((content_id(data), candidate, data))
                else:
                    read.append((self._reader.content_id(candidate), candidate, None))
            except ReplayError as error:
                rows.append(self._row(candidate) | _refusal(error))
        return read, rows

    def _replay(self, id_: str, source: str | bytes, games: set[GameKey]) -> Row:
        """The row of a replay; it is written to the shards if it is let in."""
        header = read_header(source)
        row = self._header_row(header)
        try:
            key = game_key(header)
            if key in games:
                return row | {"status": "duplicate", "reason": "same_game"}
            judge_header(header, self._settings.filters)
            parsed = parse_columns(
                source, rollback=self._settings.rollback, header=header, is_verbose=self._settings.is_verbose
            )
            row |= _parsed_row(parsed)
            outcome = outcome_of(parsed)
            judge(parsed, self._settings.filters, outcome)
        except ReplayError as error:
            return row | _refusal(error)
        if key is not None:
            games.add(key)
        row |= {
            "winner": outcome.winner,
            "stocks_a": outcome.stocks[0],
            "stocks_b": outcome.stocks[1],
            "damage_a": outcome.damage[0],
            "damage_b": outcome.damage[1],
            "seconds": outcome.seconds,
        }
        return row | self._write(id_, parsed)

    def _write(self, id_: str, parsed: ParsedReplay) -> Row:
        split = split_of(split_key(parsed.header.match_id, id_), self._settings.split_seed)
        row: Row = {"status": "ok", "split": split, "rows_digest": rows_digest(parsed.columns)}
        if self._shards is not None:
            shard, start = self._shards.add(parsed.columns, to_sample(parsed, id_, self._codec), split)
            row |= {"shard": shard, "row_start": start}
        return row

    def _row(self, candidate: Candidate) -> Row:
        return {
            "source": self._settings.names.of(candidate.source),
            "member": self._settings.names.of(candidate.member),
            "size": candidate.size,
            "mtime": candidate.mtime,
            "archive_size": candidate.archive_size,
            "crc": candidate.crc,
        }

    def _header_row(self, header: Header) -> Row:
        row: Row = {
            "version": ".".join(map(str, header.version)),
            "match_id": header.match_id,
            "game_number": header.game_number,
            "tiebreaker": header.tiebreaker,
            "is_pal": header.is_pal,
            "is_frozen_stadium": header.is_frozen,
        }
        if len(header.players) == 2:
            for side, player in zip("ab", header.players, strict=True):
                row |= {
                    f"port_{side}": player.port,
                    f"type_{side}": player.kind,
                    f"cpu_level_{side}": player.cpu_level,
                    f"name_hash_{side}": self._settings.names.of(player.display_name),
                    f"code_hash_{side}": self._settings.names.of(player.connect_code),
                }
        return row


def _parsed_row(parsed: ParsedReplay) -> Row:
    return {
        "stage": parsed.stage,
        "character_a": parsed.characters[0],
        "character_b": parsed.characters[1],
        "frames": parsed.num_frames,
        "frames_resimulated": parsed.frames_resimulated,
        "frame_gaps": parsed.frame_gaps,
        "non_finite": json.dumps(parsed.non_finite, sort_keys=True) if parsed.non_finite else None,
        "off_lattice": parsed.off_lattice,
        "started_at": parsed.started_at,
        "end_method": parsed.end_method,
    }


def _refusal(error: ReplayError) -> Row:
    status = "rejected" if error.reason in REJECTIONS else "failed"
    return {"status": status, "reason": error.reason, "detail": str(error)}


def probe(groups: Sequence[Group], settings: Settings) -> None:
    """Parse every replay of the groups and keep nothing: shows which one kills a worker."""
    with Reader() as reader:
        runner = _Runner(reader, settings, Known(), None)
        runner.run(Job(index=0, groups=tuple(groups)))
