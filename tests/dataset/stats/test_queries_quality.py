from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import polars as pl

from dataset.melee.ids import character_from_name
from dataset.stats.queries import quality_table
from dataset.store.store import Store

MEWTWO = character_from_name("mewtwo")


class FakeStore:
    """Two sound games, three files that are none, and six frames of presses."""

    path = "fake"
    ok_frames = Store.ok_frames

    manifest = SimpleNamespace(frames=6, kept_frames=0)
    numbers: ClassVar = [-39, -38, -37, -36, -39, -38]
    extra: ClassVar[dict[str, list[float | None]]] = {}

    def replays(self) -> pl.LazyFrame:
        return pl.LazyFrame(
            {
                "id": ["r1", "r2", "r3", "r4", "r5"],
                "status": ["ok", "ok", "rejected", "rejected", "failed"],
                "reason": [None, None, "too short", "too short", "cut off"],
                "character_a": [16, 1, 16, None, None],
                "character_b": [1, 1, 1, None, None],
                "frames": [300, 100, 9, None, None],
                "frames_resimulated": [30, 10, 9, None, None],
                "frame_gaps": [0, 100, 0, None, None],
                "off_lattice": [0, 2, 9, None, None],
                "non_finite": ['{"a_x": 1, "b_misc": 2}', '{"b_misc": 3}', None, None, None],
                **self.extra,
            }
        )

    def frames(self, columns: list[str]) -> pl.LazyFrame:
        a, b, x = 0x0100, 0x0200, 0x0400
        return pl.LazyFrame(
            {
                "replay": ["r1", "r1", "r1", "r1", "r2", "r2"],
                "frame": self.numbers,
                "a_character": [16, 16, 16, 16, 1, 1],
                "b_character": [1] * 6,
                "a_buttons": [0, a, a | b, 0, a, a],
                "b_buttons": [x, 0, x, x, 0, x],
            },
            schema_overrides={"a_buttons": pl.UInt16, "b_buttons": pl.UInt16},
        )


STORE: Any = FakeStore()


def test_quality_accounts_for_every_file_frame_and_press() -> None:
    found = quality_table(STORE)
    per_minute = 3600 / 12
    assert found.rows() == [
        ("files", "ok", 2, 0.4, None, None),
        ("files", "rejected", 2, 0.4, None, None),
        ("files", "failed", 1, 0.2, None, None),
        ("failed", "cut off", 1, 0.2, None, None),
        ("rejected", "too short", 2, 0.4, None, None),
        ("frames", "all", 400, None, None, None),
        ("frames", "resimulated", 40, 0.1, None, None),
        ("frames", "missing", 100, 0.2, None, None),
        ("frames", "off the lattice", 2, None, None, None),
        ("frames", "not finite: a_x", 1, None, None, None),
        ("frames", "not finite: b_misc", 5, None, None, None),
        ("presses", "a", 1, None, per_minute, None),
        ("presses", "b", 1, None, per_minute, None),
        ("presses", "x", 2, None, 2 * per_minute, None),
        *(("presses", name, 0, None, 0.0, None) for name in ("y", "z", "l", "r", "d_up")),
    ]


def test_presses_before_the_game_reads_controllers_do_not_count() -> None:
    class Entering(FakeStore):
        numbers: ClassVar = [-41, -40, -39, -38, -39, -38]

    store: Any = Entering()
    found = quality_table(store).filter(about="presses").select("name", "count", "per_minute").rows()
    assert found[:3] == [("a", 0, 0.0), ("b", 1, 3600 / 8), ("x", 2, 3600 / 4)]


def test_quality_of_one_character_leaves_out_other_games_and_the_opponents_presses() -> None:
    found = quality_table(STORE, MEWTWO)
    assert found.filter(about="files").select("name", "count").rows() == [("ok", 1), ("rejected", 1)]
    assert found.filter(about="presses").select("name", "per_minute").rows()[:3] == [
        ("a", 900.0),
        ("b", 900.0),
        ("x", 0.0),
    ]


def test_what_ingest_measured_of_players_is_weighed_by_frames() -> None:
    class Measured(FakeStore):
        extra: ClassVar[dict[str, list[float | None]]] = {
            "idle_share_a": [0.1, 0.5, 0.9, None, None],
            "idle_share_b": [0.3, None, 0.9, None, None],
        }

    store: Any = Measured()
    mean = (0.1 * 300 + 0.5 * 100 + 0.3 * 300) / 700
    assert quality_table(store).filter(about="players").rows() == [("players", "idle share", 4, None, None, mean)]
    mewtwo = quality_table(store, MEWTWO).filter(about="players").rows()
    assert mewtwo == [("players", "idle share", 1, None, None, 0.1)]


def test_a_generated_store_is_sound(generated_store: Path) -> None:
    found = quality_table(Store(generated_store))
    assert found.filter(about="files").select("name", "count").rows() == [("ok", 6)]
    assert found.filter(name="all")["count"].item() == 14_400
