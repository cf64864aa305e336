"""The picture of a game: where things are, which way fighters face, and how they fare."""

from collections.abc import Iterable

import pytest

from play.arena.picture import SIDE_STYLES, picture
from tests.play.arena.builders import columns

WIDTH, HEIGHT = 100, 30
RESPAWN, SHIELD, HITSTUN, DEAD = 12, 179, 75, 0


def drawn(has_platforms: bool = False, **values: float) -> list[str]:
    """The lines of a picture of two fighters on Final Destination, or as ``values`` say."""
    text = picture(columns(1, **values)[0], WIDTH, HEIGHT, has_platforms=has_platforms)
    lines = text.plain.split("\n")
    assert [len(line) for line in lines] == [WIDTH] * HEIGHT
    return lines


def where(lines: Iterable[str], letters: str) -> tuple[int, int]:
    """Row and column of some letters, which are there once."""
    (found,) = [(row, line.index(letters)) for row, line in enumerate(lines) if letters in line]
    return found


def styles(**values: float) -> set[str]:
    return {str(span.style) for span in picture(columns(1, **values)[0], WIDTH, HEIGHT, has_platforms=False).spans}


def test_a_fighter_is_where_it_stands_and_points_where_it_faces() -> None:
    lines = drawn(a_x=-50, b_x=50, b_facing=-1)
    (row, left), (other_row, right) = where(lines, "1▶"), where(lines, "◀2")
    assert row == other_row
    assert left + right + 1 == pytest.approx(WIDTH - 1, abs=2), "as far left as right of the middle"
    high, far = where(drawn(a_x=-50, b_x=50, b_facing=-1, a_y=80), "1▶"), where(drawn(a_x=-150, b_x=50), "1▶")
    assert high[0] < row
    assert high[1] == left
    assert far[0] == row
    assert far[1] < left


def test_the_blast_zone_is_in_sight_and_who_is_beyond_it_is_at_its_edge() -> None:
    lines = drawn()
    assert lines[0].strip() != ""
    assert lines[-1].strip() != ""
    assert where(drawn(a_x=-50, b_x=900, b_action_state=DEAD), "2✗")[1] == WIDTH - 2


def test_platforms_are_drawn_where_a_world_has_them() -> None:
    stage = {"stage": 4, "a_y": 150, "b_y": 150}

    def above_the_floor(has_platforms: bool) -> int:
        return sum(
            line.count("⠤") + line.count("⠒") + line.count("⠉") + line.count("⣀")
            for line in drawn(has_platforms, **stage)[1:19]
        )

    assert above_the_floor(False) == 0
    assert above_the_floor(True) > 20


def test_labels_never_cover_each_other() -> None:
    lines = drawn(a_x=10, b_x=10)
    assert where(lines, "1▶")[0] == where(lines, "2▶")[0] + 1


def test_hits_shields_and_projectiles_have_colours_of_their_own() -> None:
    plain = styles(a_x=-50, b_x=50)
    assert set(SIDE_STYLES) <= plain
    assert styles(a_x=-50, b_x=50, a_action_state=HITSTUN) - plain == {"bold red"}
    assert styles(a_x=-50, b_x=50, a_action_state=SHIELD, a_shield=60) - plain == {"green"}
    assert styles(a_x=-50, b_x=50, item0_kind=5, item0_y=40) - plain == {"magenta"}


def test_who_cannot_be_hit_is_an_outline() -> None:
    def dots(**values: float) -> int:
        lines = drawn(a_x=-50, a_y=60, b_x=50, **values)
        return sum(bin(ord(letter) - 0x2800).count("1") for line in lines for letter in line if ord(letter) >= 0x2800)

    assert dots(a_hurtbox=2) < dots()
