"""From a config and a store to a trained run folder: everything around the loop, in the order in which it happens.

Data is loaded and checked for leaks, persistence is fitted, the run folder is written, then the loop trains. The surprise:
``--resume`` goes on only with the very settings and replays of before, since otherwise it would be another run.
"""

import platform
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from dataset.codecs.registry import get_codec
from dataset.errors import ConfigError, require_known
from dataset.version import VERSION
from train.callbacks.base import Callback
from train.config.run_config import RunConfig, from_json, to_json
from train.data.leak import measure_leak, require_no_leak
from train.data.load import Data, load_data
from train.data.sampling import plain_lanes
from train.distributed import Ranks, joined
from train.fit.compiler import should_compile
from train.fit.loop import Fit
from train.measure.run_lookup import keep_lookup
from train.policy.components import Components
from train.policy.persistence import fit_persistence
from train.run_folder import RUNS, load_record, save_record
from train.runs.checkpoint import run_record
from train.runs.init_from import inherited, load_initial, require_unseen


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
    """Train one policy into ``runs/name``; returns the run's summary.

    Raises:
        ConfigError: the run exists already, or is resumed with other settings or replays; a split is empty.
        SchemaError: the store is damaged, or its targets are misaligned.
    """
    if Path(name).name != name:
        raise ConfigError(
            f"--name '{name}': is one folder under {runs}, found a path; name it without, and say where by --runs"
        )
    run = runs / name
    _require_run_folder(run, is_resumed)
    if is_resumed and init_from is not None:
        raise ConfigError(f"--init-from {init_from}: begins a new run, found --resume; leave one of them away")
    if config.optim.layer_lr_decay != 1.0 and init_from is None and not is_resumed:
        raise ConfigError(
            f"--layer-lr-decay {config.optim.layer_lr_decay}: spares layers that another run has trained, found no "
            "--init-from; add it, or leave --layer-lr-decay away"
        )
    target = find_device(device)
    require_precision(config.optim.precision, target)
    is_compiled = should_compile(compile_mode, target)
    initial = None if init_from is None else load_initial(init_from, config)
    data = load_data(
        store,
        config.policy.codec,
        config.policy.features,
        config.data.character,
        tolerate_bad_shards,
        max_replays=config.data.max_replays,
        seed=config.seed,
        weight_by=config.loss.weight_by,
    )
    if initial is not None:
        require_unseen(data.val.ids, initial)
    codec = get_codec(config.policy.codec)
    leak = measure_leak(plain_lanes(data.train, config), codec)
    note = require_no_leak(leak, data.train.num_frames)
    persistence = fit_persistence(data.train, Components.of(codec).sizes, config.data.delay)
    with interruptions() as is_stopped, joined(target) as (ranks, own):
        told = tuple(callbacks) if ranks.is_first else ()
        fit = Fit(
            config,
            data,
            persistence,
            run,
            device=own,
            callbacks=told,
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
            keep_lookup(run, data.train, Components.of(codec).sizes, config)
        for callback in told:
            callback.on_start(run, record)
            for line in (note, _skipped(data)):
                if line is not None:
                    callback.on_note(line)
        return fit.fit() | {"skipped_shards": list(data.skipped_shards)}


def _skipped(data: Data) -> str | None:
    """What to say of shards that were left out."""
    if not data.skipped_shards:
        return None
    return f"{len(data.skipped_shards)} bad shards were skipped, their replays are missing: {', '.join(data.skipped_shards)}"


def find_device(name: str) -> torch.device:
    """The device that ``--device`` means; ``auto`` is CUDA where there is one, else the CPU."""
    require_known("--device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: needs a CUDA device and a PyTorch built for it, found none; use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def require_precision(precision: str, device: torch.device) -> None:
    """Refuse to compute in what the device does not have."""
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise ConfigError(
            f"--precision bf16: needs a device that computes in it, found {torch.cuda.get_device_name(device)}; use fp32"
        )


def origin() -> dict[str, Any]:
    """Which code made a run: the commit it lies in, if any, and versions."""
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
            f"run {run}: a new run needs a name of its own, found a run there; add --resume or another --name"
        )
    if is_resumed and not exists:
        raise ConfigError(f"run {run}: --resume needs a run that was begun, found none; leave --resume away")


def _open_run(run: Path, record: Mapping[str, Any], fit: Fit, is_resumed: bool, ranks: Ranks) -> None:
    ranks.wait()  # a folder that the first rank makes is none that the others should refuse
    if not is_resumed:
        if ranks.is_first:
            run.mkdir(parents=True, exist_ok=True)
        fit.save()  # before the record that makes it a run: whatever kills it later, it can be resumed
        if ranks.is_first:
            save_record(run, record)
        return
    before = load_record(run)
    differing = [
        *(
            f"{part}.{key}"
            for part, key in _differing(to_json(from_json(RunConfig, before["config"])), record["config"])
        ),
        *(key for key in ("data",) if _identity(before) != _identity(record)),
    ]
    if differing:
        raise ConfigError(
            f"run {run}: --resume goes on with the same settings and replays, found other {', '.join(differing)}; "
            "give the same ones, or train a new run"
        )
    fit.resume()


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str]]:
    def flat(config: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
        parts = {part: values if isinstance(values, dict) else {"": values} for part, values in config.items()}
        return {
            (part, key): list(value) if isinstance(value, tuple) else value
            for part, values in parts.items()
            for key, value in values.items()
        }

    old, new = flat(before), flat(now)
    return [key for key in new if old.get(key) != new[key]]


def _identity(record: Mapping[str, Any]) -> tuple[Any, Any]:
    return record["data"]["train"]["ids"], record["data"]["val"]["ids_sha256"]


@contextmanager
def interruptions() -> Iterator[Callable[[], bool]]:
    """Yield whether SIGTERM or Ctrl-C was received; a second signal acts as it always does."""
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
