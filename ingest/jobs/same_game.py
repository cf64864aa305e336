"""Which recordings are of one game, and which of them is kept: the whole one, in whatever order and run they come.

Both clients of an online game may upload it, and a recording may break off. All share match, seed, stage and players; games that
share only the match id and the number are different games.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset.melee.ids import internal_from_external, stage_index_from_slippi
from dataset.schema import SIDES
from dataset.slippi.slp import Header
from dataset.store.frame_table import ShardWriter, shard_number
from dataset.store.manifest import ShardInfo
from dataset.store.replay_table import ReplayRow
from dataset.stream.window_shards import read_about, read_packed
from ingest.replay.judge import Names, header_row

GameKey = tuple[Any, ...]
"""What all recordings of one game share; the random seed comes last."""

Rank = tuple[bool, int, str]
"""Of two recordings of a game the one of the lesser rank is kept."""

_PLAYERS = tuple(f"{what}_{side}" for what in ("port", "character", "code_hash") for side in SIDES)


def header_key(header: Header, names: Names) -> GameKey | None:
    """The key of a game by its start; ``None`` where the version records no match, or not two play."""
    if len(header.players) != 2:
        return None
    row = header_row(header, names) | {"stage": stage_index_from_slippi(header.stage)}
    for side, player in zip(SIDES, header.players, strict=True):
        row[f"character_{side}"] = internal_from_external(player.character)
    return row_key(row)


def row_key(row: Mapping[str, Any]) -> GameKey | None:
    """The same key by a replay's row; stores of older versions recorded no seed."""
    if row["match_id"] is None or row["game_number"] is None:
        return None
    game = (row["match_id"], row["game_number"], row["tiebreaker"] or 0, row["stage"])
    return (*game, *(row[name] for name in _PLAYERS), row.get("random_seed"))


def rank(row: Mapping[str, Any]) -> Rank:
    """A recording with a game end comes first, then the longer one, then the one with the lower content hash."""
    return row["end_method"] is None, -row["frames"], row["id"]


class Games:
    """The recording that is kept of each game."""

    def __init__(self, rows: Iterable[ReplayRow] = ()) -> None:
        """Of replays that were let in."""
        self._kept: dict[GameKey, ReplayRow] = {}
        for row in rows:
            key = row_key(row)
            if key is not None:
                self._kept[key] = row

    def rival(self, key: GameKey) -> ReplayRow | None:
        """The row of the recording that is kept of a game; without a seed on record, of one that is alike in all else."""
        return self._kept.get(key) or self._kept.get((*key[:-1], None))

    def keep(self, key: GameKey, row: ReplayRow) -> None:
        """Keep a recording instead of its rival."""
        self._kept.pop((*key[:-1], None), None)
        self._kept[key] = row

    def ranks(self) -> dict[GameKey, Rank]:
        """The rank of each game's recording, which is all that a worker needs to know."""
        return {key: rank(row) for key, row in self._kept.items()}


def known_rank(ranks: Mapping[GameKey, Rank], key: GameKey) -> Rank | None:
    """The rank of what is known of a game, found as ``Games.rival`` finds it."""
    return ranks.get(key) or ranks.get((*key[:-1], None))


def without_samples(
    folder: Path,
    shards: Sequence[ShardInfo],
    gone: Mapping[str, ReplayRow],
    number: int,
    read: Callable[[ShardInfo], bytes],
) -> list[ShardInfo]:
    """``shards`` with the window shards that hold a sample of ``gone`` replaced by new ones without it.

    Args:
        folder: the store; the new shards are written to it, and the old ones stay where they are.
        shards: all that the store's manifest is to list.
        gone: the rows, by id, of replays whose samples go, as they were when they had one.
        number: the first number that no shard has.
        read: what a shard holds.
    """
    left = dict(gone)
    numbers = {shard_number(str(row["shard"])) for row in gone.values()}
    kept = list(shards)
    windows = [shard for shard in shards if shard.kind == "windows"]
    for shard in sorted(
        windows, key=lambda one: (shard_number(one.path) not in numbers, one.path)
    ):  # the likely ones first
        if shard.split not in {row["split"] for row in left.values()}:
            continue
        samples = {read_about(packed.about): packed for packed in read_packed(read(shard))}
        found = [about.id for about in samples if about.id in left]
        if found:
            with ShardWriter(folder, number) as writer:
                for about, packed in samples.items():
                    if about.id not in left:
                        writer.add_packed(about, packed, str(shard.split))
            kept = [*(one for one in kept if one is not shard), *writer.shards]
            left = {id_: row for id_, row in left.items() if id_ not in found}
            number += 1
    return kept
