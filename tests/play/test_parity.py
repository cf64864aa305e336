"""Skew test: features of ingest and features of live play are equal, field by field, for every frame of real replays.

Ingest keeps the first copy of a re-simulated frame here, as a live client sees it. The mutations at the end show that the
comparison would notice the mistakes it is there for.
"""

import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import melee
import numpy as np
import pytest

from dataset.duels.generate import generate_replay
from dataset.errors import ReplayError
from dataset.features.encoder import Encoded, encode, encode_columns, perspective
from dataset.features.layout import FEATURE_ROW, FEATURES, INDICES
from ingest.replay.parse import parse_columns
from play.agent.libmelee import LiveGame
from tests.conftest import replay_archive

Frames = tuple[list[int], Encoded]


def from_ingest(path: Path, rollback: str = "first") -> Frames:
    columns = parse_columns(path, rollback="first" if rollback == "first" else "last").columns
    return columns["frame"].astype(int).tolist(), encode_columns(columns)


def file_console(path: Path) -> melee.Console:
    """Libmelee reading a file: its own parser, without network and pipes."""
    console = melee.Console(is_dolphin=False, path=str(path))
    console.connect()
    return console


def from_console(path: Path, *, has_shift: bool = True) -> Frames:
    console = file_console(path)
    live = LiveGame(console.zero_indices if has_shift else {})
    states: Iterator[melee.GameState] = iter(console.step, None)
    numbered = [(int(state.frame), live.column(state)) for state in states]
    return [number for number, _ in numbered], encode(np.stack([column for _, column in numbered], axis=1))


def differences(live: Frames, ingested: Frames) -> dict[str, tuple[int, float, float]]:
    """Fields that differ: the first frame where they do, the live value and ingest's."""
    assert live[0] == ingested[0], "the same frames in the same order"
    found = {}
    names = [feature.name for feature in FEATURES] + [name for name, _ in INDICES]
    ours, theirs = (np.concatenate([e.continuous.astype(np.float32), e.indices]) for e in (live[1], ingested[1]))
    for name, a, b in zip(names, ours, theirs, strict=True):
        if (a != b).any():
            first = int((a != b).argmax())
            found[name] = (live[0][first], float(a[first]), float(b[first]))
    return found


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("generated") / "duel.slp"
    generate_replay(path, seed=3, characters=("falco", "mewtwo"), stage="battlefield", frames=1500, ports=(2, 4))
    return path


def test_generated_replay(generated: Path) -> None:
    assert differences(from_console(generated), from_ingest(generated)) == {}


def test_real_replays_with_items_and_rollbacks(modern_replays: list[Path]) -> None:
    smallest = [parse_columns(path, rollback="first") for path in modern_replays[:3]]
    assert all(parsed.columns["num_items"].any() for parsed in smallest)
    assert any(parsed.frames_resimulated > 0 for parsed in smallest)
    for path in modern_replays[:3]:
        assert differences(from_console(path), from_ingest(path)) == {}, path.name


def test_ice_climbers(edge_case_replays: dict[str, Path]) -> None:
    """The one game of two with Nana is of Slippi 3.7, which has every field but hitlag."""
    (path,) = (path for name, path in edge_case_replays.items() if "PichuVSelf-All-22" in name)
    live, ingested = from_console(path), from_ingest(path)
    assert ingested[1].continuous[FEATURE_ROW["b_nana_exists"]].sum() == 1490
    assert differences(live, ingested) == {"has_hitlag": (-123, 1.0, 0.0)}


def playable(archive: str, folder: Path) -> list[Path]:
    """All games of two in an archive from Slippi 3.8 on, the first with every field that is encoded."""
    with zipfile.ZipFile(replay_archive(archive)) as source:
        source.extractall(folder)
    found = []
    for path in sorted(folder.rglob("*.slp")):
        with suppress(ReplayError):  # damaged on purpose
            if parse_columns(path, rollback="first").version >= (3, 8, 0):
                found.append(path)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("archive", "at_least"), [("modern.zip", 22), ("edge-cases.zip", 60)])
def test_every_replay_of_an_archive(archive: str, at_least: int, tmp_path: Path) -> None:
    found = playable(archive, tmp_path)
    assert len(found) >= at_least
    for path in found:
        assert differences(from_console(path), from_ingest(path)) == {}, path.name


def test_forgotten_shift_of_action_frames_is_noticed(modern_replays: list[Path]) -> None:
    path = modern_replays[0]
    found = differences(from_console(path, has_shift=False), from_ingest(path))
    assert set(found) == {"a_action_frame", "b_action_frame"}


def test_other_rollback_rule_is_noticed(modern_replays: list[Path]) -> None:
    path = modern_replays[2]
    assert differences(from_console(path), from_ingest(path, rollback="last")) != {}


def test_wrong_side_is_noticed(modern_replays: list[Path]) -> None:
    path = modern_replays[0]
    frames, encoded = from_console(path)
    found = differences((frames, perspective(encoded, 1)), from_ingest(path))
    assert {"a_x", "b_x", "a_character", "b_character", "dx"} <= set(found)


def test_mirrored_facing_is_noticed(modern_replays: list[Path]) -> None:
    path = modern_replays[0]
    frames, encoded = from_console(path)
    mirrored = encoded.continuous.copy()
    mirrored[FEATURE_ROW["a_facing"]] *= -1
    found = differences((frames, replace(encoded, continuous=mirrored)), from_ingest(path))
    assert set(found) == {"a_facing"}
