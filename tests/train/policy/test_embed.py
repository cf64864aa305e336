import numpy as np
import pytest
import torch

from dataset.codecs.registry import CODECS
from dataset.features.encoder import Encoded, encode_columns
from dataset.features.layout import FEATURES, GROUPS, INDICES, kept_columns
from dataset.melee.controller import controller_floats
from tests.dataset.builders import random_columns
from tests.train.builders import CODEC, random_frames
from train.policy.components import one_hot
from train.policy.embed import ControllerFloats, Embed


def rows_of(table_ending: str) -> list[int]:
    return [row for row, (name, _) in enumerate(INDICES) if name.endswith(table_ending)]


def test_every_table_and_every_way_of_reading_it_gets_a_gradient() -> None:
    embed = Embed(CODEC, 32)
    continuous, indices, previous, _ = random_frames(2, 3)
    for name, _ in INDICES:
        embed.zero_grad()
        only = torch.zeros_like(indices.int())
        only[..., [row for row, (other, _) in enumerate(INDICES) if other == name]] = 5
        embed(continuous, only, previous, torch.zeros(2, 3))[0][..., 0].sum().backward()  # all of a row sum up to 0
        table = next(table for table in embed.tables if name.endswith(table))
        gradient = embed.tables[table].weight.grad
        assert isinstance(gradient, torch.Tensor)
        assert gradient[5].abs().sum() > 0, name
    assert embed.previous.weight.grad is not None
    assert (embed.previous.weight.grad.abs().sum(dim=1) > 0).sum() > 13


@pytest.mark.parametrize(
    ("modes", "widths"),
    [
        ({}, {"action_state": 4 * 64, "character": 2 * 16, "stage": 8}),
        ({"action_state": "one_hot"}, {"action_state": 4 * 1024, "character": 2 * 16, "stage": 8}),
        ({"character": "one_hot"}, {"action_state": 4 * 64, "character": 2 * 33, "stage": 8}),
        ({"stage": "compact"}, {"action_state": 4 * 64, "character": 2 * 16, "stage": 7}),
        ({"stage": "one_hot"}, {"action_state": 4 * 64, "character": 2 * 16, "stage": 6}),
    ],
)
def test_a_mode_decides_how_wide_an_id_is_and_whether_it_has_a_table(
    modes: dict[str, str], widths: dict[str, int]
) -> None:
    embed = Embed(CODEC, 8, modes)
    rest = {"continuous": len(FEATURES), "previous": 13 + 32 + 1, "delay": 1, "kind": 5 * 8}
    assert embed.layout() == rest | widths
    assert embed.project.in_features == sum(embed.layout().values())
    assert sorted(embed.tables) == sorted({"action_state", "character", "kind", "stage"} - set(modes))


def test_a_stage_is_a_one_among_zeros_and_others_share_the_seventh_in_compact_mode() -> None:
    assert stage_columns("compact") == [[1.0 if k == s else 0.0 for k in range(7)] for s in range(7)]


def test_a_stage_that_is_not_legal_is_all_zeros_in_one_hot_mode() -> None:
    assert stage_columns("one_hot") == [[1.0 if k == s else 0.0 for k in range(6)] for s in range(7)]


def stage_columns(mode: str) -> list[list[float]]:
    """What the projection is given of every stage."""
    embed = Embed(CODEC, 8, {"stage": mode})
    seen: list[torch.Tensor] = []
    embed.project.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    _, indices, previous, _ = random_frames(1, 7)
    indices = torch.zeros_like(indices.int())
    indices[0, :, [name for name, _ in INDICES].index("stage")] = torch.arange(7)
    embed(torch.zeros(1, 7, len(FEATURES)), indices, previous, torch.zeros(1, 7))
    first = sum(width for name, width in embed.layout().items() if name in ("continuous", "previous", "delay"))
    columns: list[list[float]] = seen[0][0, :, first : first + embed.layout()["stage"]].tolist()
    return columns


def test_player_opponent_and_nana_share_one_action_state_table() -> None:
    assert [INDICES[row][0] for row in rows_of("action_state")] == [
        "a_action_state",
        "a_nana_action_state",
        "b_action_state",
        "b_nana_action_state",
    ]
    assert sorted(Embed(CODEC, 8).tables) == ["action_state", "character", "kind", "stage"]


def test_each_input_reaches_the_row() -> None:
    torch.manual_seed(0)
    embed = Embed(CODEC, 64)
    continuous, indices, previous, other = random_frames(1, 1)
    delay, hide = torch.zeros(1, 1), torch.zeros(1, 1, dtype=torch.bool)
    row, held = embed(continuous, indices, previous, delay)
    hidden, nothing = embed(continuous, indices, previous, delay, hide)
    assert not torch.equal(row, embed(continuous + 1, indices, previous, delay)[0])
    assert not torch.equal(row, embed(continuous, indices, other, delay)[0])
    assert not torch.equal(row, embed(continuous, indices, previous, delay + 3)[0])
    assert not torch.equal(row, hidden)
    assert torch.equal(hidden, embed(continuous, indices, other, delay, hide)[0])
    assert (held.sum(), nothing.sum()) == (13, 0)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("mode", ["learned", "one_hot"])
def test_a_policy_sees_of_a_whole_frame_what_it_sees_where_a_group_was_never_recorded(group: str, mode: str) -> None:
    embeds = []
    for features in ("all", f"all-{group}"):
        torch.manual_seed(0)
        embeds.append(Embed(CODEC, 16, {"action_state": mode}, features))
    whole, less = embeds
    columns = random_columns(50, seed=1)
    seen, recorded = (encode_columns(kept_columns(columns, features)) for features in ("all", f"all-{group}"))
    rest = (torch.zeros(50, len(CODEC.components), dtype=torch.uint8), torch.zeros(50))

    def rows(embed: Embed, frames: Encoded) -> torch.Tensor:
        given = torch.from_numpy(frames.continuous.T.copy()), torch.from_numpy(frames.indices.T.copy())
        return embed(*given, *rest)[0]

    assert torch.equal(rows(less, seen), rows(whole, recorded))
    assert torch.equal(rows(less, recorded), rows(whole, recorded))
    assert not torch.equal(rows(less, seen), rows(whole, seen))
    assert less.state_dict().keys() == whole.state_dict().keys()


def test_one_hot_rows_have_a_one_in_each_components_columns() -> None:
    rows = one_hot(torch.tensor([[1, 0], [0, 2]], dtype=torch.uint8), torch.tensor([0, 2]), 5)
    assert rows.tolist() == [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]


@pytest.mark.parametrize("name", CODECS)
def test_the_floats_are_those_of_the_controller_that_play_would_send(name: str) -> None:
    codec = CODECS[name]
    random = np.random.default_rng(3)
    classes = np.stack([random.integers(0, size, 20_000) for _, size in codec.components], axis=-1).astype(np.uint8)
    found = ControllerFloats(codec)(torch.from_numpy(classes.reshape(200, 100, -1)))
    assert torch.equal(found.flatten(0, 1), torch.from_numpy(controller_floats(codec.decode(classes))))


def test_the_table_holds_no_weights_and_stays_out_of_checkpoints() -> None:
    assert list(ControllerFloats(CODECS["axis17"]).state_dict()) == []


@pytest.mark.parametrize("name", CODECS)
def test_half_precision_does_not_reach_the_look_up(name: str) -> None:
    """bfloat16 holds no whole number above 256 exactly, and joint has places up to 6,400."""
    codec = CODECS[name]
    random = np.random.default_rng(4)
    classes = np.stack([random.integers(0, size, 5_000) for _, size in codec.components], axis=-1).astype(np.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        found = ControllerFloats(codec)(torch.from_numpy(classes))
    assert torch.equal(found, torch.from_numpy(controller_floats(codec.decode(classes))))
