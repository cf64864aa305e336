"""The conduct of people in a store: whose games are measured, how many, and the same as other queries find."""

from pathlib import Path

import pytest

from dataset.errors import ConfigError
from dataset.melee.ids import character_from_name
from dataset.stats import queries
from dataset.stats.conduct import people
from dataset.stats.conduct.people import measure_people
from dataset.store.store import Store

MEWTWO = character_from_name("mewtwo")


def test_presses_and_techniques_are_those_of_the_other_queries(generated_store: Path) -> None:
    store = Store(generated_store)
    found = measure_people(store, MEWTWO)
    assert (len(found.games), found.games_there, found.games_older) == (6, 6, 0)
    assert found.minutes == round(7 * 2400 / 3600, 2), "of the ditto, both players count"
    quality = queries.query(store, "quality", MEWTWO)
    presses = quality.filter(about="presses").select("name", "per_minute").iter_rows()
    assert found.conduct.presses_per_minute == {name: round(rate, 2) for name, rate in presses}
    table = queries.query(store, "techniques", MEWTWO)
    for name in ("l-cancel", "djc aerial", "teleport", "shadow ball"):
        technique = found.conduct.techniques[name]
        assert technique is not None
        assert table.filter(technique=name).select("count", "tries").row(0) == (technique.count, technique.tries)


def test_only_as_many_games_as_asked_for_and_fewer_are_among_more(generated_store: Path) -> None:
    store = Store(generated_store)
    chosen = [set(measure_people(store, MEWTWO, most_games=number).games) for number in (1, 3)]
    assert [len(games) for games in chosen] == [1, 3]
    assert chosen[0] < chosen[1]


def test_only_the_split_and_the_character_asked_for(generated_store: Path) -> None:
    store = Store(generated_store)
    assert measure_people(store, MEWTWO, split="train").games_there == 4
    assert measure_people(store, character_from_name("marth")).games_there == 2
    with pytest.raises(ConfigError, match="a game with marth in its val split to measure conduct, found none"):
        measure_people(store, character_from_name("marth"), split="val")


def test_several_batches_give_what_one_gives(generated_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(generated_store)
    whole = measure_people(store, MEWTWO)
    monkeypatch.setattr(people, "_AT_ONCE", 4)
    assert measure_people(store, MEWTWO) == whole


def test_games_of_slippi_versions_that_record_too_little_are_left_out(
    generated_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "_SINCE", (3, 99, 0))
    with pytest.raises(ConfigError, match=r"found none; 6 are of a Slippi version before 3\.99\.0"):
        measure_people(Store(generated_store), MEWTWO)
