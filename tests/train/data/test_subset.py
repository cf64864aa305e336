from itertools import pairwise

import pytest

from dataset.errors import ConfigError
from dataset.stream.window_shards import Packed, pack, read_about
from tests.train.builders import FALCO, FOX, sample
from train.data.load import nested_subset

SAMPLES = [Packed(*pack(sample(f"r{n}", 20, characters=(FALCO, FOX) if n % 3 else (FOX, FOX)))) for n in range(12)]


def chosen(num: int, seed: int = 0, character: int | None = FALCO, samples: list[Packed] = SAMPLES) -> list[str]:
    return [read_about(one.about).id for one in nested_subset(samples, num, seed, character)]


def test_a_larger_part_holds_the_smaller_ones_of_its_seed_in_the_order_of_the_split() -> None:
    parts = [chosen(n) for n in range(1, 9)]
    assert all(set(small) < set(large) for small, large in pairwise(parts))
    assert parts[-1] == [f"r{n}" for n in range(12) if n % 3]
    assert chosen(4, seed=1) != chosen(4, seed=0)


def test_a_replay_that_is_added_moves_no_other() -> None:
    grown = [*SAMPLES, Packed(*pack(sample("r12", 20)))]
    assert {*chosen(9, samples=grown)} - {"r12"} == {*chosen(8)}
    assert [name for name in chosen(5, samples=grown) if name != "r12"] in ([*chosen(5)], [*chosen(4)])


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match="--max-replays 9: must be at most the train split's, found 8"):
        chosen(9)
    assert len(chosen(12, character=None)) == 12
