"""``exphil doctor``: what is installed and works here, and how fast this machine parses, loads, trains and steps.

Each library is imported in a process of its own, so one whose import crashes is reported beside the others. A library that is
missing cannot be used, which is no fault; one that is installed and cannot be imported is. Speeds are measured on generated duels
in a temporary folder. Each part works on what the part before it made, so after a failure the rest is skipped.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

import typer

from dataset.reporting.terminal import printable
from dataset.version import VERSION
from train.commands.options import AsJson, say

EXTRAS: dict[str, tuple[str, ...]] = {
    "core": (
        "filelock",
        "fsspec",
        "numpy",
        "polars",
        "pyarrow",
        "rich",
        "ruamel.yaml",
        "typer",
        "xxhash",
        "zstandard",
    ),
    "ingest": ("peppi-py",),
    "train": ("onnx", "onnxruntime", "onnxscript", "peppi-py", "safetensors", "torch", "wandb"),
    "play": ("melee", "onnxruntime"),
    "openvino": ("melee", "onnxruntime", "openvino"),
    "arena": ("choix", "melee", "onnxruntime"),
    "s3": ("s3fs",),
    "7z": ("py7zr",),
    "ray": ("peppi-py", "ray"),
    "hub": ("huggingface-hub",),
    "umi": ("umi-melee",),
}
"""The libraries that ``pyproject.toml`` lists: those that every installation has, then those of each extra."""

SIMULATOR = "melee-sim-light"
"""What ``exphil arena --world melee-sim`` plays in. No extra contains it, because it is on no registry."""

_MODULES = {"umi-melee": "umi", SIMULATOR: "melee_sim"}
"""Modules of libraries that are not called like them."""

_FORKS = {"peppi-py": "peppi-py-vladfi"}
"""Packages that provide the same module as a library."""

_QUESTIONS = {
    "torch": "import json, torch; c = torch.cuda; n = c.device_count() if c.is_available() else 0; print(json.dumps({"
    "'instructions': torch.backends.cpu.get_cpu_capability(), 'cuda': [{'name': c.get_device_name(i), "
    "'memory_bytes': c.mem_get_info(i)[1], 'free_bytes': c.mem_get_info(i)[0]} for i in range(n)]}))",
    "openvino": "import json, openvino; print(json.dumps(openvino.Core().available_devices))",
}
"""Programs that ask a library for its devices; the others are only imported."""

IMPORT_TIMEOUT_S = 120.0
WIDTH = 100

SPEEDS = {
    "parse_frames_per_cpu_second": ("ingest", "frames per CPU-second", "ingest"),  # window shards included
    "loader_windows_per_second": ("loader", "windows per second", "ingest"),  # shuffled, one predicted frame each
    "train_frames_per_second": ("training", "supervised frames per second, a GRU twice 128 wide", "train"),
    "step_ms_p50": ("step", "ms, that GRU in PyTorch, median", "train"),
}
"""The name, unit and extra of every figure, in the order in which they are measured."""

NUM_DUELS, DUEL_FRAMES = 12, 2400
"""Enough for 16 lanes, and each split gets some of these duels."""
LOADER_SECONDS = 1.0
LANES, WINDOW = 16, 64
WARM_STEP_FRAMES, STEP_FRAMES = 50, 200


def doctor(
    speed: Annotated[bool, typer.Option("--speed/--no-speed", help="Also measure speed for about ten seconds.")] = True,
    as_json: AsJson = False,
) -> None:
    """Show versions, extras, devices, free space, and how fast this machine parses, loads, trains and steps.

    What is missing is listed with the command that adds it. Exits 1 only if something installed is broken.
    """
    facts = diagnose()
    speeds: dict[str, Any] | None = None
    if speed:
        say("measuring for about ten seconds")
        speeds = measure_speeds(usable_extras(facts))
    extras = facts["extras"].values()
    is_sound = not (facts["extras"]["core"]["missing"] or any(extra["broken"] for extra in extras))
    is_sound = is_sound and facts["simulator"]["fault"] is None
    is_sound = is_sound and not (speeds and speeds["failed"])
    if as_json:
        typer.echo(json.dumps({"ok": is_sound, **facts, "speeds": speeds}))
    else:
        typer.echo(printable("\n".join([*_fact_lines(facts), *_speed_lines(speeds)])))
    raise typer.Exit(0 if is_sound else 1)


@dataclass(frozen=True, kw_only=True)
class Library:
    """One library."""

    name: str
    version: str | None
    """``None``: not installed."""
    fault: str | None = None
    """What its import said before it failed."""
    answer: Any = None
    """To its question."""


def diagnose() -> dict[str, Any]:
    """Look at everything, as ``--json`` shows it; a few seconds, most of them in imports."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    names = sorted({SIMULATOR, *(name for listed in EXTRAS.values() for name in listed)})
    with ThreadPoolExecutor(cpus) as pool:
        libraries = dict(zip(names, pool.map(look, names), strict=True))
    total, free = _memory()
    return facts_of(libraries, cpus) | {
        "memory_bytes": total,
        "memory_free_bytes": free,
        "disk_free_bytes": shutil.disk_usage(Path.cwd()).free,
    }


def _version_of_fork(name: str) -> str:
    """What stands in a library's place; a module put on the path by hand has no version."""
    try:
        return f"{version(_FORKS[name])} ({_FORKS[name]})"
    except (KeyError, PackageNotFoundError):
        return "unknown"


def look(name: str) -> Library:
    """A library's version, and what its import or its question gives."""
    module = _MODULES.get(name, name.replace("-", "_"))
    if find_spec(module) is None:
        return Library(name=name, version=None)
    try:
        found = version(name)
    except PackageNotFoundError:
        found = _version_of_fork(name)
    program = [sys.executable, "-W", "ignore", "-c", _QUESTIONS.get(name, f"import {module}")]
    try:
        done = subprocess.run(program, capture_output=True, text=True, timeout=IMPORT_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return Library(name=name, version=found, fault=f"not imported within {IMPORT_TIMEOUT_S:.0f} s")
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"the import ended with {done.returncode}"]
        return Library(name=name, version=found, fault=said[-1])
    answer = json.loads(done.stdout.splitlines()[-1]) if name in _QUESTIONS else None
    return Library(name=name, version=found, answer=answer)


def facts_of(libraries: Mapping[str, Library], cpus: int) -> dict[str, Any]:
    """Versions, extras and devices, from what each library said and the number of usable CPUs."""
    torch, openvino = (libraries[name].answer for name in ("torch", "openvino"))
    simulator = libraries[SIMULATOR]
    return {
        "versions": {"exphil": VERSION, "python": platform.python_version(), "system": platform.platform()},
        "libraries": {name: library.version for name, library in sorted(libraries.items())},
        "extras": {extra: _extra_state(extra, [libraries[name] for name in names]) for extra, names in EXTRAS.items()},
        "simulator": {"version": simulator.version, "fault": simulator.fault},
        "devices": {"cpus": cpus, **(torch or {"instructions": None, "cuda": []}), "openvino": openvino or []},
    }


def _extra_state(extra: str, libraries: Sequence[Library]) -> dict[str, Any]:
    missing = [library.name for library in libraries if library.version is None]
    broken = {library.name: library.fault for library in libraries if library.fault is not None}
    install = "pip install exphil" if extra == "core" else f"pip install 'exphil[{extra}]'"
    return {
        "whole": not missing and not broken,
        "missing": missing,
        "broken": broken,
        "install": install if missing else None,
    }


def usable_extras(facts: Mapping[str, Any]) -> list[str]:
    """The extras whose libraries, and those of the core, are installed and can be imported."""
    whole = [extra for extra, state in facts["extras"].items() if state["whole"]]
    return [extra for extra in whole if extra != "core"] if "core" in whole else []


def _memory() -> tuple[int | None, int | None]:
    """All of the machine's memory and what is free, in bytes; only Linux gives the second."""
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if "SC_PHYS_PAGES" in names else None
    source = Path("/proc/meminfo")
    lines = source.read_text(encoding="utf-8").splitlines() if source.is_file() else []
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
    return total, free


def measure_speeds(usable: Collection[str]) -> dict[str, Any]:
    """Every figure of ``SPEEDS``, ``None`` where its extra is not usable or it failed, and why."""
    speeds: dict[str, Any] = dict.fromkeys(SPEEDS)
    skipped: dict[str, str] = {}
    failed: dict[str, str] = {}
    began = time.perf_counter()
    parts: tuple[Callable[[Path], float], ...] = (_parse, _load, _train, _step)
    with tempfile.TemporaryDirectory(prefix="exphil-doctor-") as folder:
        for (name, (_, _, extra)), part in zip(SPEEDS.items(), parts, strict=True):
            if extra not in usable:
                skipped[name] = f"needs exphil[{extra}]"
            elif failed:
                skipped[name] = f"builds on {next(iter(failed))}"
            else:
                try:
                    speeds[name] = part(Path(folder))
                except Exception as error:  # noqa: BLE001  # whatever a library raises is what to report
                    failed[name] = f"{type(error).__name__}: {error}"
    return {**speeds, "seconds": round(time.perf_counter() - began, 1), "skipped": skipped, "failed": failed}


def _parse(folder: Path) -> float:
    from dataset.duels.generate import generate_replay
    from ingest.jobs.pipeline import ingest
    from ingest.options import IngestOptions

    (folder / "duels").mkdir()
    for seed in range(NUM_DUELS):
        generate_replay(folder / "duels" / f"{seed}.slp", seed=seed, frames=DUEL_FRAMES)
    once = IngestOptions(workers=1)
    ingest([folder / "duels" / "0.slp"], folder / "warm", once)
    report = ingest([folder / "duels"], folder / "store", once)
    return report.frames / report.cpu_seconds


def _load(folder: Path) -> float:
    from dataset.store.store import Store
    from dataset.stream.bank import Bank
    from dataset.stream.windows import Windows

    windows = Windows(Bank(Store(folder / "store").packed("train"), None), rows=256, window=WINDOW, delay=0, burn_in=63)
    next(iter(windows.batches(0)))
    count, epoch, began = 0, 1, time.perf_counter()
    while (passed := time.perf_counter() - began) < LOADER_SECONDS:
        count += sum(int((batch.track >= 0).sum()) for batch in windows.batches(epoch))
        epoch += 1
    return count / passed


def _train(folder: Path) -> float:
    from train.config.run_config import DataConfig, OptimConfig, RunConfig
    from train.fit.loop import REPORT_EVERY
    from train.fit.pace import TIMED_STEPS, WARM_STEPS, Stopwatch
    from train.fit.train_run import find_device, train_run
    from train.policy.config import PolicyConfig

    device = find_device("auto")
    steps = WARM_STEPS + TIMED_STEPS if device.type == "cpu" else 2 * REPORT_EVERY
    config = RunConfig(
        policy=PolicyConfig(backbone="gru", hidden_sizes=(128, 128)),
        data=DataConfig(lanes=LANES, window_size=WINDOW),
        optim=OptimConfig(max_steps=steps),
    )
    watch = Stopwatch(time.perf_counter)
    train_run(config, folder / "store", "gru", runs=folder, device=device.type, callbacks=[watch], compile_mode="off")
    return LANES * WINDOW / watch.seconds_per_step


def _step(folder: Path) -> float:
    import numpy as np
    import torch

    from dataset.features.layout import FEATURES, INDICES
    from train.runs.checkpoint import load_policy

    loaded = load_policy(folder / "gru")
    policy, threads = loaded.policy, torch.get_num_threads()
    num_components = len(loaded.codec.components)
    continuous = torch.randn(1, len(FEATURES))
    indices = torch.zeros(1, len(INDICES), dtype=torch.int64)
    previous = torch.zeros(1, num_components, dtype=torch.int64)
    state, times = policy.initial_state(1), []
    torch.set_num_threads(1)
    with torch.inference_mode():
        for noise in torch.rand(WARM_STEP_FRAMES + STEP_FRAMES, 1, num_components):
            began = time.perf_counter()
            previous, state = policy.step(continuous, indices, previous, torch.zeros(1), noise, state)
            times.append((time.perf_counter() - began) * 1000)
    torch.set_num_threads(threads)
    return float(np.median(times[WARM_STEP_FRAMES:]))


def _fact_lines(facts: dict[str, Any]) -> list[str]:
    """What was found, for people."""
    lines = ["exphil {exphil}, Python {python}, {system}".format(**facts["versions"])]
    for extra, state in facts["extras"].items():
        lacking = f"lacks {', '.join(state['missing'])}: {state['install']}" if state["missing"] else "BROKEN"
        lines.append(f"{extra:<10} {'ok' if state['whole'] else lacking}")
        lines += [f"{'':10} {name} {facts['libraries'][name]}: {fault}" for name, fault in state["broken"].items()]
    simulator = facts["simulator"]
    found = simulator["version"] or "not installed: exphil arena --world melee-sim needs it and says where to get it"
    lines.append(f"melee-sim  {found if simulator['fault'] is None else 'BROKEN ' + simulator['fault']}")
    libraries = ", ".join(f"{name} {version}" for name, version in facts["libraries"].items() if version)
    lines.append(
        fill(libraries, WIDTH, initial_indent="libraries  ", subsequent_indent=" " * 11, break_on_hyphens=False)
    )
    devices = facts["devices"]
    lines.append(
        f"CPU        {devices['cpus']} usable, {devices['instructions'] or 'instruction sets unknown without torch'}"
    )
    for card in devices["cuda"]:
        lines.append(f"CUDA       {card['name']}, {_gib(card['free_bytes'])} of {_gib(card['memory_bytes'])} free")
    if devices["openvino"]:
        lines.append(f"OpenVINO   {', '.join(devices['openvino'])}")
    lines.append(f"memory     {_gib(facts['memory_free_bytes'])} of {_gib(facts['memory_bytes'])} free")
    lines.append(f"disk       {_gib(facts['disk_free_bytes'])} free here")
    return lines


def _speed_lines(speeds: dict[str, Any] | None) -> list[str]:
    if speeds is None:
        return []
    lines = []
    for key, (name, unit, _) in SPEEDS.items():
        if speeds[key] is not None:
            lines.append(f"{name:<10} {speeds[key]:,.{3 if unit.startswith('ms') else 0}f} {unit}")
        else:
            lines.append(f"{name:<10} " + (speeds["skipped"].get(key) or f"BROKEN: {speeds['failed'][key]}"))
    return lines


def _gib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**30:,.1f} GiB"
