from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dataset.errors import ConfigError
from tests.train.builders import tiny_config, tiny_policy_config, tiny_splits, write_store
from tests.train.fit.test_train_run import Losses, fit
from train.config.run_config import OptimConfig
from train.fit.train_run import should_compile
from train.policy.config import BACKBONES

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("asked", "device", "has_compilers", "expected"),
    [
        ("auto", CPU, True, False),
        ("auto", CUDA, True, True),
        ("auto", CUDA, False, False),
        ("off", CUDA, True, False),
        ("on", CPU, True, True),
        ("on", CUDA, True, True),
    ],
)
def test_auto_compiles_where_it_pays_and_on_wherever_it_can(
    monkeypatch: pytest.MonkeyPatch, asked: str, device: torch.device, has_compilers: bool, expected: bool
) -> None:
    monkeypatch.setattr("train.fit.train_run._missing_compiler", lambda device: None if has_compilers else "Triton")
    assert should_compile(asked, device) is expected


def test_a_compiler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.fit.train_run.shutil.which", lambda name: None)
    monkeypatch.setattr("train.fit.train_run.find_spec", lambda name: None)
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ConfigError, match=r"--compile on: needs a C\+\+ compiler \(g\+\+\) for cpu, found none;"):
        should_compile("on", CPU)
    with pytest.raises(ConfigError, match="--compile on: needs Triton for cuda, found none;"):
        should_compile("on", CUDA)
    monkeypatch.setattr("train.fit.train_run.find_spec", lambda name: object())
    with pytest.raises(ConfigError, match=r"--compile on: needs a C compiler \(gcc\) for cuda, found none;"):
        should_compile("on", CUDA)
    with pytest.raises(ConfigError, match="--compile 'yes': unknown; use one of auto, off, on"):
        should_compile("yes", CPU)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("store") / "store", tiny_splits())


def test_a_run_that_is_compiled_trains_through_the_compiler(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Any] = []
    monkeypatch.setattr(torch, "compile", lambda policy: compiled.append(policy) or policy)
    monkeypatch.setattr("train.fit.train_run.should_compile", lambda asked, device: asked == "on")
    fit(store, tmp_path / "off", tiny_config(), Losses(stop_after=1), compile_mode="off")
    assert compiled == []
    fit(store, tmp_path / "on", tiny_config(), Losses(stop_after=1), compile_mode="on")
    assert len(compiled) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # it looks at what nn.LSTM and nn.GRU return
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's compiler uses what PyTorch deprecates
@pytest.mark.parametrize("backbone", BACKBONES)
def test_compiling_changes_no_loss_beyond_rounding(store: Path, tmp_path: Path, backbone: str) -> None:
    losses: list[list[float]] = []
    # At ten times this rate rounding alone takes a Mamba's losses 2e-3 apart within 20 steps.
    config = tiny_config(policy=tiny_policy_config(backbone=backbone), optim=OptimConfig(epochs=2, lr=0.001))
    for asked in ("off", "on"):
        seen = Losses(stop_after=20)
        fit(store, tmp_path / asked, replace(config), seen, compile_mode=asked)
        losses.append(seen.losses)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
