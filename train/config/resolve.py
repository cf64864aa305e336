"""From what was typed to a config: a preset, or the defaults, and flags that override single fields.

In: ``--preset`` and the flags that were given. Out: the config and where each of its values came from. The surprise: a flag
that was not given is absent here, not at its default, so that it never overrides a preset.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dataset.errors import ConfigError
from train.config.presets import preset
from train.config.run_config import (
    RunConfig,
    check_temporal,
    find_delay,
    from_json,
    has_attention,
    layer_sizes,
    to_json,
)

FIELDS = {
    "codec": "policy.codec",
    "backbone": "policy.backbone",
    "head": "policy.head",
    "features": "policy.features",
    "action_mode": "policy.action_mode",
    "character_mode": "policy.character_mode",
    "stage_mode": "policy.stage_mode",
    "dropout": "policy.dropout",
    "prev_dropout": "policy.prev_dropout",
    "num_heads": "policy.num_heads",
    "attention_every": "policy.attention_every",
    "train_character": "data.character",
    "delay": "data.delay",
    "batch_size": "data.lanes",
    "window_size": "data.window_size",
    "sampling": "data.sampling",
    "supervise": "data.supervise",
    "burn_in": "data.burn_in",
    "max_replays": "data.max_replays",
    "augment": "data.augment",
    "online_robust": "data.online_robust",
    "epochs": "optim.epochs",
    "max_steps": "optim.max_steps",
    "lr": "optim.lr",
    "lr_schedule": "optim.lr_schedule",
    "warmup_steps": "optim.warmup_steps",
    "layer_lr_decay": "optim.layer_lr_decay",
    "weight_decay": "optim.weight_decay",
    "max_grad_norm": "optim.max_grad_norm",
    "grad_accumulation": "optim.grad_accumulation",
    "precision": "optim.precision",
    "early_stopping": "optim.early_stopping",
    "patience": "optim.patience",
    "label_smoothing": "loss.label_smoothing",
    "button_pos_weight": "loss.button_pos_weight",
    "weight_by": "loss.weight_by",
    "seed": "seed",
}
"""Flags that are one field of the config each."""

SWITCHES = {
    "ema": ("ema_decay", "optim.ema_decay", 0.999),
    "focal_loss": ("focal_gamma", "loss.focal_gamma", 2.0),
}
"""Flags that switch something on, the flag that says how much, its field (0 is off), and how much it is unsaid."""


@dataclass(frozen=True)
class Resolved:
    """A config and where its values came from."""

    config: RunConfig
    origins: Mapping[str, str]
    """``default``, ``preset NAME`` or the flag, by ``part.field``."""


def resolve(name: str | None, flags: Mapping[str, Any]) -> Resolved:
    """The config of ``--preset name`` (``None``: the defaults) with ``flags`` over it.

    Args:
        name: the preset.
        flags: values by option name, of those options that were given; others than settings are passed over.

    Raises:
        ConfigError: a setting is out of range, contradicts another, or could not act.
    """
    defaults, base = _flat(RunConfig()), _flat(RunConfig() if name is None else preset(name))
    values = dict(base)
    origins = {field: "default" if base[field] == defaults[field] else f"preset {name}" for field in base}

    def put(flag: str, field: str, value: Any) -> None:
        values[field], origins[field] = value, f"--{'no-' if flags.get(flag) is False else ''}{flag.replace('_', '-')}"

    for flag in FIELDS.keys() & flags.keys():
        put(flag, FIELDS[flag], flags[flag])
    for switch, (amount, field, usual) in SWITCHES.items():
        if switch in flags:
            put(switch, field, (values[field] or usual) if flags[switch] else 0.0)
        if amount in flags:
            _require_on(values[field] > 0, amount, flags[amount], f"--{switch.replace('_', '-')}")
            put(amount, field, flags[amount])
    if "patience" in flags:
        _require_on(values["optim.early_stopping"], "patience", flags["patience"], "--early-stopping")
    if flags.get("online_robust"):
        put("online_robust", "data.delay", find_delay(flags.get("delay"), is_online_robust=True))
    elif "delay" in flags and values["data.online_robust"]:
        put("delay", "data.online_robust", False)  # the preset would draw what is fixed here
    _put_layers(flags, values, put)
    check_temporal(flags.get("temporal"), values["policy.backbone"])
    values["policy.attention_window"], origins["policy.attention_window"] = None, "default"
    if has_attention(values["policy.backbone"]):
        values["policy.attention_window"] = values["data.window_size"]
        origins["policy.attention_window"] = origins["data.window_size"]
    return Resolved(from_json(RunConfig, _nested(values)), origins)


def _put_layers(flags: Mapping[str, Any], values: dict[str, Any], put: Any) -> None:
    if "hidden_sizes" in flags:
        put("hidden_sizes", "policy.hidden_sizes", _widths(flags["hidden_sizes"]))
    if "num_layers" in flags:
        sizes = layer_sizes(values["policy.backbone"], values["policy.hidden_sizes"], flags["num_layers"])
        put("num_layers", "policy.hidden_sizes", sizes)


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError as error:
        raise ConfigError(
            f"--hidden-sizes: whole numbers joined by commas, found '{text}'; give e.g. 256,256"
        ) from error


def _require_on(is_on: bool, amount: str, value: Any, switch: str) -> None:
    if not is_on:
        flag = f"--{amount.replace('_', '-')}"
        raise ConfigError(f"{flag} {value}: acts only with {switch}, found it off; add {switch}, or leave {flag} away")


def _flat(config: RunConfig) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for part, values in to_json(config).items():
        if isinstance(values, dict):
            flat |= {f"{part}.{field}": value for field, value in values.items()}
        else:
            flat[part] = values
    return flat


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        part, _, field = path.rpartition(".")
        (nested.setdefault(part, {}) if part else nested)[field] = value
    return nested


def table(resolved: Resolved) -> str:
    """One line a setting: its field, its value, where it came from."""
    flat = {field: str(value) for field, value in _flat(resolved.config).items()}
    first, second = (max(map(len, column)) for column in (flat.keys(), flat.values()))
    return "\n".join(f"{field:{first}}  {value:{second}}  {resolved.origins[field]}" for field, value in flat.items())
