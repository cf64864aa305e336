from pathlib import Path

import polars as pl
import pytest

from dataset.errors import ConfigError
from dataset.melee.ids import character_from_name
from dataset.stats.queries import QUERIES, query, sql
from dataset.store.store import Store

MEWTWO, FOX = character_from_name("mewtwo"), character_from_name("fox")


class FakeStore:
    """What the queries ask of a store, over tables made by hand."""

    path = "fake"
    ok_frames = Store.ok_frames

    class manifest:  # noqa: N801 (stands in for an attribute)
        frames = 5
        kept_frames = 0

    def replays(self) -> pl.LazyFrame:
        return pl.LazyFrame(
            {
                "id": ["r1", "r2", "r3", "r4"],
                "status": ["ok", "ok", "ok", "rejected"],
                "split": ["train", "train", "val", None],
                "match_id": ["m1", "m1", None, None],
                "version": ["3.9.0", "3.14.0", "3.9.0", "0.1.0"],
                "stage": pl.Series([4, 4, 0, 5], dtype=pl.UInt8),
                "character_a": pl.Series([16, 1, 16, 16], dtype=pl.UInt8),
                "character_b": pl.Series([1, 16, 16, 1], dtype=pl.UInt8),
                "winner": ["a", "a", None, "a"],
                "damage_a": [100.0, 50.0, 10.0, 999.0],
                "damage_b": [40.0, 80.0, 20.0, 999.0],
                "frames": [3600, 7200, 1800, 60],
                "frames_resimulated": [0, 126, 0, 60],
                "frame_gaps": [0, 1, 0, 9],
            }
        )

    def frames(self, columns: list[str] | None = None) -> pl.LazyFrame:
        characters = {"a_character": [16, 16, 16, 16, 1], "b_character": [1, 1, 1, 1, 16]}
        states = {"a_action_state": [14, 14, 24, 24, 20], "b_action_state": [14, 350, 14, 14, 24]}
        return pl.LazyFrame({**characters, **states})


STORE: Store = FakeStore()  # type: ignore[assignment]


def test_the_summary_counts_what_is_in_and_what_is_out() -> None:
    row = query(STORE, "summary").row(0, named=True)
    assert row == {
        "replays": 3,
        "frames": 12_600,
        "hours": 12_600 / 216_000,
        "train": 2,
        "val": 1,
        "test": 0,
        "matches": 1,
        "resimulated": 0.01,
        "frame_gaps": 1,
        "oldest_version": "3.9.0",
        "newest_version": "3.14.0",
        "rejected": 1,
        "failed": 0,
        "duplicate": 0,
    }


def test_a_characters_record_counts_both_sides_and_only_known_winners() -> None:
    columns = ["character", "games", "wins", "win_rate", "dealt_per_minute", "taken_per_minute"]
    mewtwo, fox = ((frames - games * 84) / 3600 for frames, games in ((14_400, 4), (10_800, 2)))  # less the entrances
    assert query(STORE, "characters").select(columns).rows() == [
        ("mewtwo", 4, 1, 0.5, (100 + 80 + 10 + 20) / mewtwo, (40 + 50 + 20 + 10) / mewtwo),
        ("fox", 2, 1, 0.5, (40 + 50) / fox, (100 + 80) / fox),
    ]


def test_matchups_are_told_from_each_side() -> None:
    found = query(STORE, "matchups").select("character", "opponent", "games", "wins").rows()
    assert found == [("fox", "mewtwo", 2, 1), ("mewtwo", "fox", 2, 1), ("mewtwo", "mewtwo", 2, 0)]
    mine = query(STORE, "matchups", FOX).select("character", "opponent", "games").rows()
    assert mine == [("fox", "mewtwo", 2)]


def test_stages_count_games_once_and_a_characters_stages_its_wins() -> None:
    assert query(STORE, "stages").select("stage", "games", "frames").rows() == [
        ("battlefield", 2, 10_800),
        ("fountain_of_dreams", 1, 1800),
    ]
    fox = query(STORE, "stages", FOX).select("stage", "games", "wins").rows()
    assert fox == [("battlefield", 2, 1)]


def test_action_states_are_counted_for_the_character_on_either_side() -> None:
    mewtwo = query(STORE, "actions", MEWTWO)
    assert mewtwo.drop("share").rows() == [("mewtwo", 24, "knee bend", 3), ("mewtwo", 14, "wait", 2)]
    assert mewtwo["share"].to_list() == pytest.approx([0.6, 0.4])
    everyone = query(STORE, "actions")
    assert everyone.filter(pl.col("character") == "fox").drop("share").rows() == [
        ("fox", 14, "wait", 3),
        ("fox", 20, "dash", 1),
        ("fox", 350, "special 350", 1),
    ]
    assert everyone["share"].sum() == pytest.approx(2)


def test_a_summary_of_one_character_counts_the_games_it_is_in() -> None:
    assert query(STORE, "summary", FOX)["replays"].item() == 2


def test_sql_reads_both_tables() -> None:
    assert sql(STORE, "select status, count(*) as n from replays group by status order by n").rows() == [
        ("rejected", 1),
        ("ok", 3),
    ]
    assert sql(STORE, "select count(*) as n from frames where a_character = 16").rows() == [(4,)]


@pytest.mark.parametrize(
    "text",
    [
        "selct 1",
        "select nothing_like_it from replays",
        "select * from games",
        "select greatest() from replays",  # polars panics here
        "\udcff",
    ],
)
def test_sql_polars_cannot_read_is_the_users_to_mend(text: str) -> None:
    with pytest.raises(ConfigError, match="--sql: must be SQL that polars reads over the tables replays and frames"):
        sql(STORE, text)


def test_sql_that_asks_for_an_unknown_column_is_answered_in_one_line(generated_store: Path) -> None:
    with pytest.raises(ConfigError, match='found unable to find column "nope"') as told:
        sql(Store(generated_store), "SELECT nope FROM replays")
    assert "\n" not in str(told.value)


def test_an_unknown_query_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=f"query 'vibes': unknown; use one of {', '.join(QUERIES)}"):
        query(STORE, "vibes")


def test_only_techniques_tell_players_apart(generated_store: Path) -> None:
    told = query(Store(generated_store), "techniques", MEWTWO, by_player=True)
    assert told.columns[:3] == ["character", "player", "technique"]
    with pytest.raises(ConfigError, match=r"--by-player: .* found the query stages; add --query techniques"):
        query(STORE, "stages", by_player=True)


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("character", [None, FOX])
def test_every_query_answers_on_a_real_store(generated_store: Path, name: str, character: object) -> None:
    assert len(query(Store(generated_store), name, character)) > 0  # type: ignore[arg-type]


@pytest.mark.parametrize("name", QUERIES)
def test_a_character_nobody_picked_is_an_error_that_names_those_who_are_there(name: str) -> None:
    with pytest.raises(ConfigError, match=r"--character marth: .* found mewtwo \(4\), fox \(2\); choose one"):
        query(STORE, name, character_from_name("marth"))
