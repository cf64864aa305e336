import pytest

from dataset.melee import controller
from play.stand_in.pipe_pad import PadState, PipePad, pad_axis, pad_trigger

melee_controller = pytest.importorskip("melee.controller")
REST = PadState(0, 0, 0, 0, 0, 0, 0, 0)


def fed(text: str) -> PadState:
    found = PipePad()
    assert not found.feed(text.encode())
    return found.state()


@pytest.mark.parametrize(
    ("value", "mainline", "ishiiruka"),
    [
        (0.0, -127, -127),
        (0.5, 0, 0),
        (1.0, 127, 127),
        (0.75, 64, 63),
        (0.4999, 0, -1),
        (0.25, -64, -64),
        (-3.0, -127, -127),
    ],
)
def test_an_axis_becomes_a_byte_as_in_dolphin(value: float, mainline: int, ishiiruka: int) -> None:
    assert (pad_axis(value), pad_axis(value, is_mainline=False)) == (mainline, ishiiruka)


@pytest.mark.parametrize(
    ("value", "mainline", "ishiiruka"),
    [(0.0, 0, 0), (1.0, 255, 255), (0.5, 128, 127), (0.999, 255, 254), (7.0, 255, 255)],
)
def test_a_trigger_becomes_a_byte_as_in_dolphin(value: float, mainline: int, ishiiruka: int) -> None:
    assert (pad_trigger(value), pad_trigger(value, is_mainline=False)) == (mainline, ishiiruka)


BUILDS = pytest.mark.parametrize("is_mainline", [True, False])


@BUILDS
def test_what_libmelee_sends_for_any_of_the_8153_stick_positions_arrives_exactly(is_mainline: bool) -> None:
    texts = {i: str(melee_controller.fix_analog_stick(i / 160 + 0.5)) for i in range(-80, 81)}
    sent = {i: pad_axis(float(text), is_mainline=is_mainline) for i, text in texts.items()}
    assert sent == {i: i for i in range(-80, 81)}
    positions = {controller.game_stick(x, y) for x in range(-128, 128) for y in range(-128, 128)}
    assert len(positions) == 8153
    assert all(controller.game_stick(sent[x], sent[y]) == (x, y) for x, y in positions)


@BUILDS
def test_what_libmelee_sends_for_any_trigger_arrives_exactly(is_mainline: bool) -> None:
    texts = [str(melee_controller.fix_analog_trigger(i / 140)) for i in range(141)]
    assert [pad_trigger(float(text), is_mainline=is_mainline) for text in texts] == list(range(141))


def test_a_pad_stands_for_mainline_unless_told_otherwise() -> None:
    for found, y in ((PipePad(), 64), (PipePad(is_mainline=False), 63)):
        found.feed(b"SET MAIN 0.5 0.75\n")
        assert found.state().main_y == y


def test_lines_are_understood() -> None:
    held = fed("PRESS A\nPRESS D_UP\nSET MAIN 1 0.5\nSET C 0.5 0\nSET L 0.3\nSET R .6\nRELEASE A\nPRESS X\n")
    assert held == PadState(80, 0, 0, -80, 140, 77, 140, controller.D_UP | controller.X)
    assert fed("PRESS L\nPRESS Z\n") == REST._replace(trigger=49, l_analog=140, buttons=controller.L | controller.Z)


def test_a_pad_stays_as_it_is_until_told_otherwise() -> None:
    found = PipePad()
    assert found.feed(b"PRESS B\nFLUSH\nFLUSH\n")
    assert found.feed(b"")
    assert not found.feed(b"")
    assert found.state() == REST._replace(buttons=controller.B)


def test_bytes_may_be_cut_anywhere() -> None:
    data = b"PRESS A\nSET MAIN 1 0.5\nFLUSH\nRELEASE A\nFLUSH\n"
    found, states = PipePad(), []
    for byte in data:
        if found.feed(bytes([byte])):
            states.append(found.state())
    assert states == [REST._replace(main_x=80, buttons=controller.A), REST._replace(main_x=80)]


@pytest.mark.parametrize("line", ["PRESS Q", "SET MAIN 1", "SET MAIN a b", "SET L nan", "JUMP", "PRESS", ""])
def test_lines_dolphin_would_not_understand_change_nothing_and_are_counted(line: str) -> None:
    found = PipePad()
    found.feed(f"PRESS A\n{line}\nFLUSH\n".encode())
    assert (found.num_bad_lines, found.state()) == (1, REST._replace(buttons=controller.A))
