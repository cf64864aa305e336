from dataclasses import replace

import pytest

from dataset.errors import ConfigError
from train.config.presets import PRESETS, full, preset
from train.config.resolve import resolve
from train.config.run_config import OptimConfig, PolicyConfig, RunConfig


def test_nothing_said_is_the_default_config() -> None:
    resolved = resolve(None, {})
    assert resolved.config == RunConfig()
    assert set(resolved.origins.values()) == {"default"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_alone_is_its_whole_config(name: str) -> None:
    resolved = resolve(name, {})
    assert resolved.config == PRESETS[name]()
    assert set(resolved.origins.values()) == {"default", f"preset {name}"}


def test_a_flag_overrides_one_field_of_a_preset() -> None:
    assert resolve("full", {"epochs": 3}).config == replace(full(), optim=replace(full().optim, epochs=3))
    assert resolve("full", {"num_layers": 4}).config.policy == PolicyConfig(
        backbone="mamba", hidden_sizes=(256, 256, 256, 256), dropout=0.1
    )


def test_a_flag_that_says_what_the_preset_says_is_named_as_the_origin() -> None:
    assert resolve("full", {"epochs": 50}).origins["optim.epochs"] == "--epochs"


def test_switches_take_their_usual_amount_keep_the_presets_or_go_off() -> None:
    assert resolve(None, {"ema": True}).config.optim == OptimConfig(ema_decay=0.999)
    assert resolve("production", {"ema": True}).config.optim.ema_decay == 0.9995
    assert resolve("production", {"ema": False}).config.optim.ema_decay == 0.0
    assert resolve("production", {"ema_decay": 0.9}).config.optim.ema_decay == 0.9
    assert resolve(None, {"focal_loss": True}).config.loss.focal_gamma == 2.0


def test_attention_sees_the_window_of_whichever_backbone_is_chosen_last() -> None:
    assert resolve("full", {"backbone": "jamba", "window_size": 30}).config.policy.attention_window == 30
    assert resolve("full", {}).config.policy.attention_window is None


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="--preset 'best': unknown; use one of quick, standard, full, production"):
        preset("best")


def test_a_delay_that_is_given_is_not_drawn_by_the_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    robust = replace(full(), data=replace(full().data, online_robust=True, delay=3))
    monkeypatch.setitem(PRESETS, "robust", lambda: robust)
    assert resolve("robust", {}).config.data.delays == (2, 4)
    fixed = resolve("robust", {"delay": 6})
    assert fixed.config.data.delays == (6, 6)
    assert fixed.origins["data.online_robust"] == "--delay"
