"""Questions to a store, answered by polars without loading it: named queries, and SQL over ``replays`` and ``frames``.

Answers are small polars frames with names in place of ids. A game counts twice wherever players are counted, once for each
side, and a win is known only where ingest found out who won (``winner``).
"""

from collections import Counter
from collections.abc import Callable

import polars as pl

from dataset.errors import ConfigError, SchemaError
from dataset.io.json_object import parse_object
from dataset.io.quiet import silent_panics
from dataset.melee.controller import BUTTONS
from dataset.melee.ids import NUM_CHARACTERS, NUM_STAGES, Character, action_state_name, character_name, stage_name
from dataset.schema import FIRST_CONTROLLED_FRAME, FRAMES_PER_MINUTE, SIDES
from dataset.stats.techniques.table import played_minutes, technique_table
from dataset.store.replay_table import readable
from dataset.store.store import Store

FRAMES_PER_HOUR = 60 * FRAMES_PER_MINUTE

_LONGEST_COUNTS = 2**16

_OTHER_SHAPE = {"zelda": "sheik", "sheik": "zelda"}
"""Who turns into whom in mid-game: counts as picked though nobody picked it."""

QUALITY_SCHEMA = {
    "about": pl.String,
    "name": pl.String,
    "count": pl.Int64,
    "share": pl.Float64,
    "per_minute": pl.Float64,
    "mean": pl.Float64,
}

SIDE_MEANS = ("idle_share", "inputs_per_minute", "damage_per_minute", "sds", "quality")
"""Columns of the table of replays about one player, with the suffixes ``_a`` and ``_b``; older stores have none."""


def query(
    store: Store, name: str, character: Character | None = None, *, by_player: bool = False, port: int | None = None
) -> pl.DataFrame:
    """The answer of a named query, about one character if given; techniques also by each player's hash, or of one port.

    Raises:
        ConfigError: there is no such query, it does not distinguish players, or nobody picked the character.
        SchemaError: a file of the store is damaged.
    """
    with readable(f"store {store.path}"):
        return _query(store, name, character, by_player=by_player, port=port)


def _query(store: Store, name: str, character: Character | None, *, by_player: bool, port: int | None) -> pl.DataFrame:
    if name not in QUERIES:
        raise ConfigError(f"query '{name}': unknown; use one of {', '.join(QUERIES)}, conduct, likeness, or --sql")
    if character is not None:
        _require_picked(store, character)
    if not by_player and port is None:
        return QUERIES[name](store, character)
    if name != "techniques":
        flag = "--by-player" if by_player else f"--port {port}"
        raise ConfigError(f"{flag}: separates the players' techniques, found the query {name}; add --query techniques")
    return _named(technique_table(store, character, by_player=by_player, port=port))


def sql(store: Store, text: str) -> pl.DataFrame:
    """The answer to SQL over ``replays`` and ``frames``.

    Raises:
        ConfigError: polars cannot answer the query.
    """
    tables = {"replays": store.replays()}
    if store.manifest.frames:
        tables["frames"] = store.frames()
    try:
        with silent_panics():
            return pl.SQLContext(tables).execute(text).collect(engine="streaming")
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, UnicodeError) as error:
        reason = str(error).strip().partition("\n")[0]  # the plan of the query follows
        raise ConfigError(
            f"--sql: must be SQL that polars reads over the tables replays and frames, found {reason}; "
            "see the columns with 'select * from replays limit 1'"
        ) from error


def _summary(store: Store, character: Character | None) -> pl.DataFrame:
    """How much there is, and what became of every file looked at."""
    replays = _with_character(store.replays(), character)
    is_ok = pl.col("status") == "ok"
    split = [(is_ok & (pl.col("split") == name)).sum().alias(name) for name in ("train", "val", "test")]
    refused = [(pl.col("status") == name).sum().alias(name) for name in ("rejected", "failed", "duplicate")]
    frames = pl.col("frames").filter(is_ok)
    parts = pl.col("version").filter(is_ok).str.split(".").list.eval(pl.element().cast(pl.Int32))
    version = pl.col("version").filter(is_ok).sort_by(*(parts.list.get(place) for place in range(3)))
    return replays.select(
        is_ok.sum().alias("replays"),
        frames.sum(),
        (frames.sum() / FRAMES_PER_HOUR).alias("hours"),
        *split,
        pl.col("match_id").filter(is_ok).drop_nulls().n_unique().alias("matches"),
        (pl.col("frames_resimulated").filter(is_ok).sum() / frames.sum()).alias("resimulated"),
        pl.col("frame_gaps").filter(is_ok).sum(),
        version.first().alias("oldest_version"),
        version.last().alias("newest_version"),
        *refused,
    ).collect()


def _characters(store: Store, character: Character | None) -> pl.DataFrame:
    """Games, wins and damage of every character, most played first."""
    players = _players(store, character)
    return _named(players.group_by("character").agg(*_record()).sort("games", "character", descending=[True, False]))


def _stages(store: Store, character: Character | None) -> pl.DataFrame:
    """Games and frames on every stage; wins too if a character is given."""
    games = _players(store, character) if character else _ok(store.replays())
    record = _record() if character else [pl.len().alias("games"), *_length()]
    return _named(games.group_by("stage").agg(*record).sort("games", "stage", descending=[True, False]))


def _matchups(store: Store, character: Character | None) -> pl.DataFrame:
    """Games, wins and damage of every character against every other, most played first."""
    pairs = _players(store, character).group_by("character", "opponent").agg(*_record())
    return _named(pairs.sort("games", "character", "opponent", descending=[True, False, False]))


def _actions(store: Store, character: Character | None) -> pl.DataFrame:
    """Frames every character spends in every action state."""
    frames = store.ok_frames([f"{side}_{name}" for side in SIDES for name in ("character", "action_state")])
    counts = pl.concat([_side_actions(frames, side, character) for side in SIDES])
    total = counts.group_by("character", "action_state").agg(pl.col("frames").sum())
    share = (pl.col("frames") / pl.col("frames").sum().over("character")).alias("share")
    order = total.with_columns(share).sort("character", "frames", "action_state", descending=[False, True, False])
    table = _named(order)
    names = {state: action_state_name(state) for state in table["action_state"].unique().to_list()}
    return table.insert_column(2, table["action_state"].replace_strict(names, return_dtype=pl.String).alias("name"))


def _techniques(store: Store, character: Character | None) -> pl.DataFrame:
    """How often and how well every character does what ``dataset.stats.techniques`` finds, most played first."""
    return _named(technique_table(store, character))


def quality_table(store: Store, character: Character | None = None) -> pl.DataFrame:
    """Files by status and reason, frames that are resimulated, missing or odd, players' idleness and presses.

    One row per finding: what it is ``about``, its ``name``, a ``count``, its ``share``, how often ``per_minute`` of one player's
    play, and a ``mean``. What a store was ingested without (idle share, scores) has no row rather than a zero.
    """
    replays = _with_character(store.replays(), character).collect()
    games = replays.filter(pl.col("status") == "ok")
    parts = [_file_outcomes(replays), _frame_faults(games), _player_means(games, character)]
    if store.manifest.frames:
        parts.append(_presses(store, character))
    return pl.concat([pl.DataFrame(schema=QUALITY_SCHEMA), *parts], how="diagonal_relaxed")


def _file_outcomes(replays: pl.DataFrame) -> pl.DataFrame:
    """Files by what became of them, then the reasons why not, most frequent first."""
    whole = {"share": pl.len() / len(replays), "count": pl.len()}
    status = replays.group_by(name="status").agg(**whole).with_columns(about=pl.lit("files"))
    reasons = replays.filter(pl.col("reason").is_not_null()).group_by(about="status", name="reason").agg(**whole)
    rows = pl.concat([status, reasons], how="diagonal")
    return rows.sort(pl.col("about") != "files", "about", "count", "name", descending=[False, False, True, False])


def _frame_faults(games: pl.DataFrame) -> pl.DataFrame:
    """Resimulated frames and gaps as shares of all frames; values off the controllers' lattice and non-finite ones."""
    frames, gaps = int(games["frames"].sum()), int(games["frame_gaps"].sum())
    resimulated = int(games["frames_resimulated"].sum())
    odd: Counter[str] = Counter()
    for text in games["non_finite"].drop_nulls():
        try:
            odd.update({name: int(count) for name, count in parse_object(text, _LONGEST_COUNTS).items()})
        except (ValueError, TypeError) as error:
            raise SchemaError(
                f"replays.parquet: non_finite must be JSON of counts by column, found damage ({error}); copy the store again"
            ) from error
    rows = [
        {"name": "all", "count": frames},
        {"name": "resimulated", "count": resimulated, "share": resimulated / frames if frames else None},
        {"name": "missing", "count": gaps, "share": gaps / (frames + gaps) if frames else None},
        {"name": "off the lattice", "count": int(games["off_lattice"].sum())},
        *({"name": f"not finite: {column}", "count": count} for column, count in sorted(odd.items())),
    ]
    return pl.DataFrame(rows, schema=QUALITY_SCHEMA).with_columns(about=pl.lit("frames"))


def _player_means(games: pl.DataFrame, character: Character | None) -> pl.DataFrame:
    """Means over players' games, by frames, of what ingest measured of each player."""
    found = [name for name in SIDE_MEANS if f"{name}_a" in games.columns]
    sides = [
        games.select("frames", character=f"character_{side}", **{name: f"{name}_{side}" for name in found})
        for side in SIDES
    ]
    players = pl.concat(sides).filter(*_of(character))
    weights = pl.col("frames").cast(pl.Float64)
    means = [
        (pl.col(n).cast(pl.Float64) * weights).sum() / weights.filter(pl.col(n).is_not_null()).sum() for n in found
    ]
    rows = [
        {"name": name.replace("_", " "), "mean": players.select(mean).item()}
        for name, mean in zip(found, means, strict=True)
    ]
    return pl.DataFrame(rows, schema=QUALITY_SCHEMA).with_columns(about=pl.lit("players"), count=pl.lit(len(players)))


def _presses(store: Store, character: Character | None) -> pl.DataFrame:
    """How often each button goes down per minute of one player's play, from the first frame on that the game reads."""
    columns = ["replay", "frame", *(f"{side}_{name}" for side in SIDES for name in ("character", "buttons"))]
    same = pl.col("replay") == pl.col("replay").shift(1)
    frames = store.ok_frames(columns).with_columns(same=same.fill_null(value=False))
    sums = []
    for side in SIDES:
        buttons = pl.col(f"{side}_buttons")
        onsets = buttons & ~pl.when("same").then(buttons.shift(1)).otherwise(buttons)
        of_side = frames.select("frame", onsets=onsets, character=f"{side}_character")
        of_side = of_side.filter(pl.col("frame") >= FIRST_CONTROLLED_FRAME, *_of(character))
        downs = ((pl.col("onsets") & bit != 0).sum().alias(name) for name, bit in BUTTONS)
        sums.append(of_side.select(pl.len().alias("frames"), *downs))
    totals = pl.concat(sums).sum().collect(engine="streaming").row(0, named=True)
    minutes = totals["frames"] / FRAMES_PER_MINUTE
    rows = [
        {"name": name, "count": totals[name], "per_minute": totals[name] / minutes if minutes else None}
        for name, _ in BUTTONS
    ]
    return pl.DataFrame(rows, schema=QUALITY_SCHEMA).with_columns(about=pl.lit("presses"))


QUERIES: dict[str, Callable[[Store, Character | None], pl.DataFrame]] = {
    "summary": _summary,
    "characters": _characters,
    "stages": _stages,
    "matchups": _matchups,
    "actions": _actions,
    "techniques": _techniques,
    "quality": quality_table,
}
"""Every named query."""


def _require_picked(store: Store, character: Character) -> None:
    """Name the characters that are there, instead of answering with an empty table."""
    picks = _players(store, None).group_by("character").len("games").sort("games", descending=True)
    games = dict(_named(picks).iter_rows())
    shape = _OTHER_SHAPE.get(character.name)
    if not {character.name, shape} & games.keys():
        found = ", ".join(f"{name} ({count})" for name, count in games.items()) or "no game at all"
        raise ConfigError(
            f"--character {character.name}: must be picked in a game of the store, found {found}; choose one that is there"
        )


def _ok(replays: pl.LazyFrame) -> pl.LazyFrame:
    return replays.filter(pl.col("status") == "ok")


def _with_character(replays: pl.LazyFrame, character: Character | None) -> pl.LazyFrame:
    """Replays in which the character was picked by either side."""
    if character is None:
        return replays
    return replays.filter(pl.any_horizontal(pl.col(f"character_{side}") == character.internal for side in SIDES))


def _of(character: Character | None) -> list[pl.Expr]:
    """The condition that rows of players are of one character, if one is given."""
    return [] if character is None else [pl.col("character") == character.internal]


def _players(store: Store, character: Character | None) -> pl.LazyFrame:
    """One row per player of every ingested game, with the opponent and who won."""
    replays = _ok(store.replays())
    sides = [
        replays.select(
            "stage",
            "frames",
            character=f"character_{side}",
            opponent=f"character_{other}",
            won=pl.col("winner") == side,
            dealt=f"damage_{side}",
            taken=f"damage_{other}",
        )
        for side, other in (SIDES, SIDES[::-1])
    ]
    return pl.concat(sides).filter(*_of(character))


def _length() -> list[pl.Expr]:
    return [pl.col("frames").sum(), (pl.col("frames").sum() / FRAMES_PER_HOUR).alias("hours")]


def _record() -> list[pl.Expr]:
    minutes = played_minutes(pl.col("frames"))
    return [
        pl.len().alias("games"),
        pl.col("won").sum().alias("wins"),
        pl.col("won").mean().alias("win_rate"),
        (pl.col("dealt").sum() / minutes).alias("dealt_per_minute"),
        (pl.col("taken").sum() / minutes).alias("taken_per_minute"),
        *_length(),
    ]


def _side_actions(frames: pl.LazyFrame, side: str, character: Character | None) -> pl.LazyFrame:
    named = frames.select(character=f"{side}_character", action_state=f"{side}_action_state").filter(*_of(character))
    return named.group_by("character", "action_state").agg(pl.len().alias("frames"))


def _named(table: pl.LazyFrame) -> pl.DataFrame:
    """The table with the names of characters and stages in place of their ids."""
    characters = {internal: character_name(internal) for internal in range(NUM_CHARACTERS)}
    stages = {index: stage_name(index) for index in range(NUM_STAGES)}
    names = {"character": characters, "opponent": characters, "stage": stages}
    found = [name for name in table.collect_schema().names() if name in names]
    return table.with_columns(
        pl.col(name).replace_strict(names[name], return_dtype=pl.String) for name in found
    ).collect(engine="streaming")
