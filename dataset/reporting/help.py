"""How ``--help`` shows options: a flag takes no value, so none is shown beside it, and an argument's name says enough.

In: the commands that the stages register. Out: the same with a help that is shorter. The surprise: typer 0.29 prints the
Python type beside every option, ``--json <bool>`` too, and asks nobody.
"""

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """A command whose flags look like flags."""

    def get_params(self, ctx: Any) -> list[Any]:
        """What it takes, ``--help`` among it."""
        return [_plain(param) for param in super().get_params(ctx)]


class Group(TyperGroup):
    """The commands together, likewise."""

    def get_params(self, ctx: Any) -> list[Any]:
        """What stands before a command."""
        return [_plain(param) for param in super().get_params(ctx)]


def with_plain_help(app: typer.Typer) -> typer.Typer:
    """The app, each of its commands a ``Command``."""
    for registered in app.registered_commands:
        registered.cls = Command
    return app


def _plain(param: Any) -> Any:
    if param.param_type_name == "argument":
        param.display_type_rich = lambda ctx: None
    elif param.is_flag:
        param.metavar = ""
    return param
