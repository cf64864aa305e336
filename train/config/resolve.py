"""From a preset and flags to a config: the preset's values or the defaults, and over them every flag that was given.

A flag that was not given is absent, not at its default, so that it never overrides a preset.

Shapes, epochs, schedules and regularisers of the presets follow those of the same names in the Elixir exphil. Batch size and
learning rate do not: a lane supervises every frame of its window, some sixty times what a window did there, so 32 lanes and a
peak of 2e-3 take their place. Focal loss and label smoothing are left out: both distort the probabilities that play samples
from, and smoothing by 0.1 cost 0.47 nats (``benchmarks/results/learning.md``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dataset.errors import ConfigError, require_known
from dataset.reporting.terminal import option_name
from train.config.run_config import ROBUST_DELAY, DataConfig, OptimConfig, RunConfig, flat, nested, to_json
from train.policy.config import BACKBONES, PolicyConfig, looks_back
from train.settings import Flag, Setting, flags_of, require, shown

PRESET_WINDOW = 60
"""Frames: one second."""


def quick() -> RunConfig:
    """Whether everything runs: one epoch of a tiny policy that sees single frames."""
    return RunConfig(
        policy=PolicyConfig(backbone="mlp", hidden_sizes=(32, 32), dropout=0.0),
        data=DataConfig(window_size=PRESET_WINDOW, augment=False),
        optim=OptimConfig(epochs=1, lr_schedule="constant", ema_decay=0.0),
    )


def standard() -> RunConfig:
    """A policy that sees single frames, small enough for any CPU."""
    return RunConfig(
        policy=PolicyConfig(backbone="mlp", hidden_sizes=(64, 64)),
        data=DataConfig(window_size=PRESET_WINDOW, augment=True),
        optim=OptimConfig(epochs=10, early_stopping=True, patience=5),
    )


def full() -> RunConfig:
    """A policy with memory; hours on a CPU."""
    return RunConfig(
        policy=PolicyConfig(backbone="mamba", hidden_sizes=(256, 256), dropout=0.1),
        data=DataConfig(window_size=PRESET_WINDOW, augment=True),
        optim=OptimConfig(epochs=50, warmup_steps=1000, ema_decay=0.999, early_stopping=True, patience=7),
    )


def production() -> RunConfig:
    """The longest training of the largest policy; for a GPU."""
    return RunConfig(
        policy=PolicyConfig(backbone="mamba", hidden_sizes=(256, 256, 256), dropout=0.1),
        data=DataConfig(window_size=PRESET_WINDOW, augment=True),
        optim=OptimConfig(epochs=100, warmup_steps=2000, ema_decay=0.9995, early_stopping=True, patience=10),
    )


PRESETS: dict[str, Callable[[], RunConfig]] = {
    "quick": quick,
    "standard": standard,
    "full": full,
    "production": production,
}

TEMPORAL = Flag("temporal", bool, Setting(help="Require a backbone with memory, or one without"))
NUM_LAYERS = Flag("num_layers", int, Setting(help="Layers", at_least=1, unset="as many as --hidden-sizes lists"))

FLAGS = {flag.name: flag for flag in (*flags_of(RunConfig), TEMPORAL, NUM_LAYERS)}
"""Every flag that is a setting, by its parameter name."""


@dataclass(frozen=True)
class Resolved:
    """A config and where its values came from."""

    config: RunConfig
    origins: Mapping[str, str]
    """``default``, ``preset NAME`` or the flag, by ``part.field``."""


def resolve(name: str | None, given: Mapping[str, Any]) -> Resolved:
    """The config of ``--preset name`` (``None``: the defaults) with flags over it.

    Args:
        name: the preset.
        given: values by parameter name, of those flags that were given.

    Raises:
        ConfigError: a setting is out of range, contradicts another, or could not act.
    """
    base = RunConfig() if name is None else PRESETS[require_known("--preset", name, PRESETS)]()
    defaults, values = flat(to_json(RunConfig())), flat(to_json(base))
    origins = {path: "default" if value == defaults[path] else f"preset {name}" for path, value in values.items()}

    def put(flag: str, path: str, value: Any) -> None:
        values[path], origins[path] = value, option_name(f"no_{flag}" if given.get(flag) is False else flag)

    for flag in FLAGS.values():  # a switch comes before what needs it
        if not flag.path or flag.name not in given:
            continue
        value = given[flag.name]
        if switch := flag.setting.needs:
            require(
                bool(values[FLAGS[switch].path]),
                f"{option_name(flag.name)} {value}: acts only with {option_name(switch)}, found it off; add "
                f"{option_name(switch)}, or leave {option_name(flag.name)} out",
            )
        elif usual := flag.setting.switched_on:
            value = (values[flag.path] or usual) if value else 0.0
        put(flag.name, flag.path, _whole_numbers(flag.name, value) if flag.kind is tuple else value)
    if given.get("online_robust"):
        require(
            "delay" not in given,
            f"--delay {given.get('delay')}: fixes what --online-robust draws, found both; leave one out",
        )
        put("online_robust", "data.delay", ROBUST_DELAY)
    elif "delay" in given and values["data.online_robust"]:
        put("delay", "data.online_robust", False)  # the preset would draw what is fixed here
    backbone = values["policy.backbone"]
    require_known("--backbone", backbone, BACKBONES)
    if (num_layers := given.get(NUM_LAYERS.name)) is not None:
        put(NUM_LAYERS.name, "policy.hidden_sizes", _layers(backbone, values["policy.hidden_sizes"], num_layers))
    _require_temporal(given.get(TEMPORAL.name), backbone)
    window = "data.window_size" if looks_back(backbone) else None
    values["policy.lookback"] = values[window] if window else None
    origins["policy.lookback"] = origins[window] if window else "default"
    return Resolved(nested(values), origins)


def _whole_numbers(flag: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(map(int, text.split(",")))
    except ValueError as error:
        option = option_name(flag)
        raise ConfigError(f"{option}: whole numbers joined by commas, found '{text}'; give e.g. 256,256") from error


def _layers(backbone: str, widths: tuple[int, ...], num_layers: int) -> tuple[int, ...]:
    """The width of every layer: those of ``--hidden-sizes``, or ``--num-layers`` times their one width."""
    NUM_LAYERS.setting.check("--num-layers", num_layers, None)
    if num_layers == len(widths):
        return widths
    require(
        BACKBONES[backbone].is_temporal,
        f"--num-layers {num_layers}: an mlp has one layer per width, --hidden-sizes gives {len(widths)}; list {num_layers} "
        "widths, or leave --num-layers out",
    )
    require(
        len(set(widths)) == 1,
        f"--hidden-sizes: the layers of {backbone} share one width, found {shown(widths)}; repeat one number",
    )
    return widths[:1] * num_layers


def _require_temporal(is_temporal: bool | None, backbone: str) -> None:
    """Refuse ``--temporal`` or ``--no-temporal`` where it contradicts the backbone."""
    if is_temporal is None or is_temporal == BACKBONES[backbone].is_temporal:
        return
    flag, fix = ("--temporal", "--backbone gru") if is_temporal else ("--no-temporal", "--backbone mlp")
    raise ConfigError(
        f"{flag}: contradicts --backbone {backbone}, which {'sees one frame' if is_temporal else 'remembers frames'}; "
        f"use {fix}, or leave {flag} out"
    )


def table(resolved: Resolved) -> str:
    """A line per setting: its field, its value, where it came from."""
    values = {path: str(value) for path, value in flat(to_json(resolved.config)).items()}
    first, second = (max(map(len, column)) for column in (values.keys(), values.values()))
    return "\n".join(f"{path:{first}}  {value:{second}}  {resolved.origins[path]}" for path, value in values.items())
