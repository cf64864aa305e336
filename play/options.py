"""The flags of ``exphil play``, each declared once: type, default, help, and the modes in which it can take effect.

A flag is refused in every other mode, even where its value changes nothing: whoever gives it expects something of it.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from dataset.errors import ConfigError

CHECK, CHECK_RUN, STAND_IN, DOLPHIN = "--check without --policy", "--check", "--stand-in", "--dolphin"
"""The modes of ``exphil play``, called by what chooses them."""

_CHECKS, _PLAYS = frozenset({CHECK, CHECK_RUN}), frozenset({STAND_IN, DOLPHIN})
_IN_STAND_IN, _IN_DOLPHIN, _LOADS_RUN = frozenset({STAND_IN}), frozenset({DOLPHIN}), _PLAYS | {CHECK_RUN}
_CHECKS_OR_DOLPHIN, _ALWAYS = _CHECKS | _IN_DOLPHIN, _CHECKS | _PLAYS

_PANELS = {_IN_STAND_IN: "Without Dolphin", _IN_DOLPHIN: "In Dolphin", _CHECKS_OR_DOLPHIN: "In Dolphin"}
"""Where help shows the flags of some modes."""

CPU, HUMAN = "cpu", "human"
"""What ``--opponent`` may be beside a run."""

REPLAY_DIR = Path("play-replays")
SLIPPI_PORT = 51441
"""Defaults of the flags with these names in Dolphin."""


def _flag(default: Any, modes: frozenset[str], text: str, *names: str, **more: Any) -> Any:
    """A field with its flag: the modes in which it can take effect, its help, and what else ``typer.Option`` takes."""
    option = typer.Option(*names, help=text, rich_help_panel=_PANELS.get(modes), **more)
    return field(default=default, metadata={"option": option, "modes": modes})


@dataclass(frozen=True, kw_only=True)
class PlayOptions:
    """What to play and how, as the command line says it; None where a default depends on other flags."""

    policy: str | None = _flag(
        None, _LOADS_RUN, "Run folder, run name or checkpoint file.", metavar="RUN", show_default=False
    )
    check: bool = _flag(
        False,
        _CHECKS,
        "Play nothing: find Dolphin and the ISO, and say what a match still needs. With --policy: also whether it is "
        "fast enough.",
        "--check",
    )
    stand_in: Path | None = _flag(
        None,
        _IN_STAND_IN,
        "Play against this replay (Slippi 3.8 or newer), served as Dolphin would; it does not react.",
        metavar="REPLAY",
        exists=True,
        dir_okay=False,
    )
    fps: float | None = _flag(
        None, _IN_STAND_IN, "Frames per second of the stand-in; default 60, with --sync as fast as the policy.", min=1
    )
    dolphin: Path | None = _flag(
        None, _CHECKS_OR_DOLPHIN, "Slippi Dolphin: the executable, its folder, or Slippi Launcher's netplay folder."
    )
    iso: Path | None = _flag(None, _CHECKS_OR_DOLPHIN, "Melee, NTSC 1.02, with everything unlocked.")
    character: str | None = _flag(None, _IN_DOLPHIN, "Default: the character the run imitates.")
    stage: str | None = _flag(None, _IN_DOLPHIN, "Default: final_destination.")
    opponent: str | None = _flag(
        None,
        _PLAYS,
        "Whom --policy plays against: cpu, human (on this machine or, with --connect-code, online), or a run. "
        "Default: cpu.",
        metavar="cpu|human|RUN",
    )
    opponent_character: str | None = _flag(
        None,
        _IN_DOLPHIN,
        "Character of the opponent. Default: fox for a CPU, the character that it imitates for a run.",
    )
    cpu_level: int | None = _flag(None, _IN_DOLPHIN, "Level of a CPU opponent; default 9.", min=1, max=9)
    connect_code: str | None = _flag(
        None, _IN_DOLPHIN, "Meet this player in Slippi's direct mode (never unranked); needs a login."
    )
    dolphin_home: Path | None = _flag(
        None,
        _CHECKS_OR_DOLPHIN,
        "Dolphin's User folder to copy for a human opponent: pad settings and login. Default: Slippi's own.",
    )
    replay_dir: Path | None = _flag(None, _CHECKS_OR_DOLPHIN, "Where Dolphin keeps the replays; default play-replays.")
    log_dir: Path | None = _flag(
        None,
        _PLAYS,
        "Folder in which each session's log gets a folder; default in Dolphin: sessions beside the replays.",
        show_default=False,
    )
    techniques: bool | None = _flag(
        None,
        _IN_DOLPHIN,
        "Report at the end how often the agent L-cancels, techs, wavedashes …, from the replays that Dolphin kept.",
        "--techniques/--no-techniques",
        show_default="unless --json",
    )
    store: str | None = _flag(
        None,
        _IN_DOLPHIN,
        "Folder or URL of a store: say at the end what is most unlike its people who play the agent's character.",
        show_default=False,
    )
    headless: bool = _flag(
        False, _CHECKS_OR_DOLPHIN, "No window; needs a build without one: mainline nogui, or ExiAI.", "--headless"
    )
    slippi_port: int | None = _flag(
        None, _ALWAYS, "UDP port of the spectator stream; default 51441, with --stand-in a free one.", min=1, max=65535
    )
    games: int | None = _flag(None, _IN_DOLPHIN, "Games to play; default 1.", min=1)
    port: int | None = _flag(
        None,
        _PLAYS,
        "The agent's port. Default: 1; with a human opponent, the first without a pad; with --stand-in, its "
        "character's, else the lowest.",
        min=1,
        max=4,
    )
    delay: int | None = _flag(None, _PLAYS, "Frames between seeing and acting; must be what the run was trained with.")
    temperature: float = _flag(1.0, _PLAYS, "Temperature of sampling, above 0.")
    runtime: str = _flag(
        "auto", _LOADS_RUN, "onnx, openvino, torch, or auto: ONNX Runtime if exphil export was run, else PyTorch."
    )
    openvino_device: str | None = _flag(None, _LOADS_RUN, "CPU, GPU or AUTO, with --runtime openvino; default CPU.")
    sync: bool = _flag(
        False, _LOADS_RUN, "Dolphin waits for the policy on every frame; without it the game never waits.", "--sync"
    )
    seconds: float | None = _flag(None, _PLAYS, "Stop after this many seconds of play.", min=0.1)
    seed: int = _flag(0, _PLAYS, "Seed of the sampling noise.", min=0)
    view: bool | None = _flag(
        None,
        _PLAYS,
        "Draw the match in the terminal, or report it in plain lines.",
        "--view/--no-view",
        show_default="--view",
    )
    as_json: bool = _flag(False, _ALWAYS, "Print one JSON object as the last line.", "--json")

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs that play: the agent's, and its opponent's if that is a run."""
        named = (self.policy, None if self.opponent in (CPU, HUMAN) else self.opponent)
        return tuple(run for run in named if run is not None)


def refuse_idle(ctx: typer.Context, mode: str) -> None:
    """Refuse a flag on the command line that could not take effect in a mode.

    Raises:
        ConfigError: there is such a flag.
    """
    idle = {each.name for each in fields(PlayOptions) if mode not in each.metadata["modes"]}
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(str(parameter.name))
        if parameter.name in idle and source is not None and source.name == "COMMANDLINE":
            raise ConfigError(f"{parameter.opts[0]}: has no effect with {mode}; leave one of them out")


def with_play_options(command: Callable[[typer.Context, PlayOptions], None]) -> Callable[..., None]:
    """The command as typer registers it: one parameter per field."""

    def play(ctx: typer.Context, **values: Any) -> None:
        command(ctx, PlayOptions(**values))

    hints = get_type_hints(PlayOptions)
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("ctx", kind, annotation=typer.Context)]
    for each in fields(PlayOptions):
        hint: Any = hints[each.name]
        declared: Any = Annotated[hint, each.metadata["option"]]
        parameters.append(inspect.Parameter(each.name, kind, default=each.default, annotation=declared))
    play.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    play.__annotations__ = {each.name: each.annotation for each in parameters}
    play.__doc__ = command.__doc__
    return play
