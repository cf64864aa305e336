"""What play needs to be installed: the extra [play] and nothing of training."""

from pathlib import Path

from dataset.duels.generate import generate_replay
from tests.extras import run_with_only


def test_play_alone_plays_an_exported_run_against_the_stand_in(exported_run: Path, tmp_path: Path) -> None:
    replay = tmp_path / "duel.slp"
    generate_replay(replay, seed=2, frames=400)
    play = ["play", "--policy", str(exported_run), "--stand-in", str(replay), "--sync", "--json"]
    assert run_with_only("play", [play], tmp_path) == [0]
