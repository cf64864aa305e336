from typing import Any

from tests.train.measure.test_intervals import FRAMES, IDS, NLL, per_replay
from train.measure.differences import differences


def report(
    run: str, nll: list[float], *, ids: list[str] = IDS, codec: str = "axis17", character: str | None = "falco"
) -> dict[str, Any]:
    return {"run": run, "codec": codec, "character": character, "per_replay": per_replay(ids, nll, FRAMES)}


def test_every_later_run_is_set_against_the_first() -> None:
    better, worse = [nll - 0.1 for nll in NLL], [nll + 0.2 for nll in NLL]
    rows = differences([report("one", NLL), report("two", better), report("three", worse)])
    assert [(row["run"], row["than"], round(row["nll"]["value"], 6), row["nll"]["is_real"]) for row in rows] == [
        ("two", "one", -0.1, True),
        ("three", "one", 0.2, True),
    ]
    assert rows[0]["accuracy"] == {"value": 0.0, "low": 0.0, "high": 0.0, "is_real": False}
    assert rows[0]["stick_accuracy"] is None


def test_runs_of_other_codecs_players_or_replays_have_no_differences() -> None:
    others = [
        report("joint", NLL, codec="joint"),
        report("everyone", NLL, character=None),
        report("elsewhere", NLL, ids=["a", "b", "c", "e"]),
    ]
    assert differences([report("one", NLL), *others]) == []
