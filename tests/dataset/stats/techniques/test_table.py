from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from dataset.melee.controller import A
from dataset.melee.ids import character_from_name
from dataset.stats.techniques import table
from dataset.stats.techniques.table import TECHNIQUES, find, technique_table
from tests.dataset.games import FALCO, MEWTWO, game
from tests.dataset.stats.techniques.builders import without

WAVEDASHES = [(14, 84)] + [(24, 4), (236, 2), (43, 10), (14, 5, {"buttons": [A, 0, 0, 0, 0]})] * 3
OPENED = [(14, 10), (88, 20, {"percent": 12.0}), (14, 60, {"percent": 12.0})]
KILLED = [(14, 10), (88, 20, {"percent": 30.0}), (0, 60, {"stocks": 3})]


class FakeStore:
    """Two games: Falco against Mewtwo, then a ditto of Falcos, each half a minute as far as the table of replays knows."""

    games = (game(WAVEDASHES, OPENED), game([(14, 90)], KILLED, replay="r2"))
    manifest = SimpleNamespace(of_kind=lambda kind: [SimpleNamespace(frames=len(g)) for g in FakeStore.games])

    def frames(self) -> pl.LazyFrame:
        return pl.concat(self.games).lazy()

    def replays(self) -> pl.LazyFrame:
        return pl.LazyFrame(
            {
                "id": ["r1", "r2", "r3"],
                "status": ["ok", "ok", "rejected"],
                "frames": [1884, 1884, 999],
                "character_a": [FALCO, FALCO, FALCO],
                "character_b": [MEWTWO, FALCO, MEWTWO],
                "port_a": [1, 1, 1],
                "port_b": [2, 2, 2],
                "code_hash_a": ["x", "x", "z"],
                "code_hash_b": [None, "y", None],
                "name_hash_a": ["n", "n", "n"],
                "name_hash_b": ["w", "w", "w"],
            }
        )


STORE: Any = FakeStore()


def rows(found: pl.LazyFrame, technique: str) -> list[tuple[object, ...]]:
    return found.filter(technique=technique).drop("technique").collect().rows()


def test_the_table_tells_counts_shares_and_rates_by_the_character_picked() -> None:
    found = technique_table(STORE)
    assert rows(found, "wavedash") == [(FALCO, 3, 3, None, 3 / 1.5, None, None)]
    assert rows(found, "kill") == [(FALCO, 1, 2, 0.5, 1 / 1.5, 30.0, "percent")]
    assert rows(found, "opening") == [(FALCO, 2, 2, None, 2 / 1.5, 21.0, "damage")]
    assert rows(found, "openings per kill") == [(FALCO, 1, 2, None, None, 2.0, "openings")]
    assert rows(found, "neutral win") == [
        (FALCO, 2, 3, 2 / 3, 2 / 1.5, None, None),
        (MEWTWO, 0, 1, 0.0, 0.0, None, None),
    ]


def test_players_are_told_apart_by_code_else_by_name() -> None:
    found = technique_table(STORE, by_player=True)
    assert rows(found, "neutral win") == [
        (FALCO, "x", 2, 2, 1.0, 2.0, None, None),
        (MEWTWO, "w", 0, 1, 0.0, 0.0, None, None),
        (FALCO, "y", 0, 1, 0.0, 0.0, None, None),
    ]


def test_one_character_is_told_from_its_own_side() -> None:
    mewtwo = technique_table(STORE, character_from_name("mewtwo")).collect()
    assert set(mewtwo["character"]) == {MEWTWO}
    assert mewtwo.filter(pl.col("technique").is_in(list(TECHNIQUES)))["technique"].to_list() == ["neutral win"]


def test_a_port_tells_the_two_of_a_ditto_apart() -> None:
    both, one, two = (technique_table(STORE, character_from_name("falco"), port=port) for port in (None, 1, 2))
    assert [rows(found, "neutral win")[0][1:3] for found in (both, one, two)] == [(2, 3), (2, 2), (0, 1)]


def test_the_busiest_comes_first_and_techniques_keep_their_order() -> None:
    known = pl.col("technique").is_in([*TECHNIQUES, "openings per kill"])
    found = technique_table(STORE).filter(known).select("character", "technique").collect().rows()
    assert found == [
        (FALCO, "wavedash"),
        (FALCO, "neutral win"),
        (FALCO, "opening"),
        (FALCO, "conversion"),
        (FALCO, "kill"),
        (FALCO, "openings per kill"),
        (FALCO, "self-destruct"),
        (MEWTWO, "neutral win"),
    ]


def test_shares_of_another_technique_and_times_have_no_rate() -> None:
    found = technique_table(STORE)
    assert rows(found, "death below") == [(FALCO, 1, 1, 1.0, 1 / 1.5, None, None)]
    [control] = rows(found.filter(character=MEWTWO), "stage control")
    assert control[:5] == (MEWTWO, 0, 84 + 63, 0.0, None)
    assert rows(found, "button press") == [(FALCO, 3, 3, None, 3 / 1.5, None, None)]


def test_games_that_do_not_tell_take_no_part_in_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    old = without(FakeStore.games[1], "buttons")
    monkeypatch.setattr(FakeStore, "games", (FakeStore.games[0], old))
    assert rows(technique_table(STORE), "button press") == [(FALCO, 3, 3, None, 3 / 0.5, None, None)]


def test_no_games_hold_nothing() -> None:
    found = find(game([(14, 5)]).clear().lazy())
    assert (len(found.events.collect()), len(found.counts), len(found.untold)) == (0, 0, 0)


def test_batches_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = technique_table(STORE).collect()
    monkeypatch.setattr(table, "BATCH_FRAMES", 1)
    assert technique_table(STORE).collect().equals(whole)
