"""Work that is killed, runs out of disk, or meets itself: each verb as a command, with what must hold when it has ended anyhow.

A verb works in a folder of its own, ``work``, which ``begin`` makes. ``left`` looks at what an end in the middle left there,
``again`` gives the commands that a user would give next, and ``outcome`` is a digest of what counts, which must be the same as
after a run that nothing disturbed.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ingest.replay.parse import parse_columns
from tests.hardening.campaign import WrongError
from tests.hardening.parts.runs import TINY, small_run
from tests.hardening.shell import run, small_store

STORE_FILES = {".lock", "README.md", "manifest.json", "replays.parquet", "replays.previous.parquet", "salt"}
INGEST = "ingest source --store store --workers 1 --min-frames 1 --include-cpu --keep-names"
TRAIN = (
    f"train --store store --backbone gru --name two {TINY.replace('--max-steps 2', '--epochs 3')} --hidden-sizes 8,8"
)


@dataclass(frozen=True)
class Verb:
    """One command that writes."""

    name: str
    begin: Callable[[Path, Path], None]
    """Make the folder; its second argument is the part's folder of things made once."""
    words: str
    left: Callable[[Path], None]
    again: Callable[[Path], list[str]]
    outcome: Callable[[Path], str]


def sound(store: Path) -> None:
    """Raise WrongError unless the store, if there is one, passes verify."""
    if not (store / "manifest.json").exists():
        return
    done = run("verify", "--store", str(store), "--json", cwd=store.parent)
    found = (
        json.loads(done.out.splitlines()[-1])
        if done.out
        else {"checks": [{"name": "?", "ok": False, "detail": done.err}]}
    )
    bad = [check for check in found["checks"] if not check["ok"] and "too few to tell" not in check["detail"]]
    if bad:
        raise WrongError("loss", f"verify: {bad[0]['name']}: {bad[0]['detail'][:200]}")


def tidy(store: Path) -> None:
    """Raise WrongError if a finished store holds files that nothing lists."""
    listed = {shard["path"] for shard in json.loads((store / "manifest.json").read_text())["shards"]}
    found = {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()}
    if not found - listed <= STORE_FILES:
        raise WrongError("litter", f"left for ever: {sorted(found - listed - STORE_FILES)[:3]}")


def _digest(store: Path) -> str:
    sound(store)
    tidy(store)
    return str(json.loads((store / "manifest.json").read_text())["digest"])


def _sha(*paths: Path) -> str:
    return " ".join(hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else "none" for path in paths)


def _with_store(work: Path, made: Path) -> None:
    store = small_store(made / "store-of-runs", games=12)
    shutil.copytree(store, work / "store")
    shutil.copytree(store.parent / "source", work / "source")


def _without_store(work: Path, made: Path) -> None:
    _with_store(work, made)
    shutil.rmtree(work / "store")


def _half_store(work: Path, made: Path) -> None:
    """A store of half of the games."""
    _without_store(work, made)
    half = work / "half"
    half.mkdir()
    for path in sorted((work / "source").iterdir())[:6]:
        path.rename(half / path.name)
    run(*INGEST.replace("source", "half").split(), cwd=work, codes=(0,))
    for path in half.iterdir():
        path.rename(work / "source" / path.name)


def _with_run(work: Path, made: Path) -> None:
    shutil.copytree(small_run(made), work / "runs" / "one")
    for name in ("policy.onnx", "policy.int8.onnx"):
        (work / "runs" / "one" / name).unlink(missing_ok=True)


def _at_least_half(work: Path) -> None:
    sound(work / "store")
    manifest = json.loads((work / "store" / "manifest.json").read_text())
    if manifest["replays"] < 6:
        raise WrongError("loss", f"six games were in the store, {manifest['replays']} are left")


def _readable_run(work: Path) -> None:
    """Whatever is in the run folder can be read, or is refused in a sentence."""
    if (work / "runs" / "two" / "config.json").exists():
        run("eval", "--policy", "runs/two", "--store", "store", "--allow-seen", cwd=work, codes=(0, 1))


def _train_again(work: Path) -> list[str]:
    folder = work / "runs" / "two"
    if (folder / "last.state.pt").exists():
        return [f"{TRAIN} --resume"]
    shutil.rmtree(folder, ignore_errors=True)
    return [TRAIN]


def _graph(work: Path) -> str:
    run("play", "--policy", "runs/one", "--check", cwd=work)
    files = {path.name for path in (work / "runs" / "one").iterdir()}
    if any(name.endswith(".tmp") for name in files):
        raise WrongError("litter", f"left for ever: {sorted(files)}")
    return _sha(work / "runs" / "one" / "policy.onnx")


ARENA = "arena runs/one --games 12 --seconds 3 --save-replays saved"


def _whole_games(work: Path) -> None:
    """Whatever was saved is a whole replay, and no second arena writes between them; then they are put away."""
    saved = sorted((work / "saved").glob("*.slp"))
    for path in saved:
        parsed = parse_columns(path, rollback="last")
        if parsed.repaired or parsed.end_method is None:
            raise WrongError("loss", f"{path.name}: half a replay ({parsed.repaired})")
    if saved and "give another folder" not in run(*ARENA.split(), cwd=work, codes=(2,)).err:
        raise WrongError("message", "a second arena into the same folder does not say what to do")
    shutil.rmtree(work / "saved", ignore_errors=True)


def _saved(work: Path) -> str:
    found = sorted((work / "saved").iterdir())
    if any(path.suffix != ".slp" for path in found):
        raise WrongError("litter", f"left for ever: {[path.name for path in found if path.suffix != '.slp']}")
    return f"{len(found)} {_sha(*found)}"


def _copied(work: Path) -> str:
    return _digest(work / "away" / "store") + _sha(work / "away" / "store" / "manifest.json")


VERBS = {
    verb.name: verb
    for verb in (
        Verb("ingest", _without_store, INGEST, lambda w: sound(w / "store"), lambda w: [INGEST], lambda w: _digest(w / "store")),
        Verb("ingest more", _half_store, INGEST, _at_least_half, lambda w: [INGEST], lambda w: _digest(w / "store")),
        Verb(
            "rebuild", _with_store, f"{INGEST} --rebuild", lambda w: sound(w / "store"), lambda w: [f"{INGEST} --rebuild"],
            lambda w: _digest(w / "store"),
        ),
        Verb(
            "encode", _with_store, "encode --store store --codec joint", lambda w: sound(w / "store"),
            lambda w: ["encode --store store --codec joint"], lambda w: _digest(w / "store"),
        ),
        Verb(
            "quality", _with_store, "encode --store store --quality", lambda w: sound(w / "store"),
            lambda w: ["encode --store store --quality"], lambda w: _digest(w / "store"),
        ),
        Verb(
            "train", _with_store, TRAIN, _readable_run, _train_again,
            lambda w: _sha(w / "runs" / "two" / "best.safetensors", w / "runs" / "two" / "last.safetensors"),
        ),
        Verb("export", _with_run, "export runs/one", lambda w: None, lambda w: ["export runs/one"], _graph),
        Verb("arena", _with_run, ARENA, _whole_games, lambda w: [ARENA], _saved),
        Verb(
            "sync", _with_store, "sync up store --remote away", lambda w: sound(w / "store"),
            lambda w: ["sync up store --remote away"], _copied,
        ),
    )
}  # fmt: skip


def command_process(words: list[str], work: Path) -> Any:
    """A process that runs ``exphil WORDS`` in ``work``, in a session of its own, and is not started yet."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [
            "ingest.jobs.pipeline",
            "dataset.store.reencode",
            "train.fit.train_run",
            "train.export.export",
            "play.arena.arena",
        ]
    )
    return context.Process(target=_command, args=(words, str(work)))


def _command(words: list[str], work: str) -> None:
    with suppress(PermissionError):
        os.setsid()
    os.chdir(work)
    said = os.open(Path(work).parent / "said.txt", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(said, 1)
    os.dup2(said, 2)
    jobs = import_module("ingest.jobs.pipeline")
    jobs.MIN_JOB_BYTES = jobs.MAX_JOB_BYTES = 1  # a job a game: commits are dense
    import_module("ingest.jobs.commit").COMMIT_SHARE = 1 / 8
    sys.argv = ["exphil", *words]
    import_module("exphil").main()


def ended(process: Any, limit_s: float, kill_after_s: float | None = None) -> tuple[bool, float]:
    """Wait for a started process, or kill it and all it started; whether it was killed, and the seconds it had."""
    begin = time.monotonic()
    process.join(limit_s if kill_after_s is None else kill_after_s)
    is_killed = process.is_alive()
    if is_killed:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.join()
    return is_killed, time.monotonic() - begin


def said(work: Path) -> str:
    """What the newest process in ``work`` printed."""
    path = work.parent / "said.txt"
    return path.read_text(errors="replace") if path.exists() else ""
