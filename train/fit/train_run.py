"""One training from config and store to run folder: load the data, check it for leaks, fit the baselines, run the loop.

``--resume`` requires the same settings and replays as before; with others it would be a different run. The device and whether
to compile may change, because they change results by no more than rounding.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from dataset.errors import ConfigError, require_known
from dataset.io.runs import RUNS
from dataset.version import VERSION
from train.callbacks import Callback
from train.config.run_config import RunConfig, differing, from_json, to_json
from train.data.batches import measure_leak, require_no_leak
from train.data.load import load_data
from train.distributed import Ranks, interruptions, joined
from train.fit.loop import Fit
from train.measure.lookup import count_transitions
from train.policy.components import Components, fit_persistence
from train.runs.checkpoint import inherited, load_initial, require_unseen, run_record
from train.runs.run_folder import LOOKUP, load_record, save_record

COMPILE = ("auto", "off", "on")


def train_run(
    config: RunConfig,
    store: Path | str,
    name: str,
    *,
    runs: Path = RUNS,
    device: str = "cpu",
    callbacks: Iterable[Callback] = (),
    is_resumed: bool = False,
    tolerate_bad_shards: int = 0,
    init_from: Path | str | None = None,
    compile_mode: str = "auto",
    num_workers: int = 1,
) -> dict[str, Any]:
    """Train one policy into ``runs/name``; returns the run's summary. Only the first process notifies ``callbacks``.

    Raises:
        ConfigError: the run exists already, or is resumed with other settings or replays; a split is empty.
        SchemaError: the store is damaged, or its targets are misaligned.
    """
    if Path(name).name != name:
        raise ConfigError(
            f"--name '{name}': must be one folder name under {runs}, found a path; give the parent folder as --runs"
        )
    run = runs / name
    _require_run_folder(run, is_resumed)
    if is_resumed and init_from is not None:
        raise ConfigError(f"--init-from {init_from}: begins a new run, found --resume; leave one of them out")
    if config.optim.layer_lr_decay != 1.0 and init_from is None and not is_resumed:
        raise ConfigError(
            f"--layer-lr-decay {config.optim.layer_lr_decay}: spares layers that another run has trained, found no "
            "--init-from; add it, or leave --layer-lr-decay out"
        )
    target = find_device(device)
    require_precision(config.optim.precision, target)
    is_compiled = should_compile(compile_mode, target)
    initial = None if init_from is None else load_initial(init_from, config)
    data = load_data(store, config, tolerate_bad_shards)
    if initial is not None:
        require_unseen(data.val.ids, initial)
    sizes = Components.of(config.policy.controller_codec).sizes
    leak = measure_leak(data.train, config)
    note = require_no_leak(leak, data.train.num_frames)
    persistence = fit_persistence(data.train, sizes, config.data.delay)
    with interruptions() as is_stopped, joined(target) as (ranks, own):
        first_callbacks = tuple(callbacks) if ranks.is_first else ()
        fit = Fit(
            config,
            data,
            persistence,
            run,
            device=own,
            callbacks=first_callbacks,
            is_stopped=is_stopped,
            ranks=ranks,
            is_compiled=is_compiled,
            num_workers=num_workers,
        )
        if initial is not None:
            fit.begin_from(initial.policy)
        record = run_record(
            config,
            init_from=None if initial is None else inherited(initial),
            parameters=sum(parameter.numel() for parameter in fit.policy.parameters()),
            inputs=fit.policy.embed.layout(),
            data=data.record(),
            persistence=persistence.to_json(),
            leak={"status": leak.status, "own_row": leak.own_row, "row_before": leak.row_before, "onsets": leak.onsets},
            **origin(),
        )
        _open_run(run, record, fit, is_resumed, ranks)
        if ranks.is_first:
            count_transitions(data.train, sizes, config.data.delay).save(run / LOOKUP)
        skipped = data.skipped_shards
        notes = [note] if note is not None else []
        if skipped:
            notes.append(f"{len(skipped)} bad shards were skipped, their replays are missing: {', '.join(skipped)}")
        for callback in first_callbacks:
            callback.on_start(run, record)
            for line in notes:
                callback.on_note(line)
        return fit.fit() | {"skipped_shards": list(skipped)}


def find_device(name: str) -> torch.device:
    """The device that ``--device`` means; ``auto`` is CUDA where there is one, else the CPU."""
    require_known("--device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: needs a CUDA device and a PyTorch built for it, found none; use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def require_precision(precision: str, device: torch.device) -> None:
    """Refuse bf16 on a GPU that does not support it."""
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise ConfigError(
            f"--precision bf16: needs a device that computes in it, found {torch.cuda.get_device_name(device)}; use fp32"
        )


def should_compile(asked: str, device: torch.device) -> bool:
    """Whether to use ``torch.compile``: with ``auto``, on CUDA if Triton and a C compiler are present, and never on a CPU.

    Raises:
        ConfigError: there is no such choice, or it is ``on`` and the device's compiler is not installed.
    """
    require_known("--compile", asked, COMPILE)
    if asked == "off" or (asked == "auto" and device.type != "cuda"):
        return False
    missing = _missing_compiler(device)
    if asked == "on" and missing is not None:
        raise ConfigError(
            f"--compile on: needs {missing} for {device.type}, found none; install it, or use --compile off"
        )
    return missing is None


def _missing_compiler(device: torch.device) -> str | None:
    """What ``torch.compile`` needs for the device and this machine does not have."""
    if device.type != "cuda":
        compiler = os.environ.get("CXX", "g++")
        return None if shutil.which(compiler) or shutil.which("clang++") else f"a C++ compiler ({compiler})"
    if not find_spec("triton"):
        return "Triton"
    compilers = (os.environ.get("CC", "gcc"), "cc", "clang")  # Triton builds its launchers with one of them
    return None if any(map(shutil.which, compilers)) else "a C compiler (gcc)"


def origin() -> dict[str, Any]:
    """Which code made a run: its commit, if it is a git checkout, and the versions of its libraries."""
    libraries = {name: version(name) for name in ("torch", "numpy")}
    return {
        "commit": _commit(Path(__file__).parent),
        "versions": {"exphil": VERSION, **libraries, "python": platform.python_version()},
    }


def _commit(folder: Path) -> str | None:
    """The commit of a checkout; ``None`` for an installed package or where there is no git."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None


def _require_run_folder(run: Path, is_resumed: bool) -> None:
    exists = (run / "config.json").is_file()
    if exists and not is_resumed:
        raise ConfigError(
            f"run {run}: a new run needs a name of its own, found a run there; add --resume, or choose another --name"
        )
    if is_resumed and not exists:
        raise ConfigError(f"run {run}: --resume needs a run that was begun, found none; leave --resume out")


def _open_run(run: Path, record: Mapping[str, Any], fit: Fit, is_resumed: bool, ranks: Ranks) -> None:
    ranks.wait()  # until every rank has checked that there is no run yet
    if not is_resumed:
        if ranks.is_first:
            run.mkdir(parents=True, exist_ok=True)
        fit.save()  # before the record, whose presence makes this a run: so every run can be resumed
        if ranks.is_first:
            save_record(run, record)
        return
    before = load_record(run)
    others = differing(to_json(from_json(RunConfig, before["config"])), record["config"])
    if _replays(before) != _replays(record):
        others.append("data")
    if others:
        raise ConfigError(
            f"run {run}: --resume continues with the same settings and replays, found other {', '.join(others)}; "
            "give the same ones, or train a new run"
        )
    fit.resume()


def _replays(record: Mapping[str, Any]) -> tuple[Any, Any]:
    return record["data"]["train"]["ids"], record["data"]["val"]["ids_sha256"]
