import json
from typing import Any

import pytest

from dataset.errors import ConfigError
from train.config.run_config import DataConfig, LossConfig, OptimConfig, RunConfig, from_json, to_json
from train.policy.config import PolicyConfig


def test_a_config_survives_json() -> None:
    config = RunConfig(
        policy=PolicyConfig(backbone="mlp", hidden_sizes=(32, 16), prev_dropout=0.1),
        data=DataConfig(character="falco", delay=2),
        optim=OptimConfig(lr=3e-4, early_stopping=True),
        loss=LossConfig(focal_gamma=2.0),
        seed=7,
    )
    assert from_json(RunConfig, json.loads(json.dumps(to_json(config)))) == config


def test_equal_choices_of_features_are_equal_configs() -> None:
    assert PolicyConfig(features="all-nana-items") == PolicyConfig(features="all-items-nana")
    assert PolicyConfig(features="base+misc+hurtbox+speeds+hitlag").features == "all-items-nana"
    assert PolicyConfig().features == "all"


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"OptimConfig: holds only .*, found momentum"):
        from_json(RunConfig, {"optim": {"momentum": 0.9}})


@pytest.mark.parametrize(
    ("kind", "field", "value", "message"),
    [
        (PolicyConfig, "backbone", "rnn", "backbone 'rnn': unknown"),
        (PolicyConfig, "codec", "rle", "codec 'rle': unknown"),
        (PolicyConfig, "features", "all-shield", "features 'all-shield': unknown shield; groups are misc"),
        (PolicyConfig, "head", "joint", "head 'joint': unknown"),
        (PolicyConfig, "hidden_sizes", (), "--hidden-sizes"),
        (PolicyConfig, "hidden_sizes", (64, 32), "the layers of gru share one width, found 64,32"),
        (PolicyConfig, "dropout", 1.0, "--dropout: 0 to below 1, found 1.0"),
        (PolicyConfig, "prev_dropout", -0.1, "--prev-dropout: 0 to below 1, found -0.1"),
        (PolicyConfig, "num_heads", 0, "--num-heads: at least 1"),
        (PolicyConfig, "stage_mode", "none", "--stage-mode 'none': unknown; use one of learned, compact, one_hot"),
        (DataConfig, "character", "crash", "character 'crash': unknown"),
        (DataConfig, "delay", -1, "--delay: 0 to 60 frames, found -1; the default is 0"),
        (DataConfig, "burn_in", -1, "--burn-in: at least 0, found -1; the default is half of it"),
        (DataConfig, "lanes", 0, "--batch-size: at least 1"),
        (DataConfig, "window_size", 0, "--window-size: at least 1"),
        (OptimConfig, "epochs", 0, "--epochs: at least 1"),
        (OptimConfig, "max_steps", 0, "--max-steps: at least 1, found 0; the default is as many as the epochs have"),
        (OptimConfig, "lr", 0.0, "--lr: above 0"),
        (OptimConfig, "lr", float("nan"), "--lr: above 0, found nan"),
        (OptimConfig, "layer_lr_decay", 1.1, "--layer-lr-decay: above 0 to 1, found 1.1"),
        (OptimConfig, "lr_schedule", "step", "--lr-schedule 'step': unknown; use one of constant, cosine"),
        (OptimConfig, "warmup_steps", -1, "--warmup-steps: at least 0"),
        (OptimConfig, "weight_decay", -0.1, "--weight-decay: at least 0"),
        (OptimConfig, "max_grad_norm", -1.0, "--max-grad-norm: at least 0"),
        (OptimConfig, "patience", 0, "--patience: at least 1"),
        (LossConfig, "label_smoothing", 1.0, "--label-smoothing"),
        (LossConfig, "focal_gamma", -1.0, "--focal-gamma"),
        (LossConfig, "button_pos_weight", 0.0, "--button-pos-weight"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_its_flag(kind: Any, field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kind(**{field: value})


def test_attention_options_are_refused_where_there_is_no_attention() -> None:
    with pytest.raises(ConfigError, match="--num-heads 4: gru has no attention"):
        PolicyConfig(backbone="gru", num_heads=4)
    with pytest.raises(ConfigError, match="--attention-every 2: mamba has no attention"):
        PolicyConfig(backbone="mamba", attention_every=2)


def test_heads_must_divide_the_width_into_even_parts() -> None:
    with pytest.raises(ConfigError, match="--num-heads 3: must divide the width 64"):
        PolicyConfig(backbone="sliding_window", hidden_sizes=(64, 64), num_heads=3)


def test_attention_stands_where_the_backbone_has_it_unless_told_otherwise() -> None:
    def layers(backbone: str, count: int, every: int | None = None) -> tuple[bool, ...]:
        config = PolicyConfig(backbone=backbone, hidden_sizes=(64,) * count, attention_every=every)
        return config.shape.attention_layers

    assert layers("sliding_window", 2) == (True, True)
    assert layers("jamba", 6) == (False, False, True, False, False, True)
    assert layers("jamba", 2) == (False, True)
    assert layers("jamba", 4, every=2) == (False, True, False, True)
    with pytest.raises(ConfigError, match="--attention-every 5: from 1 to the number of layers, found 4 layers"):
        layers("jamba", 4, every=5)
