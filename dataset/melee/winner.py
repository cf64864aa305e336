"""Who has won a game of two players: one rule for ingest, ``exphil verify``, ``exphil eval-games`` and the arena."""

from collections.abc import Sequence

import numpy as np


def winner(
    stocks: Sequence[float],
    percents: Sequence[float],
    *,
    quitter: int | None = None,
    is_time_up: bool = False,
    first_placed: int | None = None,
) -> int | None:
    """The player who has won, 0 or 1; None for nobody, or where nothing shows it.

    Whoever alone has stocks left has won, else who did not quit. When the clock runs out, stocks decide, then percent as the game
    shows it, without its fraction. With both out of stocks, or alike in both, nobody has won: what Slippi calls the first placed
    then is only the first listed. Elsewhere the first placed has won, unless the other has more stocks left.

    Args:
        stocks: of both at the end.
        percents: of both at the end, as recorded.
        quitter: who pressed L+R+A+Start.
        is_time_up: whether the clock ended the game.
        first_placed: whom Slippi places first, alone.
    """
    first, second = stocks
    if first and second:
        if quitter is not None:
            return 1 - quitter
        if not is_time_up:
            is_wrong = first_placed is not None and stocks[first_placed] < stocks[1 - first_placed]
            return None if is_wrong else first_placed
        if first == second:
            first, second = (-float(np.floor(percent)) for percent in percents)
    return 0 if first > second else 1 if second > first else None
