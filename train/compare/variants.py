"""The variants that a comparison or sweep trains: backbones, or the values of one axis, each with the same other settings.

Flags that only attention uses go to the backbones that have attention, and are refused if none of them does. A flag that an
axis varies must not be given as well. Every variant is resolved from the same preset and flags, so nothing else differs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dataset.codecs.registry import CODECS
from dataset.errors import ConfigError, require_known
from dataset.features.layout import parse_features
from dataset.reporting.terminal import option_name
from train.compare.plan import Planned
from train.config.resolve import resolve
from train.config.run_config import RunConfig
from train.policy.config import BACKBONES, has_attention

Flags = dict[str, Any]

OF_ATTENTION = ("num_heads", "attention_every")
"""Flags that act only where there is attention."""

ALL = "all"
"""The value of the axis ``data`` that leaves no replay out."""

MOST_PASSES = 4
"""How much longer the smallest parts are trained than all replays are, in epochs."""

FEATURES: Mapping[str, Flags] = {
    "plain": {},
    "one-hot actions": {"action_mode": "one_hot"},
    "one-hot characters": {"character_mode": "one_hot"},
    "compact stage": {"stage_mode": "compact"},
    "all one-hot": {"action_mode": "one_hot", "character_mode": "one_hot", "stage_mode": "one_hot"},
    "previous hidden 20 %": {"prev_dropout": 0.2},
    "not augmented": {"augment": False},
    "independent head": {"head": "independent"},
}
"""Ways to give frames to a policy, and to take controllers from it, one at a time against ``plain``. A choice of feature groups
(``dataset.features.layout``) is a value of that axis too."""

USUAL: Mapping[str, tuple[str, ...]] = {
    "size": ("64", "256", "512"),
    "window": ("30", "60", "120"),
    "features": tuple(FEATURES),
    "delay": ("0", "2", "4", "6"),
    "codec": tuple(CODECS),
    "data": ("8", "16", "32", "64", ALL),
}
"""Values by axis."""

VARIED: Mapping[str, tuple[str, ...]] = {
    "size": ("hidden_sizes",),
    "window": ("window_size",),
    "features": ("features", *dict.fromkeys(flag for flags in FEATURES.values() for flag in flags)),
    "delay": ("delay", "online_robust"),
    "codec": ("codec",),
    "data": ("max_replays",),
}
"""Flags that an axis sets, which therefore cannot be given."""


def parse_backbones(text: str | None) -> list[str]:
    """The backbones of ``--backbones``; all of them unless said."""
    names = list(BACKBONES) if text is None else text.split(",")
    unknown = [name for name in names if name not in BACKBONES]
    if unknown or len(set(names)) < len(names):
        raise ConfigError(
            f"--backbones: each of {', '.join(BACKBONES)} at most once, joined by commas, found {text}; give e.g. gru,mlp"
        )
    return names


def backbone_configs(
    preset: str | None, flags: Mapping[str, Any], backbones: Sequence[str], seeds: int
) -> list[tuple[str, RunConfig]]:
    """A label and a config for every backbone and seed; a seed's runs come together, so that a stop leaves whole seeds.

    Raises:
        ConfigError: a setting is out of range, or could act on none of the backbones.
    """
    _require_attention(flags, backbones)
    first = require_seeds(seeds, flags)
    return [
        (backbone, resolve(preset, {**_acting(flags, backbone), "backbone": backbone, "seed": first + n}).config)
        for n in range(seeds)
        for backbone in backbones
    ]


def plan_runs(configs: Sequence[tuple[str, RunConfig]], store: str, digest: str) -> tuple[Planned, ...]:
    """Planned runs, named by label and seed."""
    return tuple(
        Planned(run=f"{slug(label)}-s{config.seed}", label=label, config=config, store=store, digest=digest)
        for label, config in configs
    )


def slug(label: str) -> str:
    """A label as part of a folder's name."""
    return "-".join("".join(c if c.isalnum() or c in "._" else " " for c in label).split())


def require_seeds(seeds: int, flags: Mapping[str, Any]) -> int:
    """The first of so many seeds."""
    if seeds < 1:
        raise ConfigError(f"--seeds: at least 1, found {seeds}; with 3 or more the luck of a seed shows")
    return int(flags.get("seed", 0))


def _require_attention(flags: Mapping[str, Any], backbones: Sequence[str]) -> None:
    if any(map(has_attention, backbones)):
        return
    for flag in OF_ATTENTION:
        if flag in flags:
            raise ConfigError(
                f"{option_name(flag)} {flags[flag]}: acts on backbones with attention, found none among {', '.join(backbones)}; "
                "leave it out, or add sliding_window or jamba"
            )


def _acting(flags: Mapping[str, Any], backbone: str) -> dict[str, Any]:
    return {flag: value for flag, value in flags.items() if flag not in OF_ATTENTION or has_attention(backbone)}


def sweep_configs(
    axis: str, values: str | None, preset: str | None, flags: Mapping[str, Any], seeds: int
) -> list[tuple[str, RunConfig]]:
    """A label and a config for every value and seed; a seed's runs come together.

    Raises:
        ConfigError: there is no such axis or value, a flag contradicts the axis, or a setting is out of range.
    """
    variants = _variants(axis, values, preset, flags)
    first = require_seeds(seeds, flags)
    resolve(preset, dict(flags))  # so that what the variants are refused for is their value
    return [
        (label, _resolved(label, preset, {**flags, **varied, "seed": first + n}))
        for n in range(seeds)
        for label, varied in variants
    ]


def _resolved(label: str, preset: str | None, flags: Flags) -> RunConfig:
    try:
        return resolve(preset, flags).config
    except ConfigError as error:
        raise ConfigError(f"--values, {label}: {error}") from error


def _variants(axis: str, values: str | None, preset: str | None, flags: Mapping[str, Any]) -> list[tuple[str, Flags]]:
    require_known("sweep", axis, USUAL)
    for flag in VARIED[axis]:
        if flag in flags:
            raise ConfigError(
                f"{option_name(flag)}: is what sweep {axis} varies, found it given; leave it out, see --values"
            )
    chosen = USUAL[axis] if values is None else tuple(value.strip() for value in values.split(","))
    variants = [_variant(axis, value, preset, flags) for value in chosen]
    if len({label for label, _ in variants}) < max(len(variants), 2):
        raise ConfigError(f"--values: two or more different ones, found {values}; give e.g. {','.join(USUAL[axis])}")
    return variants


def _variant(axis: str, value: str, preset: str | None, flags: Mapping[str, Any]) -> tuple[str, Flags]:
    if axis == "size":
        layers = len(resolve(preset, dict(flags)).config.policy.hidden_sizes)
        return f"width {value}", {"hidden_sizes": ",".join([str(_whole(value, axis))] * layers)}
    return _DESCRIBED[axis](value)


def _frames(value: str) -> tuple[str, Flags]:
    frames = _whole(value, "window")
    return f"{frames} frames", {"window_size": frames}


def _delay(value: str) -> tuple[str, Flags]:
    delay = _whole(value, "delay")
    return f"delay {delay}", {"delay": delay}


def _replays(value: str) -> tuple[str, Flags]:
    return ("all replays", {}) if value == ALL else (f"{_whole(value, 'data')} replays", {"max_replays": int(value)})


def _features(name: str) -> tuple[str, Flags]:
    if name in FEATURES:
        return name, dict(FEATURES[name])
    try:
        choice = parse_features(name)
    except ConfigError as error:
        raise ConfigError(f"--values '{name}': must be one of {', '.join(FEATURES)}, or {error}") from error
    return choice, {"features": choice}


def _codec(name: str) -> tuple[str, Flags]:
    return name, {"codec": name}


_DESCRIBED: Mapping[str, Callable[[str], tuple[str, Flags]]] = {
    "window": _frames,
    "features": _features,
    "delay": _delay,
    "codec": _codec,
    "data": _replays,
}
"""How a value of these axes is called, and the flags that it is."""


def within(configs: Sequence[tuple[str, RunConfig]], num_replays: int) -> list[tuple[str, RunConfig]]:
    """The variants of a data sweep that a store of so many train replays has, with their epochs.

    Smaller parts are passed over up to ``MOST_PASSES`` times as often, so that they too are trained out; the weights of the best
    epoch count in any case.

    Raises:
        ConfigError: fewer than two are left.
    """
    kept = []
    for label, config in configs:
        part = config.data.max_replays or num_replays
        if part >= num_replays and config.data.max_replays is not None:
            continue
        passes = min(MOST_PASSES, num_replays / part)
        epochs = round(config.optim.epochs * passes)
        kept.append((label, replace(config, optim=replace(config.optim, epochs=epochs))))
    if len({label for label, _ in kept}) < 2:
        raise ConfigError(
            f"sweep data: needs two or more parts of the train split, found {num_replays} replays; give smaller --values"
        )
    return kept


def _whole(value: str, axis: str) -> int:
    if not value.isdigit():
        usual = ",".join(USUAL[axis])
        raise ConfigError(f"--values: whole numbers joined by commas, found '{value}'; give e.g. {usual}")
    return int(value)
