"""What live views draw of players and of pace: sticks, triggers, buttons and stocks as text, and frames per second."""

from collections import deque

from dataset.melee.controller import BUTTONS, STICK_RANGE, TRIGGER_RANGE

_STOCK_DOTS = 4
_DISC_ROWS, _DISC_COLUMNS = 5, 9
_TRIGGER_STEPS = 5


class Gauge:
    """Frames per second over the last second, from how many there were at each look."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque()

    def read(self, frames: int, now: float) -> float:
        """Take a look in; 0 until there are two."""
        self._looks.append((now, frames))
        while len(self._looks) > 2 and now - self._looks[1][0] >= 1.0:
            self._looks.popleft()
        (then, before), (_, after) = self._looks[0], self._looks[-1]
        return (after - before) / (now - then) if now > then else 0.0


def disc(x: int, y: int) -> str:
    """A stick, in 1/80, as a dot in a circle of text."""
    half_rows, half_columns = _DISC_ROWS // 2, _DISC_COLUMNS // 2
    dot = (round(-y / STICK_RANGE * half_rows), round(x / STICK_RANGE * half_columns))
    lines = []
    for row in range(-half_rows, half_rows + 1):
        columns = range(-half_columns, half_columns + 1)
        rim = [(row / (half_rows + 0.4)) ** 2 + (column / (half_columns + 0.4)) ** 2 <= 1 for column in columns]
        lines.append(
            "".join(
                "●" if (row, column) == dot else "·" if is_in else " "
                for column, is_in in zip(columns, rim, strict=True)
            )
        )
    return "\n".join(lines)


def trigger(value: int) -> str:
    """A trigger, in 1/140, as a row of boxes."""
    steps = -(-value * _TRIGGER_STEPS // TRIGGER_RANGE)
    return "▮" * steps + "▯" * (_TRIGGER_STEPS - steps)


def pressed(buttons: int) -> str:
    """The names of the buttons that are down, in a fixed width."""
    names = " ".join(name.upper() for name, bit in BUTTONS if buttons & bit)
    return f"{names:14}"


def stock_dots(stocks: int) -> str:
    """Stocks that are left and those that are lost."""
    return "●" * stocks + "○" * max(0, _STOCK_DOTS - stocks)
