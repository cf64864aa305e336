"""The flags of ``exphil play``, each declared once: type, default, help, and the modes in which it can take effect.

A flag is refused in every other mode, even where its value changes nothing: whoever gives it expects something of it.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints

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


class Flag(NamedTuple):
    """How a field of ``PlayOptions`` is given on the command line."""

    option: Any
    """What ``typer.Option`` made."""
    modes: frozenset[str]
    """Where it can take effect."""


def _flag(modes: frozenset[str], text: str, *names: str, **more: Any) -> Flag:
    """A flag with ``text`` as its help; ``more`` goes to ``typer.Option``."""
    return Flag(typer.Option(*names, help=text, rich_help_panel=_PANELS.get(modes), **more), modes)


@dataclass(frozen=True, kw_only=True)
class PlayOptions:
    """What to play and how, as the command line says it; None where a default depends on other flags."""

    policy: Annotated[
        str | None, _flag(_LOADS_RUN, "Run folder, run name or checkpoint file.", metavar="RUN", show_default=False)
    ] = None
    check: Annotated[
        bool,
        _flag(
            _CHECKS,
            "Play nothing: find Dolphin and the ISO, and say what a match lacks. --policy: is it fast enough?",
            "--check",
        ),
    ] = False
    stand_in: Annotated[
        Path | None,
        _flag(
            _IN_STAND_IN,
            "Play against this replay (Slippi 3.8 or newer), served as Dolphin would; it does not react.",
            metavar="REPLAY",
            exists=True,
            dir_okay=False,
        ),
    ] = None
    fps: Annotated[
        float | None,
        _flag(_IN_STAND_IN, "Frames per second of the stand-in; default 60, with --sync as fast as the policy.", min=1),
    ] = None
    dolphin: Annotated[
        Path | None,
        _flag(_CHECKS_OR_DOLPHIN, "Slippi Dolphin: the executable, its folder, or Slippi Launcher's netplay folder."),
    ] = None
    iso: Annotated[Path | None, _flag(_CHECKS_OR_DOLPHIN, "Melee, NTSC 1.02, with everything unlocked.")] = None
    character: Annotated[str | None, _flag(_IN_DOLPHIN, "Default: the character the run imitates.")] = None
    stage: Annotated[str | None, _flag(_IN_DOLPHIN, "Default: final_destination.")] = None
    opponent: Annotated[
        str | None,
        _flag(
            _PLAYS,
            "cpu, human (on this machine or, with --connect-code, online), or a run: --policy plays it. Default: cpu.",
            metavar="cpu|human|RUN",
        ),
    ] = None
    opponent_character: Annotated[
        str | None,
        _flag(_IN_DOLPHIN, "What the CPU plays, default fox; or an opponent's run, default the character it imitates."),
    ] = None
    cpu_level: Annotated[int | None, _flag(_IN_DOLPHIN, "Of a CPU opponent; default 9.", min=1, max=9)] = None
    connect_code: Annotated[
        str | None, _flag(_IN_DOLPHIN, "Meet this player in Slippi's direct mode (never unranked); needs a login.")
    ] = None
    dolphin_home: Annotated[
        Path | None,
        _flag(
            _CHECKS_OR_DOLPHIN,
            "Dolphin's User folder to copy for a human opponent: pad settings and login. Default: Slippi's own.",
        ),
    ] = None
    replay_dir: Annotated[
        Path | None, _flag(_CHECKS_OR_DOLPHIN, "Where Dolphin keeps the replays; default play-replays.")
    ] = None
    log_dir: Annotated[
        Path | None,
        _flag(
            _PLAYS,
            "Where each session's log gets a folder of its own; default in Dolphin: sessions beside the replays.",
            show_default=False,
        ),
    ] = None
    techniques: Annotated[
        bool | None,
        _flag(
            _IN_DOLPHIN,
            "Afterwards: how often the agent L-cancels, techs, wavedashes …, from the replays that Dolphin kept.",
            "--techniques/--no-techniques",
            show_default="unless --json",
        ),
    ] = None
    headless: Annotated[
        bool, _flag(_CHECKS_OR_DOLPHIN, "No window; needs a build without one: mainline nogui, or ExiAI.", "--headless")
    ] = False
    slippi_port: Annotated[
        int | None,
        _flag(_ALWAYS, "UDP port of the spectator stream; default 51441, stand-in: a free one.", min=1, max=65535),
    ] = None
    games: Annotated[int | None, _flag(_IN_DOLPHIN, "Games to play; default 1.", min=1)] = None
    port: Annotated[
        int | None,
        _flag(
            _PLAYS,
            "The agent's port; default 1, beside a person one without a pad, stand-in: its character's, else the lowest.",
            min=1,
            max=4,
        ),
    ] = None
    delay: Annotated[
        int | None, _flag(_PLAYS, "Frames between seeing and acting; must be what the run was trained with.")
    ] = None
    temperature: Annotated[float, _flag(_PLAYS, "Of sampling, above 0.")] = 1.0
    runtime: Annotated[
        str, _flag(_LOADS_RUN, "onnx, openvino, torch, or auto: ONNX Runtime if exphil export was run, else PyTorch.")
    ] = "auto"
    openvino_device: Annotated[
        str | None, _flag(_LOADS_RUN, "CPU, GPU or AUTO, with --runtime openvino; default CPU.")
    ] = None
    sync: Annotated[
        bool,
        _flag(_LOADS_RUN, "Dolphin waits for the policy on every frame; without it the game never waits.", "--sync"),
    ] = False
    seconds: Annotated[float | None, _flag(_PLAYS, "Stop after so many seconds of play.", min=0.1)] = None
    seed: Annotated[int, _flag(_PLAYS, "Of the sampling noise.", min=0)] = 0
    view: Annotated[
        bool | None,
        _flag(
            _PLAYS,
            "Draw the match in the terminal, or report it in plain lines.",
            "--view/--no-view",
            show_default="--view",
        ),
    ] = None
    as_json: Annotated[bool, _flag(_ALWAYS, "Print one JSON object as the last line.", "--json")] = False

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs that play: the agent's, and its opponent's if that is a run."""
        named = (self.policy, None if self.opponent in (CPU, HUMAN) else self.opponent)
        return tuple(run for run in named if run is not None)


def _flags() -> dict[str, tuple[Any, Flag]]:
    """Type and flag of every field."""
    hints = get_type_hints(PlayOptions, include_extras=True)
    return {name: (hint.__origin__, hint.__metadata__[0]) for name, hint in hints.items()}


def refuse_idle(ctx: typer.Context, mode: str) -> None:
    """Refuse a flag on the command line that could not take effect in a mode.

    Raises:
        ConfigError: there is such a flag.
    """
    idle = {name for name, (_, flag) in _flags().items() if mode not in flag.modes}
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(str(parameter.name))
        if parameter.name in idle and source is not None and source.name == "COMMANDLINE":
            raise ConfigError(f"{parameter.opts[0]}: has no effect with {mode}; leave one of them out")


def with_play_options(command: Callable[[typer.Context, PlayOptions], None]) -> Callable[..., None]:
    """The command as typer registers it: one parameter per field."""

    def play(ctx: typer.Context, **values: Any) -> None:
        command(ctx, PlayOptions(**values))

    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("ctx", kind, annotation=typer.Context)]
    for name, (hint, flag) in _flags().items():
        declared: Any = Annotated[hint, flag.option]
        parameters.append(inspect.Parameter(name, kind, default=getattr(PlayOptions, name), annotation=declared))
    play.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    play.__annotations__ = {each.name: each.annotation for each in parameters}
    play.__doc__ = command.__doc__
    return play
