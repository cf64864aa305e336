"""Whether play holds up for half an hour through rollbacks, pauses and reconnects: memory, processes and frames.

One stand-in serves generated duels at 60 frames per second without end, with menus between them. Every two seconds of a
duel the last three frames are simulated again, twice. In every duel the game pauses twice, for 5 s and for 32 s, which
is longer than exphil waits for a silent Dolphin where nobody can pause. The session is closed and reopened in mid-game
as often as asked. Dolphin then sends the game from its start, and the policy steps all of it. A log is written as in a
match.

The benchmark reports, per session, the frames that were played, late and missing. It also reports the resident memory
of this process at minute 2 and at the end, and which processes are left. Use an exported policy to test the path of a
real match.

    python -m benchmarks.soak --run runs/mewtwo --minutes 30 --reconnects 2
"""

import argparse
import json
import os
import resource
import tempfile
import threading
import time
from contextlib import closing
from multiprocessing import active_children
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")


from dataset.duels.generate import generate_replays
from dataset.slippi import slp
from play.agent.agent import Agent, Players
from play.dolphin.session import Lost
from play.launch import port_in_replay
from play.loop.runner import Report, Runner
from play.loop.session_log import SessionLog, logging
from play.runtime.load import load, warm_up
from play.stand_in.protocol import PIPE
from play.stand_in.stand_in import StandIn, open_stand_in

ROLLBACK_EVERY, ROLLED_BACK = 120, 3
PAUSES = {1800: 5.0, 3600: 32.0}
NUM_DUELS = 6
MEMORY_EVERY_S = 30.0


def main() -> None:
    """Play for the given time, and print a line of JSON per session and one for the whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--reconnects", type=int, default=2)
    options = parser.parse_args()
    loaded, stepper = load(options.run, 1.0)
    players = Players(Agent(stepper, loaded.codec, delay=loaded.delay))
    step_ms = warm_up(players)
    memory = Memory()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        duels = [with_rollbacks(path) for path in generate_replays(folder / "duels", NUM_DUELS, seed=0)]
        num_games = 4 + int(options.minutes)  # no duel lasts less than a minute
        games = [duels[number % NUM_DUELS] for number in range(num_games)]
        agent_port = port_in_replay(slp.read_header(games[0]), "mewtwo", None)
        memory.start()
        sessions = []
        with StandIn(games, fps=60.0, controllers=(PIPE,), start_grace_s=0.0, pauses=PAUSES) as server:
            for number in range(options.reconnects + 1):
                seconds = options.minutes * 60 / (options.reconnects + 1)
                sessions.append(play(server, players, agent_port, seconds, folder / f"session-{number}"))
                print(json.dumps(sessions[-1]), flush=True)
            num_rollbacks = len(server.report().frames) - len(advancing(server.report().frames.tolist()))
    result = {
        "runtime": loaded.runtime,
        "warm_step_ms": round(step_ms, 2),
        "sessions": sessions,
        "copies_sent": num_rollbacks,
        "memory_mb": memory.stop(),
        "children_left": [child.name for child in active_children()],
        "threads_left": [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()],
        "load": os.getloadavg(),
        "cores": os.cpu_count(),
    }
    print(json.dumps(result))


def advancing(frames: list[int]) -> list[int]:
    """The sent frames that begin a game or advance it, without copies."""
    new, newest = [], -(2**31)
    for frame in frames:
        if frame > newest or frame == slp.FIRST_FRAME:
            new.append(frame)
            newest = frame
    return new


def play(server: StandIn, players: Players, agent_port: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Play one session and close it in mid-game when its time is over."""
    folder.mkdir()
    began = time.monotonic()
    with closing(open_stand_in(server, port=PIPE, is_blocking=False)) as session:
        until = Until(session, began + seconds)
        runner = Runner(until, players, find_port=lambda game: agent_port, is_sync=False)
        log = SessionLog(folder, {"soak": True}, runner.report)
        with logging(log, runner):
            report = runner.run()
    return {"minutes": round((time.monotonic() - began) / 60, 2)} | session_figures(report)


class Until:
    """A session that counts as lost when its time is over; the loop's own limit would not count pauses and menus."""

    def __init__(self, session: Any, deadline: float) -> None:
        self._session, self._deadline = session, deadline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def next(self, *, wait: bool = True) -> Any:
        """The next event, or the end."""
        event = self._session.next(wait=wait)
        return Lost("time is over") if time.monotonic() > self._deadline else event


def session_figures(report: Report) -> dict[str, Any]:
    """The figures of one session."""
    return {
        "games": len(report.games),
        "stocks": sum(game.stocks_taken + game.stocks_lost for game in report.games),
        "frames_stale": report.frames_stale,
        "lost": report.lost,
    } | report.summary()


def with_rollbacks(path: Path) -> Path:
    """Rewrite a replay so that every two seconds its last frames are simulated again."""
    raw, metadata = slp.read_slp(path)
    messages, out, frames = slp.split_messages(raw), [], []
    for message in messages:
        out.append(message)
        if message[0] == slp.FRAME_START:
            frames.append(message)
            if len(frames) % ROLLBACK_EVERY == 0:
                out += frames[-ROLLED_BACK:] * 2
    path.write_bytes(slp.pack(b"".join(out), metadata))
    return path


class Memory:
    """Samples the resident memory of this process in a thread."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, float]] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="memory")

    def start(self) -> None:
        """Start sampling."""
        self._began = time.monotonic()
        self._thread.start()

    def _sample(self) -> None:
        while True:
            self._samples.append((time.monotonic() - self._began, resident_mb()))
            if self._is_over.wait(MEMORY_EVERY_S):
                return

    def stop(self) -> dict[str, float]:
        """Stop sampling; megabytes every five minutes, at minute 2, at the end and at the peak."""
        self._is_over.set()
        self._thread.join()
        early = next((size for at, size in self._samples if at >= 120), self._samples[-1][1])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        by_five = {f"minute_{int(at // 60)}": size for at, size in self._samples if at % 300 < MEMORY_EVERY_S}
        return by_five | {"minute_2": early, "end": resident_mb(), "peak": round(peak, 1)}


def resident_mb() -> float:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


if __name__ == "__main__":
    main()
