"""Settings: config fields that also declare their flag, the values they allow, and their help.

A config class lists its settings with ``setting`` and inherits from ``Settings``, which refuses values out of bounds. From the
same declarations ``train.config.resolve`` finds the field that a flag sets, and ``train.commands.options`` makes the options of
every command that trains. Importing this loads neither PyTorch nor numpy.
"""

import dataclasses
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Any, cast, get_args, get_origin, get_type_hints

from dataset.errors import ConfigError, require_known
from dataset.reporting.terminal import option_name


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a field declares beside its type and default."""

    help: str
    """What it does, without a full stop; bounds, default and choices that it does not name are added to it."""
    flag: str = ""
    """The option's parameter name, where it is not the field's name."""
    at_least: float | None = None
    above: float | None = None
    below: float | None = None
    at_most: float | None = None
    unit: str = ""
    """Of the bounds."""
    choices: Collection[str] = ()
    """Every allowed value; empty allows any."""
    unset: str = ""
    """What the default ``None`` means."""
    metavar: str | None = None
    """What help shows in place of a value."""
    has_negation: bool = True
    """Whether a bool can be turned off again with ``--no-``."""
    needs: str = ""
    """The switch without which the flag has no effect and is refused."""
    switch_help: str = ""
    """Where ``needs`` names a flag that has no field of its own: its help."""
    switched_on: float = 0.0
    """What that switch sets the field to; it sets it to 0 when it is turned off."""

    @property
    def bounds(self) -> str:
        """The allowed range in words; empty if any value is allowed."""
        if self.at_least is None and self.above is None:
            return ""
        high = f" to below {self.below}" if self.below is not None else f" to {self.at_most}" if self.at_most else ""
        low = f"{'' if high else 'at least '}{self.at_least}" if self.above is None else f"above {self.above}"
        return f"{low}{high} {self.unit}".rstrip()

    def check(self, option: str, value: Any, default: Any) -> None:
        """Raise a ConfigError if ``value`` is out of bounds or none of the choices."""
        if self.choices:
            require_known(option, value, self.choices)
        is_allowed = (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )  # NaN is within no bounds
        require(is_allowed, f"{option}: {self.bounds}, found {value}; the default is {self.unset or shown(default)}")


def setting(default: Any, help: str, **facts: Any) -> Any:  # noqa: A002 (what typer calls it too)
    """A dataclass field with a default, and with the facts of a ``Setting`` in its metadata."""
    return dataclasses.field(default=default, metadata={"setting": Setting(help=help, **facts)})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A config that refuses values outside the bounds and choices of its fields."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            found, value = field.metadata.get("setting"), getattr(self, field.name)
            if found is not None and value is not None:
                found.check(option_name(found.flag or field.name), value, field.default)


@dataclass(frozen=True)
class Flag:
    """An option of the command line."""

    name: str
    """As a parameter: ``batch_size`` for ``--batch-size``."""
    kind: type
    """``int``, ``float``, ``str``, ``bool``, or ``tuple`` for whole numbers joined by commas."""
    setting: Setting
    default: Any = None
    path: str = ""
    """The field it sets, such as ``data.lanes``; empty where it only helps to find others."""

    @property
    def help(self) -> str:
        """What ``--help`` says of it."""
        setting, words = self.setting, self.setting.help
        if not all(choice in words for choice in setting.choices):
            *others, last = setting.choices
            words += f": {', '.join(others)} or {last}"
        if setting.bounds:
            words += f" ({setting.bounds})"
        default = setting.unset or ("" if self.kind is bool else shown(setting.switched_on or self.default))
        return f"{words}; default: {default}." if default else f"{words}."


def flags_of(config: type, prefix: str = "") -> Iterator[Flag]:
    """The flags of a config class and of the configs within it, in the order of their fields, switches before their amounts."""
    hints = get_type_hints(config)
    for field in dataclasses.fields(config):
        hint, path = hints[field.name], prefix + field.name
        if dataclasses.is_dataclass(hint):
            yield from flags_of(cast(type, hint), f"{path}.")
        elif "setting" in field.metadata:
            found: Setting = field.metadata["setting"]
            if found.switch_help:
                yield Flag(found.needs, bool, Setting(help=found.switch_help, switched_on=found.switched_on), path=path)
            kind = get_args(hint)[0] if isinstance(hint, UnionType) else hint  # int of int | None
            yield Flag(found.flag or field.name, get_origin(kind) or kind, found, field.default, path)


def require(is_met: bool, message: str) -> None:
    """Raise a ConfigError with ``message`` unless a rule is met."""
    if not is_met:
        raise ConfigError(message)


def shown(value: Any) -> str:
    """A setting's value as on the command line: ``256,256``."""
    if isinstance(value, float):
        return f"{value:g}"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
