import numpy as np
import polars as pl
import pytest

from dataset.stats.bootstrap import Rate
from dataset.stats.likeness import likeness
from dataset.stats.likeness.likeness import LIKE, UNCLEAR, UNKNOWN, UNLIKE, Likeness, compare, most_unlike, num_drawn
from dataset.stats.likeness.words import line_of, summary
from dataset.stats.techniques.statistics import STATISTICS

ROLLS, TAUNTS, TECHS = "roll: per minute", "taunt: per minute", "tech: share"
SUMS = dict.fromkeys(name for statistic in STATISTICS.values() for name in statistic.columns)
RANDOM = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "RESAMPLES", 400)


def players(minutes: float, num_games: int = 40, **counts: object) -> pl.DataFrame:
    """A player's games with some sums, all others 0."""
    games = [f"g{number}" for number in range(num_games)]
    table = pl.DataFrame({"replay": games, "side": "a"} | dict.fromkeys(SUMS, [0.0] * num_games))
    given = {name.replace("_", " "): pl.Series(np.broadcast_to(value, num_games)) for name, value in counts.items()}
    return table.with_columns(minutes=pl.lit(minutes), **given)


def found(bot: pl.DataFrame, people: pl.DataFrame, name: str) -> Likeness:
    return next(row for row in compare(bot, people) if row.statistic.name == name)


def ends(rate: Rate) -> tuple[float, float]:
    assert rate.low is not None
    assert rate.high is not None
    return rate.low, rate.high


PEOPLE = players(3.0, roll_count=RANDOM.poisson(6, 40), tech_count=RANDOM.binomial(10, 0.6, 40), tech_rated=10)


def test_a_figure_within_peoples_spread_is_like_a_person() -> None:
    row = found(players(3.0, 10, roll_count=RANDOM.poisson(6, 10)), PEOPLE, ROLLS)
    assert (row.verdict, row.outside) == (LIKE, 0.0)
    low, high = ends(row.people)
    assert 1.3 < low < 1.6
    assert 2.2 < high < 2.6


def test_a_figure_whose_interval_lies_outside_peoples_spread_is_unlike_and_says_how_far() -> None:
    row = found(players(3.0, 10, roll_count=12.0), PEOPLE, ROLLS)
    assert (row.verdict, row.bot.low, row.bot.high) == (UNLIKE, 4.0, 4.0)
    low, high = ends(row.people)
    assert row.outside == pytest.approx((4.0 - 1 / 30 - high) / (high - low))


def test_the_most_unlike_come_first_and_then_what_is_unclear() -> None:
    bot = players(3.0, 10, roll_count=12.0, tech_count=1.0, tech_rated=10.0, taunt_count=[1.0, *[0.0] * 9])
    rows = compare(bot, PEOPLE)
    names = [row.statistic.name for row in rows]
    assert set(names[:3]) == {ROLLS, TECHS, "tech: per minute"}
    assert (rows[0].outside or 0) > (rows[1].outside or 0) > 1
    verdicts = [row.verdict for row in rows]
    assert verdicts == sorted(verdicts, key=[UNLIKE, UNCLEAR, LIKE, UNKNOWN].index)


def test_what_people_never_do_and_the_bot_did_once_is_unclear_rather_than_infinitely_far_off() -> None:
    once = found(players(3.0, 10, taunt_count=[1.0, *[0.0] * 9]), PEOPLE, TAUNTS)
    assert (once.verdict, once.outside) == (UNCLEAR, 0.0)
    always = found(players(3.0, 10, taunt_count=1.0), PEOPLE, TAUNTS)
    assert always.verdict == UNLIKE
    assert round(always.outside or 0, 6) == 9.0, "one event in the 30 minutes is the unit"


def test_a_single_game_outside_is_unclear_since_it_has_no_interval() -> None:
    row = found(players(3.0, 1, roll_count=40.0), PEOPLE, ROLLS)
    assert (row.verdict, row.bot.low) == (UNCLEAR, None)


def test_two_tries_that_went_alike_prove_nothing() -> None:
    bot = players(3.0, 2, tech_count=0.0, tech_rated=1.0)
    row = found(bot, PEOPLE, TECHS)
    assert (row.verdict, row.bot.low, row.bot.high) == (UNCLEAR, 0.0, 0.0)


def test_what_was_never_tried_or_is_not_recorded_is_unknown() -> None:
    bot = players(3.0, 10, roll_count=pl.Series([None] * 10, dtype=pl.Float64))
    rows = {row.statistic.name: row for row in compare(bot, PEOPLE)}
    assert rows[ROLLS].verdict == rows[TECHS].verdict == UNKNOWN
    assert rows[ROLLS].outside is rows[ROLLS].bot.value is None
    assert (rows[TAUNTS].verdict, rows[TAUNTS].bot.value) == (UNKNOWN, 0), "neither ever taunts"


def test_games_that_do_not_tell_change_nothing() -> None:
    more = players(30.0, 20, roll_count=pl.Series([None] * 20, dtype=pl.Float64)).with_columns(
        replay="old" + pl.col("replay")
    )
    bot = players(3.0, 10, roll_count=12.0)
    assert found(pl.concat([bot, more]), PEOPLE, ROLLS).bot.value == 4.0


def test_both_sides_of_a_game_are_drawn_together() -> None:
    one = players(3.0, 2, roll_count=[0.0, 12.0])
    both = pl.concat([one, one.with_columns(side=pl.lit("b"))])
    assert found(both, PEOPLE, ROLLS).bot == found(one, PEOPLE, ROLLS).bot


def test_peoples_spread_is_of_as_much_play_as_the_bots_up_to_half_an_hour() -> None:
    assert [num_drawn(players(minutes, 4), PEOPLE) for minutes in (0.1, 3.0, 6.0, 60.0)] == [1, 4, 8, 10]
    few, many = (found(players(3.0, number, roll_count=6.0), PEOPLE, ROLLS).people for number in (2, 10))
    assert ends(few)[0] < ends(many)[0]


def test_people_beside_people_are_like_people() -> None:
    """The control: 8 random games of people beside others, with figures of all kinds."""
    counts = {name: RANDOM.poisson(4, 240) for name in SUMS if name.endswith(" count")}
    rates = {name: RANDOM.integers(8, 12, 240) for name in SUMS if name.endswith((" rated", " valued"))}
    games = players(3.0, 240).with_columns(**{name: pl.Series(value) for name, value in (counts | rates).items()})
    rows = compare(games[:8], games[8:])
    outside = [row for row in rows if row.verdict in (UNLIKE, UNCLEAR)]
    assert sum(row.verdict == LIKE for row in rows) > 200
    assert len(outside) < 0.1 * len(rows), "5 % lie outside by chance"
    assert sum(row.verdict == UNLIKE for row in rows) <= 2


def test_what_to_fix_next_names_each_technique_once_in_plain_words() -> None:
    bot = players(3.0, 10, roll_count=12.0, tech_count=1.0, tech_rated=10.0)
    rows = compare(bot, PEOPLE)
    assert [row.statistic.name for row in most_unlike([*rows[:1], *rows], 9)].count(rows[0].statistic.name) == 1
    first, *lines = summary(rows)
    assert first.startswith(f"Of {len(rows)} statistics ")
    assert lines[0] == "What to fix next:"
    rolls = next(row for row in rows if row.statistic.name == ROLLS)
    assert line_of(rolls).startswith("roll: per minute is too high: 4, people's ")
    assert any("tech: share is too low: 10.0 %" in line for line in lines)
    alike = [row for row in rows if row.verdict == LIKE]
    assert summary(alike)[1:] == ["No statistic lies surely outside people's spread."]
