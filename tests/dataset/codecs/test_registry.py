import numpy as np
import pytest

from dataset.codecs.base import Codec
from dataset.codecs.registry import CODECS, get_codec
from dataset.errors import ConfigError
from dataset.melee import controller as melee
from dataset.melee.controller import BUTTONS, Controllers, controller_floats


@pytest.fixture(params=sorted(CODECS))
def codec(request: pytest.FixtureRequest) -> Codec:
    return get_codec(request.param)


def _controllers(**columns: object) -> Controllers:
    """Controllers with the named columns (broadcast together) and the rest neutral."""
    names = ("main_x", "main_y", "c_x", "c_y", "trigger", "buttons")
    arrays = np.broadcast_arrays(*(np.asarray(columns.get(name, 0), dtype=np.int32) for name in names))
    return np.stack([array.ravel() for array in arrays], axis=-1)


def _stick_pairs() -> tuple[np.ndarray, np.ndarray]:
    """Every (x, y) that Melee can read: in the unit circle, outside the dead zone."""
    x, y = (v.ravel() for v in np.meshgrid(np.arange(-80, 81), np.arange(-80, 81)))
    alive = [(np.abs(v) >= melee.STICK_DEAD_ZONE) | (v == 0) for v in (x, y)]
    inside = (x * x + y * y <= 80 * 80) & alive[0] & alive[1]
    return x[inside], y[inside]


def _reachable() -> Controllers:
    """Every stick pair on both sticks, every trigger, every button mask with the trigger it forces."""
    x, y = _stick_pairs()
    triggers = np.array([0, *range(melee.TRIGGER_DEAD_ZONE, 141)])
    masks = np.arange(0x2000)
    forced = np.where(masks & melee.Z, 49, np.where(masks & melee.DIGITAL_SHOULDERS, 140, 0))
    return np.concatenate(
        [
            _controllers(main_x=x, main_y=y),
            _controllers(c_x=x, c_y=y),
            _controllers(trigger=triggers),
            _controllers(buttons=masks, trigger=forced),
        ]
    )


def test_the_lattice_has_the_8153_pairs_that_were_counted_in_real_replays() -> None:
    assert len(_stick_pairs()[0]) == 8153


def test_every_class_of_every_component_round_trips(codec: Codec) -> None:
    neutral = codec.encode(melee.NEUTRAL[None])
    for column, (name, size) in enumerate(codec.components):
        classes = np.repeat(neutral, size, axis=0)
        classes[:, column] = np.arange(size)
        again = codec.encode(codec.decode(classes))
        assert again[:, column].tolist() == list(range(size)), name


def test_encoding_what_was_decoded_changes_nothing_on_the_whole_lattice(codec: Codec) -> None:
    classes = codec.encode(_reachable())
    sizes = np.array([size for _, size in codec.components])
    assert (classes < sizes).all()
    assert np.array_equal(codec.encode(codec.decode(classes)), classes)


def test_full_deflection_and_full_press_are_reached(codec: Codec) -> None:
    v = np.array([-80, 80])
    rims = np.concatenate([_controllers(**{name: v}) for name in ("main_x", "main_y", "c_x", "c_y")])
    assert np.array_equal(codec.decode(codec.encode(rims)), rims)
    full = _controllers(trigger=140)
    assert np.array_equal(codec.decode(codec.encode(full)), full)


def test_neutral_is_neutral(codec: Codec) -> None:
    assert codec.decode(codec.encode(melee.NEUTRAL)).tolist() == melee.NEUTRAL.tolist()


def test_a_decoded_controller_lies_outside_the_games_dead_zones_wherever_it_was_recorded(codec: Codec) -> None:
    out = codec.decode(codec.encode(_reachable()))
    assert ((out[:, :4] == 0) | (np.abs(out[:, :4]) >= melee.STICK_DEAD_ZONE)).all()
    assert ((out[:, 4] == 0) | (out[:, 4] >= melee.TRIGGER_DEAD_ZONE)).all()


def test_mirror_is_an_involution_and_commutes_with_encoding(codec: Codec) -> None:
    controllers = _reachable()
    mirrored = controllers * np.array([-1, 1, -1, 1, 1, 1])
    classes = codec.encode(controllers)
    assert np.array_equal(codec.mirror(classes), codec.encode(mirrored))
    assert np.array_equal(codec.mirror(codec.mirror(classes)), classes)


def test_mirror_leaves_its_argument_alone(codec: Codec) -> None:
    classes = codec.encode(_controllers(main_x=80))
    before = classes.copy()
    codec.mirror(classes)
    assert np.array_equal(classes, before)


@pytest.mark.parametrize(("buttons", "trigger"), [(0x0040, 140), (0x0020, 140), (0x0060, 140), (0x0010, 0)])
def test_a_digital_shoulder_press_forces_the_trigger_and_z_does_not(codec: Codec, buttons: int, trigger: int) -> None:
    decoded = codec.decode(codec.encode(_controllers(buttons=buttons)))
    assert decoded[0, 4:].tolist() == [trigger, buttons]


def test_z_keeps_a_digital_shoulder_press_at_its_own_light_press(codec: Codec) -> None:
    recorded = _controllers(buttons=[0x0050, 0x0030, 0x0010], trigger=49)
    assert np.array_equal(codec.decode(codec.encode(recorded)), recorded)


def test_buttons_no_policy_may_press_are_dropped(codec: Codec) -> None:
    start_and_other_directions = 0x1000 | 0x0001 | 0x0002 | 0x0004 | 0x8000
    assert np.array_equal(
        codec.encode(_controllers(buttons=start_and_other_directions | 0x0100)),
        codec.encode(_controllers(buttons=0x0100)),
    )


def test_components_are_predicted_from_the_c_stick_to_the_buttons() -> None:
    names = [name for name, _ in get_codec("axis17").components]
    assert names == ["c_x", "c_y", "main_x", "main_y", "trigger", "a", "b", "x", "y", "z", "l", "r", "d_up"]


@pytest.mark.parametrize(
    ("value", "level", "decoded"),
    [(0, 8, 0), (23, 10, 23), (24, 10, 23), (25, 11, 30), (34, 11, 30), (35, 12, 40), (74, 15, 70), (75, 16, 80)],
)
def test_axis17_rounds_to_the_nearest_tenth_and_ties_go_out(value: int, level: int, decoded: int) -> None:
    axis17 = get_codec("axis17")
    classes = axis17.encode(_controllers(main_x=value, c_y=-value))
    assert classes[0, :4].tolist() == [8, 16 - level, level, 8]
    assert axis17.decode(classes)[0, :4].tolist() == [decoded, 0, 0, -decoded]


@pytest.mark.parametrize(
    ("value", "level", "decoded"),
    [(0, 0, 0), (43, 1, 49), (52, 1, 49), (53, 2, 70), (87, 2, 70), (88, 3, 105), (122, 3, 105), (123, 4, 140)],
)
def test_axis17_rounds_the_trigger_to_quarters(value: int, level: int, decoded: int) -> None:
    axis17 = get_codec("axis17")
    classes = axis17.encode(_controllers(trigger=value))
    assert (classes[0, 4], axis17.decode(classes)[0, 4]) == (level, decoded)


def test_axis17_buttons_are_independent_columns() -> None:
    classes = get_codec("axis17").encode(_controllers(buttons=[bit for _, bit in BUTTONS]))
    assert classes[:, 5:].tolist() == np.eye(8, dtype=int).tolist()


def test_joint_predicts_sticks_and_the_button_mask_whole() -> None:
    assert get_codec("joint").components == (("c_stick", 13), ("main_stick", 92), ("trigger", 25), ("buttons", 256))


def test_joint_decodes_every_class_to_a_position_the_game_can_reach() -> None:
    joint, reachable = get_codec("joint"), set(zip(*(v.tolist() for v in _stick_pairs()), strict=True))
    for column, size, sticks in ((1, 92, slice(0, 2)), (0, 13, slice(2, 4))):
        classes = np.repeat(joint.encode(melee.NEUTRAL[None]), size, axis=0)
        classes[:, column] = np.arange(size)
        positions = {(int(x), int(y)) for x, y in joint.decode(classes)[:, sticks]}
        assert len(positions) == size
        assert positions <= reachable


def _acts(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What the game tells apart: side, tilt, dash; crouch, platform drop, tilts, tap jump."""
    return np.stack([np.sign(x), abs(x) >= 64, y <= -56, y <= -53, np.sign(y), y >= 53])


def test_joint_never_takes_a_main_stick_across_a_threshold_of_the_game() -> None:
    x, y = _stick_pairs()
    joint = get_codec("joint")
    decoded = joint.decode(joint.encode(_controllers(main_x=x, main_y=y)))
    assert np.array_equal(_acts(x, y), _acts(decoded[:, 0], decoded[:, 1]))


def test_joint_takes_a_main_stick_to_the_nearest_position_between_the_same_thresholds() -> None:
    x, y = _stick_pairs()
    joint = get_codec("joint")
    classes = np.repeat(joint.encode(melee.NEUTRAL[None]), 92, axis=0)
    classes[:, 1] = np.arange(92)
    centres = joint.decode(classes)[:, :2]
    chosen = joint.decode(joint.encode(_controllers(main_x=x, main_y=y)))[:, :2]
    same = (_acts(x, y)[:, :, None] == _acts(centres[:, 0], centres[:, 1])[:, None, :]).all(axis=0)
    distance = np.where(same, (x[:, None] - centres[:, 0]) ** 2 + (y[:, None] - centres[:, 1]) ** 2, 10**6)
    assert np.array_equal((chosen[:, 0] - x) ** 2 + (chosen[:, 1] - y) ** 2, distance.min(axis=1))


@pytest.mark.parametrize(
    ("pressed", "sent"),
    [
        ((76, -23), (76, -23)),  # the longest wavedash
        ((56, -56), (56, -56)),  # the notch
        ((57, -55), (58, -54)),  # a shield drop
        ((59, -53), (58, -54)),
        ((60, -52), (61, -51)),  # no longer one
        ((79, 0), (80, 0)),
        ((63, 0), (58, 0)),  # a walk
        ((64, 0), (70, 0)),  # a dash
        ((75, 0), (80, 0)),  # as near to 70: ties go out
        ((0, -23), (0, -26)),
    ],
)
def test_joint_on_positions_that_matter(pressed: tuple[int, int], sent: tuple[int, int]) -> None:
    joint = get_codec("joint")
    for side in (1, -1):
        decoded = joint.decode(joint.encode(_controllers(main_x=side * pressed[0], main_y=pressed[1])))
        assert decoded[0, :2].tolist() == [side * sent[0], sent[1]]


@pytest.mark.parametrize(
    ("pressed", "sent"),
    [((0, -79), (0, -80)), ((59, 53), (68, 42)), ((26, -75), (42, -68)), ((40, 0), (80, 0)), ((39, 0), (0, 0))],
)
def test_joint_rounds_the_c_stick_to_twelve_directions(pressed: tuple[int, int], sent: tuple[int, int]) -> None:
    joint = get_codec("joint")
    assert joint.decode(joint.encode(_controllers(c_x=pressed[0], c_y=pressed[1])))[0, 2:4].tolist() == list(sent)


@pytest.mark.parametrize(
    ("value", "level", "decoded"),
    [
        (0, 0, 0),
        (42, 0, 0),
        (43, 1, 43),
        (45, 1, 43),
        (46, 2, 49),
        (49, 2, 49),
        (51, 3, 53),
        (138, 24, 140),
        (140, 24, 140),
    ],
)
def test_joint_rounds_the_trigger_to_the_nearest_level_and_ties_go_up(value: int, level: int, decoded: int) -> None:
    joint = get_codec("joint")
    classes = joint.encode(_controllers(trigger=value))
    assert (classes[0, 2], joint.decode(classes)[0, 4]) == (level, decoded)


def test_joint_keeps_every_combination_of_buttons() -> None:
    joint = get_codec("joint")
    classes = np.repeat(joint.encode(melee.NEUTRAL[None]), 256, axis=0)
    classes[:, 3] = np.arange(256)
    pressed = joint.decode(classes)[:, 5]
    assert len(set(pressed.tolist())) == 256
    assert pressed[[1, 2, 4, 8, 16, 32, 64, 128]].tolist() == [bit for _, bit in BUTTONS]


def test_the_digests_are_pinned() -> None:
    assert {name: codec.digest for name, codec in CODECS.items()} == {
        "axis17": "1b08fe88c404de7b",
        "joint": "87421af10492f732",
    }


def test_an_unknown_codec_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"codec 'axis18': unknown; use one of axis17, joint"):
        get_codec("axis18")


def test_the_thirteen_numbers_of_a_controller() -> None:
    floats = controller_floats(np.array([80, -40, 0, 20, 70, 0x0100 | 0x0008], dtype=np.int32))
    assert floats.tolist() == [0, 0.25, 1, -0.5, 0.5, 1, 0, 0, 0, 0, 0, 0, 1]
    assert floats.dtype == np.float32
    assert floats.shape == (melee.NUM_CONTROLLER_FLOATS,)
