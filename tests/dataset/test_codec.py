import numpy as np
import pytest

from dataset import codec as codecs
from dataset.codec import BUTTONS, CODECS, Codec, Controllers, controller_floats, get_codec
from dataset.errors import ConfigError


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
    alive = [(np.abs(v) >= codecs.STICK_DEAD_ZONE) | (v == 0) for v in (x, y)]
    inside = (x * x + y * y <= 80 * 80) & alive[0] & alive[1]
    return x[inside], y[inside]


def _reachable() -> Controllers:
    """Every stick pair on both sticks, every trigger, every button mask with the trigger it forces."""
    x, y = _stick_pairs()
    triggers = np.array([0, *range(codecs.TRIGGER_DEAD_ZONE, 141)])
    masks = np.arange(0x2000)
    forced = np.where(masks & codecs.Z_BUTTON, 49, np.where(masks & codecs.DIGITAL_SHOULDERS, 140, 0))
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
    neutral = codec.encode(codecs.NEUTRAL[None])
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
    assert codec.decode(codec.encode(codecs.NEUTRAL)).tolist() == codecs.NEUTRAL.tolist()


def test_a_decoded_controller_lies_outside_the_games_dead_zones_wherever_it_was_recorded(codec: Codec) -> None:
    out = codec.decode(codec.encode(_reachable()))
    assert ((out[:, :4] == 0) | (np.abs(out[:, :4]) >= codecs.STICK_DEAD_ZONE)).all()
    assert ((out[:, 4] == 0) | (out[:, 4] >= codecs.TRIGGER_DEAD_ZONE)).all()


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


def test_the_digest_is_pinned() -> None:
    assert {name: codec.digest for name, codec in CODECS.items() if name == "axis17"} == {"axis17": "1b08fe88c404de7b"}


def test_an_unknown_codec_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"codec 'axis18': unknown; use one of axis17"):
        get_codec("axis18")


def test_the_thirteen_numbers_of_a_controller() -> None:
    floats = controller_floats(np.array([80, -40, 0, 20, 70, 0x0100 | 0x0008], dtype=np.int32))
    assert floats.tolist() == [0, 0.25, 1, -0.5, 0.5, 1, 0, 0, 0, 0, 0, 0, 1]
    assert floats.dtype == np.float32
    assert floats.shape == (codecs.NUM_CONTROLLER_FLOATS,)
