"""How many statistics are unlike by chance: some games of people beside the others, compared as a bot's are.

For each number of games, so many of a character's games are drawn from a store, ``--rounds`` times, and compared with all the
others. Whoever has ``--people`` games or more is compared with everybody else, too: that is style, not chance.

    python -m benchmarks.likeness --store STORE --character falco
"""

import argparse
import json
import platform
from collections import Counter

import numpy as np
import polars as pl

from dataset.melee.ids import character_from_name
from dataset.schema import SIDES
from dataset.stats.likeness.games import measure_players, people_players
from dataset.stats.likeness.likeness import UNLIKE, VERDICTS, Likeness, compare
from dataset.store.store import Store
from dataset.version import VERSION


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True)
    parser.add_argument("--character", required=True)
    parser.add_argument("--games", default="3,8,16,64")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--people", type=int, default=12)
    options = parser.parse_args()
    store = Store(options.store)
    players = people_players(store, character_from_name(options.character), None)
    sums = measure_players(store, players, None).measured.sums
    games = sums["replay"].unique().sort().to_numpy()
    random = np.random.default_rng(0)
    found = {
        size: [
            parted(sums, pl.col("replay").is_in(random.choice(games, size, replace=False)))
            for _ in range(options.rounds)
        ]
        for size in map(int, options.games.split(","))
    }
    for size, rounds in found.items():
        counts = [Counter(row.verdict for row in rows) for rows in rounds]
        means = ", ".join(f"{np.mean([each[verdict] for each in counts]):.1f} {verdict}" for verdict in VERDICTS)
        print(f"{size} of {len(games)} games: {means}; at most {max(each[UNLIKE] for each in counts)} unlike")
    for number, rows in people(store, sums, options.people):
        furthest = max(row.outside or 0.0 for row in rows)
        unlike = sum(row.verdict == UNLIKE for row in rows)
        print(f"one person's {number} games beside all others': {unlike} unlike, at most {furthest:.1f} widths outside")
    chance = {
        str(size): float(np.mean([sum(row.verdict == UNLIKE for row in rows) for rows in rounds]))
        for size, rounds in found.items()
    }
    about = {"python": platform.python_version(), "exphil": VERSION}
    print(json.dumps({"games": len(games), "unlike_by_chance": chance, **about}))


def parted(sums: pl.DataFrame, own: pl.Expr) -> list[Likeness]:
    """Some games beside the others."""
    return compare(sums.filter(own), sums.filter(~own))


def people(store: Store, sums: pl.DataFrame, least: int) -> list[tuple[int, list[Likeness]]]:
    """Everyone with so many games, but not all, beside everybody else, by how many games they are."""
    hashes = [
        store.replays().select(
            replay="id", side=pl.lit(side), player=pl.coalesce(f"code_hash_{side}", f"name_hash_{side}")
        )
        for side in SIDES
    ]
    named = sums.join(pl.concat(hashes).collect(), on=["replay", "side"], how="left", maintain_order="left")
    counts = named.drop_nulls("player")["player"].value_counts(sort=True)
    own = [(number, pl.col("player").eq_missing(player)) for player, number in counts.iter_rows()]
    return [(number, parted(named, whose)) for number, whose in own if least <= number < len(named)]


if __name__ == "__main__":
    main()
