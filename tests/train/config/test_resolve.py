import re
import subprocess
import sys
from dataclasses import dataclass, replace

import pytest

from dataset.codecs.registry import CODECS
from dataset.errors import ConfigError
from dataset.features.layout import GROUPS
from train.config.resolve import FLAGS, PRESETS, full, quick, resolve
from train.config.run_config import OptimConfig, RunConfig
from train.policy.config import PolicyConfig
from train.settings import Settings, flags_of, setting


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
    assert resolve("quick", {"ema": True}).config.optim == replace(quick().optim, ema_decay=0.998)
    assert resolve(None, {"ema": False}).config.optim == OptimConfig(ema_decay=0.0)
    assert resolve("production", {"ema": True}).config.optim.ema_decay == 0.9995
    assert resolve("production", {"ema": False}).config.optim.ema_decay == 0.0
    assert resolve("production", {"ema_decay": 0.9}).config.optim.ema_decay == 0.9
    assert resolve(None, {"focal_loss": True}).config.loss.focal_gamma == 2.0


def test_attention_and_gates_see_the_window_of_whichever_backbone_is_chosen_last() -> None:
    assert resolve("full", {"backbone": "gmlp", "window_size": 40}).config.policy.lookback == 40
    assert resolve("full", {"backbone": "jamba", "window_size": 30}).config.policy.lookback == 30
    assert resolve("full", {}).config.policy.lookback is None


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="--preset 'best': unknown; use one of quick, standard, full, production"):
        resolve("best", {})


def test_a_delay_that_is_given_is_not_drawn_by_the_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    robust = replace(full(), data=replace(full().data, online_robust=True, delay=3))
    monkeypatch.setitem(PRESETS, "robust", lambda: robust)
    assert resolve("robust", {}).config.data.delays == (2, 4)
    fixed = resolve("robust", {"delay": 6})
    assert fixed.config.data.delays == (6, 6)
    assert fixed.origins["data.online_robust"] == "--delay"


def test_temporal_only_validates_and_names_the_fix() -> None:
    for is_temporal, backbone in ((True, "gru"), (False, "mlp")):
        given = {"temporal": is_temporal, "backbone": backbone}
        assert resolve(None, given) == resolve(None, {"backbone": backbone})
    with pytest.raises(ConfigError, match=r"--temporal: contradicts --backbone mlp.* use --backbone gru"):
        resolve(None, {"temporal": True, "backbone": "mlp"})
    with pytest.raises(ConfigError, match=r"--no-temporal: contradicts --backbone gru.* use --backbone mlp"):
        resolve(None, {"temporal": False})


def layers(backbone: str, hidden_sizes: str, num_layers: int | None = None) -> tuple[int, ...]:
    given = {"backbone": backbone, "hidden_sizes": hidden_sizes}
    return resolve(None, given if num_layers is None else given | {"num_layers": num_layers}).config.policy.hidden_sizes


def test_hidden_sizes_give_the_layers_and_num_layers_overrides_their_count() -> None:
    assert layers("gru", "64,64") == (64, 64)
    assert layers("gru", "64", 3) == (64, 64, 64)
    assert layers("gru", "64,64", 1) == (64,)
    assert layers("mlp", "64,32", 2) == (64, 32)
    with pytest.raises(ConfigError, match="--num-layers 3: an mlp has one layer per width"):
        layers("mlp", "64,32", 3)
    with pytest.raises(ConfigError, match="share one width, found 64,32"):
        layers("gru", "64,32", 3)
    with pytest.raises(ConfigError, match="--num-layers: at least 1"):
        layers("gru", "64", 0)


def test_one_field_is_a_flag_with_its_bounds_and_its_help() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Chunked(Settings):
        chunk: int = setting(1, "Frames predicted at once", at_least=1, at_most=8, unit="frames")
        order: str = setting("up", "Which way", choices=("up", "down"))
        shares: tuple[int, ...] = setting((1, 2), "Shares")
        most: float | None = setting(None, "Most", above=0, unset="all", flag="at_most")

    flags = {flag.name: flag for flag in flags_of(Chunked)}
    assert {name: flag.kind for name, flag in flags.items()} == {
        "chunk": int,
        "order": str,
        "shares": tuple,
        "at_most": float,
    }
    assert [flag.help for flag in flags.values()] == [
        "Frames predicted at once (1 to 8 frames); default: 1.",
        "Which way: up or down; default: up.",
        "Shares; default: 1,2.",
        "Most (above 0); default: all.",
    ]
    for wrong, message in (
        ({"chunk": 9}, "--chunk: 1 to 8 frames, found 9; the default is 1"),
        ({"order": "left"}, "--order 'left': unknown; use one of up, down"),
        ({"most": 0.0}, "--at-most: above 0, found 0.0; the default is all"),
    ):
        with pytest.raises(ConfigError, match=re.escape(message)):
            Chunked(**wrong)  # type: ignore[arg-type]


def test_every_help_names_every_choice_and_what_happens_without_the_flag() -> None:
    for flag in FLAGS.values():
        assert all(choice in flag.help for choice in flag.setting.choices), flag.help
        assert flag.kind is bool or "; default: " in flag.help, flag.help
    assert all(codec in FLAGS["codec"].help for codec in CODECS)
    assert all(group in FLAGS["features"].help for group in GROUPS)


def test_a_config_is_shown_without_loading_torch_or_numpy_to_parse_it() -> None:
    program = (
        "import sys, typer\nfrom train.cli import register\napp = typer.Typer()\nregister(app)\n"
        "print([name for name in ('torch', 'numpy') if name in sys.modules])\n"
        "app(['train', '--preset', 'full', '--show-config'], standalone_mode=False)\n"
        "print([name for name in ('torch', 'polars', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert (lines[0], lines[-1]) == ("[]", "[]")
    assert lines[1].split() == ["policy.codec", "axis17", "default"]
