"""Builders shared by play's tests."""

import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dataset.melee.controller import Controllers
from play.agent.agent import Agent, Players
from play.dolphin.match import Match, build_match
from play.options import PlayOptions
from play.stand_in.stand_in import StandIn
from train.config.run_config import DataConfig, RunConfig
from train.export.export import export_run
from train.policy.config import PolicyConfig
from train.policy.policy import Policy
from train.runs.checkpoint import run_record, save_weights
from train.runs.run_folder import save_record


def random_run(
    folder: Path,
    *,
    character: str | None = "mewtwo",
    delay: int = 0,
    hidden: int = 16,
    codec: str = "axis17",
    features: str = "all",
    backbone: str = "gru",
) -> Path:
    """A run folder with a policy that was never trained, so it presses everything all the time."""
    config = RunConfig(
        policy=PolicyConfig(codec=codec, features=features, backbone=backbone, hidden_sizes=(hidden, hidden)),
        data=DataConfig(character=character, delay=delay),
    )
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    save_record(folder, run_record(config))
    save_weights(Policy(config.policy), folder / "best.safetensors")
    return folder


def act(agent: Agent, column: NDArray[np.float32], frames_late: int = 0) -> Controllers:
    """What an agent that plays alone puts on the pad."""
    (controller,) = Players(agent).answer(column, frames_late)
    return controller


def wait_until_over(server: StandIn, timeout_s: float) -> bool:
    """Wait until the stand-in has sent the end of its last game; False if ``timeout_s`` went by first."""
    deadline = time.monotonic() + timeout_s
    while not server.report().is_over:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def export(run: Path) -> Path:
    """Write the run's graph, checked over a few frames only: tests of play compare it with PyTorch themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.export.export.CHECKED_FRAMES", 30)
        export_run(run)
    return run


def free_port() -> int:
    """A UDP port that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def settle(wanted: PlayOptions, **changes: Any) -> Match:
    """What was asked for as a match of a run that imitates Mewtwo at once."""
    values: dict[str, Any] = {"trained_character": "mewtwo", "delay": 0} | changes
    return build_match(wanted, **values)
