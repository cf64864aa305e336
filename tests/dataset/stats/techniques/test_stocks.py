from collections import Counter

from dataset.stats.techniques.stocks import DEATHS, PUNISHES
from tests.dataset.games import Span, game
from tests.dataset.stats.techniques.builders import Told, figure, names_each, told, without

P = {"percent": 12.0}
LOST = {"stocks": 3}


def test_a_stock_lasts_from_the_start_or_the_death_before_to_its_loss() -> None:
    table = game([(322, 60), (14, 60), (0, 60, LOST), (12, 30, LOST), (14, 30, LOST), (2, 9, {"stocks": 2})])
    assert told("stock lost", table) == [Told("a", 120, None, 2.0), Told("a", 240, None, 1.0)]
    assert figure(table, "stock lost: seconds") == 1.5
    assert told("stock lost", game([(14, 60), (3, 30), (4, 9, LOST)])) == [Told("a", 90, None, 1.5)]


def test_a_death_has_a_direction() -> None:
    directions = {0: "death below", 1: "death at a side", 2: "death at a side", 3: "death above", 7: "death above"}
    games = [game([(14, 60), (state, 60, LOST), (12, 9, LOST)]) for state in directions]
    assert names_each(DEATHS, games) == [Counter([name]) for name in directions.values()]
    assert [figure(games[0], f"{name}: share") for name in DEATHS] == [1, 0, 0]


def punished(attack: int, *victim: Span) -> list[Span]:
    """The attacker's spans while the victim goes through its own."""
    return [(44, sum(span[1] for span in victim), {"last_attack_landed": attack})]


ATTACKS = {
    **{2: "jab", 5: "jab", 6: "dash attack", 7: "forward tilt", 9: "down tilt", 10: "forward smash", 12: "down smash"},
    **{13: "neutral air", 17: "down air", 18: "neutral special", 21: "down special", 30: "neutral special"},
    **{51: "getup attack", 62: "ledge attack", 1: "other", 87: "other"},
}


def test_openings_and_kills_are_told_by_the_attack_that_landed() -> None:
    victim: list[Span] = [(14, 10), (88, 20, P), (0, 60, LOST)]
    games = [game(punished(attack, *victim), victim) for attack in ATTACKS]
    punishes = [f"{what} by {name}" for what in ("opening", "kill") for name in PUNISHES]
    assert names_each(punishes, games) == [
        Counter([f"opening by {name}", f"kill by {name}"]) for name in ATTACKS.values()
    ]
    assert told("opening by jab", games[0]) == [Told("a", 10, None, None)]
    assert told("kill by jab", games[0]) == [Told("a", 30, None, None)]
    assert (figure(games[0], "opening by jab: share"), figure(games[0], "kill by down air: share")) == (1, 0)
    assert figure(without(games[0], "last_attack_landed"), "kill by jab: share") is None


def test_a_throw_opens_with_the_grab_and_kills_by_itself() -> None:
    victim: list[Span] = [(14, 10), (223, 20), (239, 9, P), (88, 20, P), (0, 60, LOST)]
    attacker: list[Span] = [(212, 30, {"last_attack_landed": 17}), (219, 89, {"last_attack_landed": 53})]
    table = game(attacker, victim)
    assert told("opening by grab", table) == [Told("a", 10, None, None)]
    assert told("kill by forward throw", table) == [Told("a", 59, None, None)]
