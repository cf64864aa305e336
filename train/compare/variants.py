"""The variants of a comparison: one configuration for every backbone, whatever backbones differ in left at its default.

In: flags of train and backbones. Out: planned runs, a backbone and seed each. The surprise: flags that only attention knows are
given to the backbones that have it, and refused when none of them does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dataset.errors import ConfigError
from dataset.reporting.command_lines import option_name
from train.compare.plan import Planned
from train.config.resolve import resolve
from train.config.run_config import RunConfig, has_attention
from train.policy.backbones.registry import BACKBONES

OF_ATTENTION = ("num_heads", "attention_every")
"""Flags that act only where there is attention."""


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
                "leave it away, or add sliding_window or jamba"
            )


def _acting(flags: Mapping[str, Any], backbone: str) -> dict[str, Any]:
    return {flag: value for flag, value in flags.items() if flag not in OF_ATTENTION or has_attention(backbone)}
