"""Runs of strangers: a spoiled ``config.json``, weights, training state, metrics or graph, read by whoever takes a run.

``Runs`` spoils what PyTorch reads, ``Graphs`` what ONNX Runtime plays. All of it is loaded in this process.
"""

import json
import random
import shutil
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dataset.errors import ExphilError
from tests.hardening.campaign import Case, Part
from tests.hardening.shell import fresh, nothing_else_touched, run, small_store
from tests.hardening.spoil import hardly_json, spoiled

TINY = "--hidden-sizes 8,8 --batch-size 2 --window-size 64 --max-steps 2 --train-character mewtwo --device cpu"
SHARE_OF_COMMANDS = 0.15
"""Of the cases go through a whole command; the others only load the run."""


def small_run(folder: Path) -> Path:
    """A trained and exported run, made once."""
    made = folder / "small-run" / "runs" / "one"
    store = small_store(folder / "store-of-runs", games=12)
    if not (made / "policy.onnx").exists():
        made.parents[1].mkdir(parents=True, exist_ok=True)
        run(
            "train",
            "--store",
            str(store),
            *TINY.split(),
            "--backbone",
            "gru",
            "--name",
            "one",
            cwd=made.parents[1],
            codes=(0,),
        )
        run("export", "runs/one", cwd=made.parents[1], codes=(0,))
    return made


class _OfRuns(Part):
    """A copy of a run, and what reads it."""

    must_fit = False
    limit_s = 300.0

    def prepare(self) -> None:
        self.whole = small_run(self.scratch.parent)
        self.store = small_store(self.scratch.parent / "store-of-runs", games=12)
        self.run = self.scratch / "runs" / "one"

    def spoil(self, case: Case) -> None:
        """Make ``self.run`` what the case says."""
        raise NotImplementedError

    def read(self, case: Case) -> None:
        """Use it."""
        raise NotImplementedError

    def attempt(self, cases: Sequence[Case]) -> None:
        """Spoil a copy, and read it."""
        for case in cases:
            fresh(self.whole, self.run)
            self.spoil(case)
            with nothing_else_touched(self.scratch, self.run):
                try:
                    self.read(case)
                except ExphilError as error:
                    self.tally[type(error).__name__] += 1
                else:
                    self.tally["read"] += 1

    def write(self, case: Case, folder: Path) -> str:
        """The spoiled run."""
        fresh(self.whole, self.run)
        self.spoil(case)
        shutil.copytree(self.run, folder / "run")
        place = folder / "run"
        return f"exphil eval --policy {place} --store STORE; exphil play --policy {place} --stand-in GAME --sync"


class Runs(_OfRuns):
    """Runs whose record, weights, state or metrics were changed."""

    name = "runs"

    def spoil(self, case: Case) -> None:
        """Change one of the run's files."""
        for edit in case.edits:
            dice = random.Random(edit)
            name = dice.choice(("config.json", "config.json", "best.safetensors", "last.state.pt", "metrics.jsonl"))
            path = self.run / name
            if not path.exists():
                continue
            data = path.read_bytes()
            path.write_bytes(self._spoiled(dice, name, data))

    def _spoiled(self, dice: random.Random, name: str, data: bytes) -> bytes:
        if name == "config.json":
            try:
                tree = json.loads(data)
            except (ValueError, RecursionError):
                return data
            if dice.random() < 0.1:
                return hardly_json(dice, json.dumps(tree))
            if dice.random() < 0.25 and isinstance(tree, dict) and isinstance(tree.get("config"), dict):
                policy = tree["config"].get("policy")
                if isinstance(policy, dict):
                    policy[dice.choice(("hidden_sizes", "num_layers", "num_heads", "lookback", "state_size"))] = (
                        dice.choice(
                            ([10**6, 10**6], [30_000, 30_000], 10**9, 10**6, -1, 0, [0], [8], [8] * 2000, 2**63)
                        )
                    )
                return json.dumps(tree).encode()
            return json.dumps(spoiled(dice, tree, str(self.scratch))).encode("utf-8", "surrogatepass")
        if name == "metrics.jsonl":
            text = data.decode("utf-8", "replace")
            lines = text.splitlines() or ["{}"]
            at = dice.randrange(len(lines))
            return ("\n".join(lines[:at]) + "\n").encode() + hardly_json(dice, lines[at]) + b"\n"
        if name.endswith("safetensors"):
            return spoiled_tensors(dice, data)
        return spoiled_plain(dice, data)

    def read(self, case: Case) -> None:
        """Load it to measure, to play, to resume or to go on from; or give it to a command."""
        from play.runtime.load import load
        from play.runtime.rows import load_rows
        from train.runs.checkpoint import load_policy, load_state

        dice = random.Random(case.seed)
        if dice.random() < SHARE_OF_COMMANDS:
            run(*self._command(dice), cwd=self.scratch)
            shutil.rmtree(self.scratch / "runs" / "next", ignore_errors=True)
            return
        kind = dice.randrange(4)
        if kind == 0:
            load_policy(self.run)
        elif kind == 1:
            _, stepper = load(str(self.run), 1.0, dice.choice(("torch", "onnx", "auto")))
            stepper.reset()
        elif kind == 2:
            load_rows(str(self.run), 1.0, dice.choice(("torch", "onnx", "auto")))[1](20).reset()
        else:
            load_state(self.run / "last.state.pt")

    def _command(self, dice: random.Random) -> list[str]:
        run, store = str(self.run), str(self.store)
        return dice.choice(
            (
                ["eval", "--policy", run, "--store", store, "--allow-seen"],
                ["export", run],
                ["arena", run, "--games", "1", "--seconds", "0.2"],
                ["compare", run, run, "--store", store, "--name", "one"],
                ["train", "--store", store, *TINY.split(), "--backbone", "gru", "--name", "one", "--resume"],
            )
        )


def spoiled_plain(dice: random.Random, data: bytes) -> bytes:
    """Bytes flipped, cut, or somebody else's."""
    out = bytearray(data)
    kind = dice.randrange(4)
    if kind == 0 and out:
        for _ in range(dice.randint(1, 10)):
            out[dice.randrange(len(out))] ^= 1 << dice.randrange(8)
    elif kind == 1:
        del out[dice.randrange(len(out) + 1) :]
    elif kind == 2:
        return dice.choice(
            (b"", b"{}", b"\x80\x04K\x01.", b"cos\nsystem\n(S'true'\ntR.", b"PK\x03\x04" + bytes(40), bytes(100))
        )
    else:
        at = dice.randrange(len(out) + 1)
        out[at : at + 8] = dice.randbytes(8)
    return bytes(out)


def spoiled_tensors(dice: random.Random, data: bytes) -> bytes:
    """A safetensors file with another header, or with numbers that are none."""
    kind = dice.randrange(4)
    if kind == 0 or len(data) < 8:
        return spoiled_plain(dice, data)
    size = struct.unpack("<Q", data[:8])[0]
    try:
        head, body = json.loads(data[8 : 8 + size]), bytearray(data[8 + size :])
    except ValueError:
        return data
    if kind == 1:
        numbers = np.frombuffer(body, np.float32, len(body) // 4)
        numbers[:: dice.choice((1, 7, 1001))] = dice.choice((np.nan, np.inf, 3e38))
        return bytes(data[: 8 + size] + body)
    if kind == 2:
        head = spoiled(dice, head)
    else:
        name = dice.choice(list(head))
        if isinstance(head[name], dict) and "shape" in head[name]:
            head[name]["shape"] = dice.choice(([2**40], [2**32, 2**32], [-1], [0], [], [10**6, 10**6]))
    text = json.dumps(head).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", dice.choice((len(text), len(text), 2**63, 0, 10**9))) + text + bytes(body)


class Graphs(_OfRuns):
    """Graphs that were changed."""

    name = "graphs"

    def spoil(self, case: Case) -> None:
        """Change the graph by the case's edits."""
        import onnx

        path = self.run / "policy.onnx"
        model = onnx.load(str(path))
        for edit in case.edits[:-1] if len(case.edits) > 1 else case.edits:
            dice = random.Random(edit)
            dice.choice(GRAPH_EDITS)(dice, model)
        data = model.SerializeToString()
        dice = random.Random(case.edits[-1] if case.edits else 0)
        path.write_bytes(spoiled_plain(dice, data) if len(case.edits) > 1 and dice.random() < 0.3 else data)

    def read(self, case: Case) -> None:
        """Load it as play or the arena does, and step it."""
        from play.agent.agent import Agent, Players
        from play.runtime.load import load, warm_up

        if case.seed % 4 == 0:
            done = run("arena", str(self.run), "--games", "1", "--seconds", "0.2", cwd=self.scratch)
            self.tally[f"arena exit {done.code}"] += 1
            return
        loaded, stepper = load(str(self.run), 1.0, "onnx")
        warm_up(Players(Agent(stepper, loaded.codec, delay=loaded.delay, seed=0)))


def _values(model: Any) -> list[Any]:
    return [*model.graph.input, *model.graph.output]


def _dims(dice: random.Random, model: Any) -> None:
    shape = dice.choice(_values(model)).type.tensor_type.shape
    if shape.dim:
        shape.dim[dice.randrange(len(shape.dim))].dim_value = dice.choice((2**40, 0, -1, 2**62, 7, 10**6))


def _type(dice: random.Random, model: Any) -> None:
    dice.choice(_values(model)).type.tensor_type.elem_type = dice.choice((8, 11, 7, 0, 99, 1, 9))


def _name(dice: random.Random, model: Any) -> None:
    value = dice.choice(_values(model))
    value.name = dice.choice((value.name + "x", "", "temperature", "classes", "next_x"))


def _less(dice: random.Random, model: Any) -> None:
    values = dice.choice((model.graph.input, model.graph.output, model.graph.node, model.graph.initializer))
    if len(values):
        del values[dice.randrange(len(values))]


def _more(dice: random.Random, model: Any) -> None:
    values = dice.choice((model.graph.input, model.graph.output))
    copied = values.add()
    copied.CopyFrom(dice.choice(_values(model)))
    copied.name = dice.choice((copied.name, "another"))


def _about(dice: random.Random, model: Any) -> None:
    for entry in model.metadata_props:
        if dice.random() < 0.4:
            entry.value = dice.choice(("", "x", "2", "null", "[]", "-1", "\u001b[31m", "9" * 50))
    if dice.random() < 0.3:
        del model.metadata_props[:]


def _weights(dice: random.Random, model: Any) -> None:
    for tensor in model.graph.initializer:
        if tensor.raw_data and dice.random() < 0.5:
            count = len(tensor.raw_data)
            tensor.raw_data = dice.choice((b"\xff" * count, bytes(count), tensor.raw_data[:-1], tensor.raw_data * 2))
        if dice.random() < 0.05 and tensor.dims:
            tensor.dims[0] = dice.choice((2**40, -1, 0))
        if dice.random() < 0.05:
            tensor.data_location = 1
            entry = tensor.external_data.add()
            entry.key, entry.value = "location", dice.choice(("../../victim.txt", "/dev/zero", "/etc/passwd"))


def _nodes(dice: random.Random, model: Any) -> None:
    if len(model.graph.node):
        node = dice.choice(list(model.graph.node))
        node.op_type = dice.choice(("Identity", "Nothing", "Loop", "ConstantOfShape", "Relu"))


GRAPH_EDITS: tuple[Callable[[random.Random, Any], None], ...] = (
    _dims,
    _type,
    _name,
    _less,
    _more,
    _about,
    _weights,
    _nodes,
)
