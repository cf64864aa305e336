"""The commands of this stage; each lies in ``play.commands`` and imports what it needs when it runs."""

from importlib import import_module

import typer

COMMANDS = ("play", "eval_games", "arena", "demo")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name in COMMANDS:
        import_module(f"play.commands.{name}").register(app)
