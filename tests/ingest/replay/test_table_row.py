import pytest

from ingest.replay.table_row import ranks_in


@pytest.mark.parametrize(
    ("name", "ranks"),
    [
        ("/replays/master-diamond-3f0a9c.slp", "master-diamond"),
        ("set\\Grandmaster-Platinum_1.slp", "grandmaster-platinum"),
        ("platinum-platinum.slp", "platinum-platinum"),
        ("Game_20240101T000000.slp", None),
        ("gold-silversmith.slp", None),
        ("master-diamond/Game.slp", None),
        ("my-master-diamond.slp", None),
    ],
)
def test_ranks_are_told_by_names_that_begin_with_both(name: str, ranks: str | None) -> None:
    assert ranks_in(name) == ranks
