"""What libmelee writes for a decoded controller, read back as Dolphin and the game read it."""

import io
from pathlib import Path

import melee
import numpy as np
import pytest

from dataset.codecs.registry import get_codec
from dataset.melee.controller import BUTTONS, Controllers, game_stick
from play.agent.agent import as_read
from play.agent.libmelee import press
from play.stand_in.pipe_pad import PadState, PipePad

CODEC = get_codec("axis17")


class Pipe:
    """An unmodified ``melee.Controller`` that writes into memory, and Dolphin's end of the pipe."""

    def __init__(self, folder: Path) -> None:
        (folder / "Config").mkdir()
        (folder / "Config" / "Dolphin.ini").write_text("[Core]\n")
        console = melee.Console(is_remote=True, dolphin_home_path=str(folder))
        self.pad = melee.Controller(console, 1)
        self.dolphin = PipePad()
        self.held: Controllers | None = None

    def read_back(self, controller: Controllers) -> PadState:
        """Press it, given where the pad was before, and read what the game would see."""
        text = self.pad.pipe = io.StringIO()
        press(self.pad, melee.Button, controller, self.held)
        self.held = controller
        self.dolphin.feed(text.getvalue().encode())
        assert self.dolphin.num_bad_lines == 0
        return self.dolphin.state()


@pytest.fixture
def pipe(tmp_path: Path) -> Pipe:
    return Pipe(tmp_path)


def seen(state: PadState) -> list[int]:
    return [state.main_x, state.main_y, state.c_x, state.c_y, state.trigger, state.buttons]


def controller(
    *, main: tuple[int, int] = (0, 0), c: tuple[int, int] = (0, 0), trigger: int = 0, buttons: int = 0
) -> Controllers:
    return np.array([*main, *c, trigger, buttons], dtype=np.int32)


def test_every_class_of_every_component_reaches_the_game(pipe: Pipe) -> None:
    neutral = CODEC.encode(controller())
    for k, (_, size) in enumerate(CODEC.components):
        for value in range(size):
            classes = neutral.copy()
            classes[k] = value
            meant = CODEC.decode(classes)
            assert seen(pipe.read_back(meant)) == as_read(meant).tolist()


def test_outside_dead_zone_and_circle_the_game_reads_what_was_decoded(pipe: Pipe) -> None:
    for level in (-80, -70, -60, -50, -40, -30, -23, 0, 23, 30, 40, 50, 60, 70, 80):
        for meant in (controller(main=(level, 0)), controller(main=(0, level)), controller(c=(level, 0))):
            assert seen(pipe.read_back(meant)) == meant.tolist()


def test_every_stick_position_the_game_knows_is_hit_exactly(pipe: Pipe) -> None:
    axis = range(-80, 81)
    reachable = sorted({game_stick(x, y) for x in axis for y in axis})
    assert len(reachable) == 8153
    for x, y in reachable:
        meant = controller(main=(x, y), c=(y, x))
        assert seen(pipe.read_back(meant)) == meant.tolist()


def test_every_trigger_value_the_game_knows_is_hit_exactly(pipe: Pipe) -> None:
    for value in (0, *range(43, 141)):
        assert pipe.read_back(controller(trigger=value)).trigger == value


@pytest.mark.parametrize(("name", "bit"), BUTTONS)
def test_each_button_is_pressed_and_released(pipe: Pipe, name: str, bit: int) -> None:
    assert pipe.read_back(controller(buttons=bit)).buttons == bit
    assert pipe.read_back(controller()).buttons == 0


@pytest.mark.parametrize("name", ["l", "r"])
def test_a_digital_shoulder_is_clicked_not_only_pulled(pipe: Pipe, name: str) -> None:
    bit = dict(BUTTONS)[name]
    meant = CODEC.decode(CODEC.encode(controller(trigger=140, buttons=bit)))
    state = pipe.read_back(meant)
    assert (state.buttons, state.trigger, state.l_analog) == (bit, 140, 140)


def test_z_pulls_the_trigger_to_its_light_press() -> None:
    z, left = dict(BUTTONS)["z"], dict(BUTTONS)["l"]
    assert as_read(controller(trigger=140, buttons=z | left)).tolist() == [0, 0, 0, 0, 49, z | left]


def test_only_changes_are_written(pipe: Pipe) -> None:
    pipe.read_back(controller(main=(80, 0), buttons=0x0100))
    text = pipe.pad.pipe = io.StringIO()
    press(pipe.pad, melee.Button, controller(main=(80, 0), buttons=0x0200), pipe.held)
    assert text.getvalue() == "RELEASE A\nPRESS B\n"


def test_any_sequence_of_controllers_leaves_the_pad_where_the_last_one_meant(pipe: Pipe) -> None:
    random = np.random.default_rng(0)
    sizes = [size for _, size in CODEC.components]
    for _ in range(300):
        meant = CODEC.decode(random.integers(sizes).astype(np.uint8))
        assert seen(pipe.read_back(meant)) == as_read(meant).tolist()
