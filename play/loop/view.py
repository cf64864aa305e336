"""The live view of a match in the terminal: what the agent presses, the score, and how late it answers.

It only reads the frame loop, from a thread of its own, and writes at most ten times per second. A thread that draws holds
Python's interpreter lock for up to 5 ms before the loop may go on, so while the view is open the interpreter switches threads
ten times sooner.
"""

import bisect
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dataset.melee.controller import NEUTRAL
from dataset.reporting.terminal import LINE_EVERY_S
from play.loop.gauges import Gauge, disc, pressed, stock_dots, trigger
from play.loop.runner import PAUSE_S, Runner

REFRESH_S = 0.1
"""How often a plain line reports the match where there is no terminal."""
LATENCY_EDGES_MS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
RECENT = 600
"""Answers in the histogram: those of ten seconds."""
_SWITCH_S = 0.0005
_CLOSING_S = 2.0
"""How long a terminal that takes no more text may hold up the end."""
_BARS = 10


@dataclass(frozen=True, kw_only=True)
class Fighter:
    """One player as the view shows them."""

    port: int
    name: str
    stocks: int
    percent: float


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A match at one moment."""

    game: int
    """Which game of the session, 0 before the first."""
    is_in_game: bool
    frame: int
    own: Fighter | None
    others: tuple[Fighter, ...]
    fps: float
    pad: tuple[int, ...]
    """main x, main y, c x, c y (1/80), trigger (1/140), buttons."""
    latency: tuple[int, ...]
    """Recent answers by ``LATENCY_EDGES_MS``; one more for those above."""
    frames: int
    frames_stale: int
    frames_missing: int
    quiet_s: float
    """Since the newest frame came; 0 where none is waited for."""


def latency_counts(latencies_ms: Sequence[float]) -> tuple[int, ...]:
    """How many lie between each edge and the one before; the last count is of those above all edges."""
    counts = [0] * (len(LATENCY_EDGES_MS) + 1)
    for latency in latencies_ms:
        counts[bisect.bisect_right(LATENCY_EDGES_MS, latency)] += 1
    return tuple(counts)


def snapshot(runner: Runner, fps: float) -> Snapshot:
    """The match now; reads only what the loop replaces whole or appends to."""
    newest, held, report = runner.newest, runner.held, runner.report
    own, others = (None, ()) if newest is None else _fighters(newest.game, runner.port)
    return Snapshot(
        game=runner.num_games,
        is_in_game=runner.is_in_game,
        frame=0 if newest is None else newest.number,
        own=own,
        others=others,
        fps=fps,
        pad=tuple(int(value) for value in (NEUTRAL if held is None else held)),
        latency=latency_counts(report.frame_to_controller_ms[-RECENT:]),
        frames=report.frames,
        frames_stale=report.frames_stale,
        frames_missing=report.frames_missing,
        quiet_s=time.perf_counter() - newest.received_at if runner.is_in_game and newest is not None else 0.0,
    )


def _fighters(game: Any, own_port: int) -> tuple[Fighter | None, tuple[Fighter, ...]]:
    fighters = {
        int(port): Fighter(
            port=int(port),
            name=player.character.name.replace("_", " ").title(),
            stocks=int(player.stock),
            percent=float(player.percent),
        )
        for port, player in game.players.items()
    }
    return fighters.pop(own_port, None), tuple(fighters.values())


def draw(now: Snapshot) -> RenderableType:
    """The whole view."""
    state = f"game {now.game}, frame {now.frame:,}" if now.is_in_game else "in the menus"
    pace = f"paused for {now.quiet_s:.0f} s" if now.quiet_s >= PAUSE_S else f"{now.fps:5.1f} frames/s"
    grid = Table.grid(padding=(0, 2))
    grid.add_row(
        _score(now),
        Text("main\n" + disc(now.pad[0], now.pad[1])),
        Text("c\n" + disc(now.pad[2], now.pad[3])),
        Text("trigger\n" + trigger(now.pad[4]) + "\n\nbuttons\n" + pressed(now.pad[5])),
        Text("frame to controller\n" + histogram(now.latency)),
    )
    whole = Table.grid()
    share = now.frames_stale / now.frames if now.frames else 0.0
    whole.add_row(Text(f"{state}   {pace}", style="bold"))
    whole.add_row(grid)
    whole.add_row(Text(f"late {now.frames_stale:,} ({share:.1%})   never arrived {now.frames_missing:,}"))
    return whole


def _score(now: Snapshot) -> Text:
    text = Text()
    for fighter in (*((now.own,) if now.own else ()), *now.others):
        who = "agent" if fighter is now.own else "opponent"
        score = f"{stock_dots(fighter.stocks)} {fighter.percent:.0f} %"
        text.append(f"{who}, port {fighter.port}\n{fighter.name}\n{score}\n")
    return text


def histogram(counts: Sequence[int]) -> str:
    """A bar a bin, each with its share."""
    total, most = sum(counts) or 1, max(counts) or 1
    labels = [f"≤ {edge:g} ms" for edge in LATENCY_EDGES_MS] + [f"> {LATENCY_EDGES_MS[-1]:g} ms"]
    bars = ["▇" * -(-count * _BARS // most) for count in counts]
    return "\n".join(
        f"{label:>8} {bar:{_BARS}} {count / total:4.0%}" for label, bar, count in zip(labels, bars, counts, strict=True)
    )


def line(now: Snapshot) -> str:
    """The view in one line, for logs and pipes."""
    if now.own is None or not now.is_in_game:
        return f"game {now.game}: in the menus"
    if now.quiet_s >= PAUSE_S:
        paused = f"game {now.game}, frame {now.frame}: paused for {now.quiet_s:.0f} s"
        return f"{paused}; it continues where it stopped, Ctrl-C ends it"
    others = ", ".join(f"{fighter.stocks} at {fighter.percent:.0f} %" for fighter in now.others)
    return (
        f"game {now.game}, frame {now.frame}: {now.own.stocks} at {now.own.percent:.0f} % to {others}, "
        f"{now.fps:.1f} frames/s, {now.frames_stale} late, {now.frames_missing} missing"
    )


@contextmanager
def viewing(runner: Runner, console: Console) -> Iterator[None]:
    """Show the match on ``console`` until the block ends: drawn on a terminal, else a line every few seconds."""
    if console.quiet:
        yield
        return
    is_over = threading.Event()
    show = _draw_until if console.is_terminal else _print_until
    thread = threading.Thread(target=show, args=(is_over, runner, console), name="exphil view", daemon=True)
    switch_s = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(_CLOSING_S)
        sys.setswitchinterval(switch_s)


def _draw_until(is_over: threading.Event, runner: Runner, console: Console) -> None:
    with Live(console=console, auto_refresh=False) as live:
        for now in _snapshots(is_over, runner, REFRESH_S):
            live.update(draw(now), refresh=True)


def _print_until(is_over: threading.Event, runner: Runner, console: Console) -> None:
    for now in _snapshots(is_over, runner, LINE_EVERY_S):
        console.print(line(now), markup=False)


def _snapshots(is_over: threading.Event, runner: Runner, every_s: float) -> Iterator[Snapshot]:
    gauge = Gauge()
    gauge.read(runner.report.frames, time.monotonic())
    while not is_over.wait(every_s):
        yield snapshot(runner, gauge.read(runner.report.frames, time.monotonic()))
