"""The games of a championship session: frames in, controllers out, a row for each game and one inference for all.

The league delays, as netplay does: what is answered to frame t is pressed on frame t+1+d, where d is what the policy was
trained with. So an agent answers with its newest decision, which is also the p of its next frame, and keeps nothing back.

A bot's answers depend on the seed of the session and on the frames of a game so far, and on nothing else: not on the handle
of the game, its lane, or which other games there are.

This module, and whatever it imports, is copied into the zip of an entry. It needs numpy and ONNX Runtime only.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.codecs.registry import get_codec
from dataset.features.encoder import encode
from dataset.melee.controller import BUTTONS, STICK_RANGE, TRIGGER_RANGE, Controllers
from play.agent.agent import SMALLEST_NOISE, Agent, Batch
from play.agent.simulator import UMI, Records, no_items, raw_columns
from play.runtime.onnx_stepper import OnnxStepper
from play.runtime.slots import ROWS, Slots, SlotStepper

_BITS = np.array([bit for _, bit in BUTTONS], np.int32)


class Games:
    """The games of a session, each in a slot.

    Args:
        folder: holds the exported graph and the record of a run.
        num_slots: games that there may be.
        seed: of the session.
        num_threads: inferences at a time.

    Raises:
        CheckpointError: the graph is not one that ``exphil export`` wrote.
    """

    def __init__(self, folder: Path, num_slots: int, seed: int, num_threads: int = 1) -> None:
        record = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self._codec, self._delay = get_codec(record["codec"]), record["config"]["data"]["delay"]
        stepper = OnnxStepper(folder / "policy.onnx", num_players=ROWS)
        num_rows = ROWS
        if stepper.metadata["precision"] == "int8":  # one scale serves all rows of an inference
            num_rows, stepper = 1, OnnxStepper(folder / "policy.onnx")
        stepper.require(self._codec)
        self._stepper = SlotStepper(stepper, num_rows, num_slots, num_threads)
        self._held = no_items(num_slots)
        self._seed = seed
        self._agents = [self._new_agent() for _ in range(num_slots)]

    def answer(self, frames: Records, slots: Slots, is_first: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Decide on one frame of each of N games.

        Args:
            frames: [N] of ``umi.frame.FRAME``.
            slots: [N] where the games are.
            is_first: [N] whether a game begins with this frame.

        Returns:
            UMI's controllers [N, 13].
        """
        new = slots[is_first]
        self._held[new] = no_items(len(new))
        for slot in new.tolist():
            self._agents[slot] = self._new_agent()
        raw, self._held[slots] = raw_columns(frames, UMI, self._held[slots])
        seen = encode(np.ascontiguousarray(raw.T))
        chosen = [self._agents[slot] for slot in slots.tolist()]
        for (_, course), frame in zip(chosen, frames, strict=True):
            course.see(frame.tobytes())
        self._stepper.choose(slots, is_first)
        agents = [agent for agent, _ in chosen]
        decided = Batch(agents).decide_encoded(seen.continuous.T, seen.indices.T)
        return as_umi(np.stack([agent.commit(classes) for agent, classes in zip(agents, decided, strict=True)]))

    def _new_agent(self) -> "tuple[Agent, Course]":
        agent = Agent(self._stepper, self._codec, delay=self._delay, online_delay=self._delay)
        course = Course(self._seed, agent.num_components)
        agent.noise = course
        return agent, course


class Course(Iterator[NDArray[np.float32]]):
    """Noise that follows from a seed and all the frames of a game so far, as hashes of them.

    Args:
        seed: of the session.
        num_components: numbers a frame.
    """

    def __init__(self, seed: int, num_components: int) -> None:
        self._num_components = num_components
        self._hash: Any = hashlib.shake_128(str(seed).encode())

    def see(self, frame: bytes) -> None:
        """Take in the next frame of the game."""
        self._hash.update(frame)

    def __next__(self) -> NDArray[np.float32]:
        """Uniforms [K] in (0, 1) of the newest frame."""
        bits = np.frombuffer(self._hash.digest(4 * self._num_components), "<u4")
        return (bits * 2.0**-32).astype(np.float32).clip(SMALLEST_NOISE, 1 - SMALLEST_NOISE)


def as_umi(controllers: Controllers) -> NDArray[np.float32]:
    """Controllers int32 [N, 6] as UMI's float32 [N, 13].

    These are main x and y, c x and y (0 to 1), the shoulder (0 to 1), and the eight buttons. A digital press of L or R carries
    the shoulder with it, as it does on a pad.
    """
    sticks = controllers[:, :4] / (2 * STICK_RANGE) + 0.5
    shoulder = controllers[:, 4:5] / TRIGGER_RANGE
    pressed = (controllers[:, 5:6] & _BITS) != 0
    return np.concatenate([sticks, shoulder, pressed], axis=1).astype(np.float32)
