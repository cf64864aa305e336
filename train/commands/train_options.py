"""The options of ``exphil train`` on other commands that train: declared once, so no command lacks one or calls it otherwise.

In: a command whose last parameter is ``**flags``. Out: the same with train's options in their place. The surprise: typer reads
them from the signature, which is put together here, so a new option of train is at once one of these commands too.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import typer

from train.cli import train

Command = Callable[..., None]

PROCESS_FLAGS = ("compile_mode", "num_workers")
"""Of those options, what a process does and no run remembers: arguments of ``train.fit.train_run.train_run``, not of a config."""


def with_train_flags(*left_out: str) -> Callable[[Command], Command]:
    """Give a command every option of train that it does not declare itself, but for those ``left_out``."""

    def decorate(command: Command) -> Command:
        own = inspect.signature(command)
        named = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        taken = {*left_out, *(one.name for one in named)}
        shared = [one for one in inspect.signature(train).parameters.values() if one.name not in taken]
        parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*named, *shared)]
        command.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in parameters}
        return command

    return decorate


def given(ctx: typer.Context, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that were typed, not those that stand at their default."""
    return {name: value for name, value in flags.items() if value is not None and _is_typed(ctx, name)}


def _is_typed(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"  # by name: typer may bring a click of its own
