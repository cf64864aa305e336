from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dataset.codecs.axis17 import Axis17
from dataset.codecs.registry import get_codec
from dataset.features.align import MIN_ONSETS, Leak
from dataset.features.layout import ENCODER_DIGEST
from dataset.melee.controller import Classes, Controllers
from dataset.schema import SCHEMA_VERSION
from dataset.store.manifest import Manifest, ShardInfo, split_of
from dataset.verify.checks import codec_check, filter_check, leak_check, replay_check, split_check, version_check

CODEC = get_codec("axis17")


def _row(number: int, **changes: object) -> dict[str, Any]:
    match = f"match-{number}"
    row = {"id": f"r{number}", "match_id": match, "split": split_of(match, "", 0), "rows_digest": f"d{number}"}
    return {**row, "frames": 100, "shard": "frames/frames-00000.parquet", "row_start": 100 * number, **changes}


ROWS = [_row(number) for number in range(4)]


def _shard(path: str, split: str | None, samples: int) -> ShardInfo:
    kind: Any = "frames" if split is None else "windows"
    return ShardInfo(path=path, kind=kind, split=split, sha256="", bytes=0, samples=samples, frames=100 * samples)


def _manifest(rows: list[dict[str, Any]]) -> Manifest:
    """What an honest writer lists for these rows."""
    versions = {"schema_version": SCHEMA_VERSION, "encoder_digest": ENCODER_DIGEST, "codec_digest": CODEC.digest}
    windows = {split: sum(row["split"] == split for row in rows) for split in ("train", "val", "test")}
    shards = [_shard("frames/frames-00000.parquet", None, len(rows))]
    shards += [_shard(f"windows/{split}-000000.tar", split, count) for split, count in windows.items() if count]
    manifest = Manifest(
        **versions,  # type: ignore[arg-type]
        codec="axis17",
        rollback="last",
        split_seed=0,
        filters={},
        replays=len(rows),
        frames=sum(row["frames"] for row in rows),
        digest="",
        shards=tuple(shards),
    )
    return replace(manifest, digest=manifest.data_digest(rows))


def test_an_honest_manifest_holds() -> None:
    manifest = _manifest(ROWS)
    checks = [
        version_check(manifest, CODEC),
        replay_check(manifest, ROWS),
        split_check(manifest, ROWS),
        codec_check(CODEC),
    ]
    assert [check.ok for check in checks] == [True] * 4


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (ROWS[:3], "replays 3, the manifest says 4"),
        ([*ROWS[:3], _row(3, frames=99)], "frames 399, the manifest says 400"),
        ([*ROWS[:3], _row(3, rows_digest="other")], "data digest"),
        (
            [*ROWS[:3], _row(3, shard="frames/frames-00001.parquet")],
            "frames/frames-00000.parquet holds 3 replays of 300",
        ),
    ],
)
def test_rows_that_contradict_the_manifest_are_told(rows: list[dict[str, Any]], words: str) -> None:
    check = replay_check(_manifest(ROWS), rows)
    assert not check.ok
    assert words in check.detail


def test_a_replay_listed_twice_is_found_even_if_the_manifest_counts_it_twice() -> None:
    rows = [*ROWS, dict(ROWS[0])]
    check = replay_check(_manifest(rows), rows)
    assert check.detail == "1 contradictions, first: different ids 4, the manifest says 5"


def test_a_frame_shard_no_manifest_lists_is_found() -> None:
    manifest = _manifest(ROWS)
    check = replay_check(replace(manifest, shards=manifest.shards[1:]), ROWS)
    assert "replays lie in frames/frames-00000.parquet, which the manifest does not list" in check.detail


def test_window_shards_must_list_as_many_samples_as_the_table_has_replays() -> None:
    manifest = _manifest(ROWS)
    fewer = tuple(
        replace(shard, samples=shard.samples - 1) if shard.split == "train" else shard for shard in manifest.shards
    )
    assert "train shards list" in replay_check(replace(manifest, shards=fewer), ROWS).detail


@pytest.mark.parametrize(
    ("filters", "changes", "detail"),
    [
        ({}, {"type_b": "cpu"}, "1 replays let in against the filters, first: replay r0 has a CPU player"),
        ({"include_cpu": True}, {"type_b": "cpu"}, "include cpu yes"),
        ({"min_frames": 101}, {}, "first: replay r0 has 100 frames, the filter says 101 or more"),
        ({"character": None, "keep_names": False}, {}, "character any, keep names no"),
        ({"min_frames": 100}, {}, "min frames 100"),
        ({"character": "mewtwo"}, {}, "character mewtwo"),
        ({"character": "falco"}, {}, "first: replay r0 has no falco, the filter says one player picked it"),
    ],
)
def test_a_replay_let_in_against_the_filters_is_found(
    filters: dict[str, Any], changes: dict[str, Any], detail: str
) -> None:
    row = _row(0, type_a="human", type_b="human", character_a=1, character_b=16) | changes
    check = filter_check(replace(_manifest([row]), filters=filters), [row])
    assert detail in check.detail
    assert check.ok == ("first" not in detail)


def test_a_replay_without_a_match_goes_by_its_id() -> None:
    row = _row(0, match_id=None, split=split_of("r0", "", 0))
    assert split_check(_manifest([row]), [row]).ok


class Lossy(Axis17):
    """Forgets its first button when decoding."""

    def decode(self, classes: Classes) -> Controllers:
        return super().decode(classes * np.array([1] * 5 + [0] + [1] * 7, dtype=np.uint8))


def test_a_codec_that_loses_a_class_is_found_and_the_class_named() -> None:
    check = codec_check(Lossy())
    assert (check.ok, check.detail) == (False, "1 classes that do not come back, first: a class [1]")


@pytest.mark.parametrize(
    ("leak", "ok", "words"),
    [
        (Leak(5000, 0.63, 0.001), True, "of 5,000 jump onsets 63.0% show the jump in their own row, 0.10% before"),
        (Leak(5000, 0.63, 0.63), False, "states and targets are out of step"),
        (Leak(5000, 0.0, 0.0), False, "states and targets are out of step"),
        (Leak(12, 0.63, 0.0), True, "too few to tell, needs 200"),
        (Leak(12, 0.0, 1.0), True, "too few to tell, needs 200"),
    ],
)
def test_the_leaks_verdict_is_told_in_words(leak: Leak, ok: bool, words: str) -> None:
    check = leak_check(leak)
    assert check.ok == ok
    assert check.is_warning == (leak.onsets < MIN_ONSETS)
    assert words in check.detail
