import torch

from dataset.encode import INDICES
from tests.train.builders import CODEC, random_frames
from train.components import one_hot
from train.embed import Embed


def rows_of(table_ending: str) -> list[int]:
    return [row for row, (name, _) in enumerate(INDICES) if name.endswith(table_ending)]


def test_every_table_and_every_way_of_reading_it_gets_a_gradient() -> None:
    embed = Embed(CODEC, 32)
    continuous, indices, previous, _ = random_frames(2, 3)
    for name, _ in INDICES:
        embed.zero_grad()
        only = torch.zeros_like(indices.int())
        only[..., [row for row, (other, _) in enumerate(INDICES) if other == name]] = 5
        embed(continuous, only, previous, torch.zeros(2, 3))[0].sum().backward()
        table = next(table for table in embed.tables if name.endswith(table))
        gradient = embed.tables[table].weight.grad
        assert isinstance(gradient, torch.Tensor)
        assert gradient[5].abs().sum() > 0, name
    assert embed.previous.weight.grad is not None
    assert (embed.previous.weight.grad.abs().sum(dim=1) > 0).sum() > 13


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


def test_one_hot_rows_have_a_one_in_each_components_columns() -> None:
    rows = one_hot(torch.tensor([[1, 0], [0, 2]], dtype=torch.uint8), torch.tensor([0, 2]), 5)
    assert rows.tolist() == [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]
