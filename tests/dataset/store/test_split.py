from collections import Counter

from dataset.store.split import SPLITS, split_key, split_of

KEYS = [f"mode.unranked-2022-12-20T00:{n:05d}" for n in range(20_000)]
PINNED = [
    "train",
    "train",
    "train",
    "train",
    "train",
    "val",
    "train",
    "train",
    "train",
    "train",
    "train",
    "val",
]
"""Splits of match-0 … match-11 under seed 0: a store keeps what it was given."""


def test_eight_in_ten_train_one_validates_one_tests() -> None:
    counts = Counter(split_of(key, seed=0) for key in KEYS)
    shares = {split: round(counts[split] / len(KEYS), 2) for split in SPLITS}
    assert shares == {"train": 0.8, "val": 0.1, "test": 0.1}


def test_a_split_is_pinned_and_depends_on_the_key_and_the_seed_alone() -> None:
    assert [split_of(f"match-{n}", seed=0) for n in range(12)] == PINNED
    assert [split_of(key, 0) for key in KEYS[:500]] != [split_of(key, 1) for key in KEYS[:500]]


def test_games_of_one_match_stay_together() -> None:
    keys = {split_key("mode.ranked-1", f"{n:032x}") for n in range(5)}
    assert keys == {"mode.ranked-1"}


def test_a_replay_without_a_match_goes_by_its_content() -> None:
    assert [split_key(match_id, "c0ffee") for match_id in (None, "", "m1")] == ["c0ffee", "c0ffee", "m1"]
