import pytest
import torch
from torch import Tensor

from train.compare.variants import parse_backbones
from train.config.resolve import FLAGS, resolve
from train.policy.backbones.base import Backbone, Dropout, State, build_backbone, map_state, reset_rows
from train.policy.config import BACKBONES, Shape, Traits
from train.policy.policy import Policy

LAYERS, LOOKBACK = 3, 20
TOLERANCE = {torch.float64: 1e-12, torch.float32: 5e-6}


def build(name: str, dtype: torch.dtype = torch.float64) -> Backbone:
    torch.manual_seed(1)
    every = BACKBONES[name].attention_every or 1
    shape = Shape(hidden_sizes=(24,) * LAYERS, lookback=LOOKBACK, attention_every=every)
    return build_backbone(name, shape).to(dtype).eval()


def inputs(batch: int, frames: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(batch, frames, 24, generator=torch.Generator().manual_seed(2), dtype=dtype)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def leaves(state: State) -> list[Tensor]:
    return [leaf for part in state for leaf in ([part] if isinstance(part, Tensor) else leaves(part))]


@pytest.mark.parametrize("name", ["gmlp", "sliding_window"])
def test_each_layer_sees_exactly_the_window(name: str) -> None:
    backbone, x = build(name), inputs(1, 100)
    for parameter, weights in backbone.named_parameters():
        if "gate_weight" in parameter:
            weights.data.normal_()  # they begin near zero
    changed = x.clone()
    changed[:, 20] *= -1
    with torch.no_grad():
        moved = backbone(x, backbone.initial_state(1))[0] - backbone(changed, backbone.initial_state(1))[0]
    frames = moved.abs().amax(dim=(0, 2)).nonzero().flatten().tolist()
    assert frames == list(range(20, 20 + LAYERS * (LOOKBACK - 1) + 1))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", BACKBONES)
def test_stepping_through_600_frames_gives_what_one_pass_gives(name: str, dtype: torch.dtype) -> None:
    backbone, x = build(name, dtype), inputs(3, 600, dtype)
    with torch.no_grad():
        whole, last = backbone(x, backbone.initial_state(3))
        state, rows = backbone.initial_state(3), []
        for t in range(600):
            y, state = backbone.step(x[:, t], state)
            rows.append(y)
    assert error(torch.stack(rows, dim=1), whole) <= TOLERANCE[dtype]
    for stepped, at_once in zip(leaves(state), leaves(last), strict=True):
        assert error(stepped, at_once) <= TOLERANCE[dtype]


@pytest.mark.parametrize("name", BACKBONES)
def test_uneven_chunks_with_carried_state_give_what_one_pass_gives(name: str) -> None:
    backbone, x = build(name), inputs(2, 600)
    with torch.no_grad():
        whole, _ = backbone(x, backbone.initial_state(2))
        state, parts = backbone.initial_state(2), []
        for start, end in ((0, 1), (1, 61), (61, 68), (68, 196), (196, 496), (496, 600)):
            y, state = backbone(x[:, start:end], state)
            parts.append(y)
    assert error(torch.cat(parts, dim=1), whole) <= 1e-12


@pytest.mark.parametrize("name", BACKBONES)
def test_resetting_one_row_begins_it_anew_and_leaves_the_others_bit_for_bit(name: str) -> None:
    backbone, x = build(name), inputs(3, 40)
    with torch.no_grad():
        _, state = backbone(x[:, :20], backbone.initial_state(3))
        carried, _ = backbone(x[:, 20:], state)
        fresh, _ = backbone(x[:, 20:], backbone.initial_state(3))
        reset = torch.tensor([False, True, False])
        found, _ = backbone(x[:, 20:], reset_rows(state, backbone.initial_state(3), reset))
    assert torch.equal(found[[0, 2]], carried[[0, 2]])
    assert torch.equal(found[1], fresh[1])


@pytest.mark.parametrize("name", BACKBONES)
def test_a_state_has_the_batch_first_and_any_size_of_it(name: str) -> None:
    backbone = build(name)
    assert [leaf.shape[0] for leaf in leaves(backbone.initial_state(5))] == [5] * len(leaves(backbone.initial_state(5)))


@pytest.mark.parametrize("name", BACKBONES)
def test_a_temporal_backbone_remembers_and_the_others_do_not(name: str) -> None:
    backbone, x = build(name), inputs(1, 10)
    changed = x.clone()
    changed[:, 0] *= -1
    with torch.no_grad():
        y, _ = backbone(x, backbone.initial_state(1))
        other, _ = backbone(changed, backbone.initial_state(1))
    assert bool((y[:, 1:] != other[:, 1:]).any()) is BACKBONES[name].is_temporal


def test_states_may_nest() -> None:
    state: State = (torch.ones(2), (torch.zeros(2, 3), (torch.ones(2, 1, 1),)))
    doubled = map_state(lambda leaf: leaf * 2, state)
    assert [leaf.sum().item() for leaf in leaves(doubled)] == [4.0, 0.0, 4.0]
    reset = reset_rows(state, map_state(torch.zeros_like, state), torch.tensor([True, False]))
    assert [leaf.sum().item() for leaf in leaves(reset)] == [1.0, 0.0, 1.0]


class Echo(Backbone):
    """A backbone of one file; registered, it is one line."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(shape.output_width))

    def initial_state(self, batch: int) -> State:
        return ()

    def layer_parameters(self) -> list[list[Tensor]]:
        return [[self.scale]]

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return x * self.scale, state

    step = forward


def test_a_new_backbone_is_a_class_and_a_line_in_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "echo", Traits(f"{__name__}.Echo", is_temporal=False))
    config = resolve(None, {"backbone": "echo", "temporal": False, "hidden_sizes": "12"}).config
    assert isinstance(Policy(config.policy).backbone, Echo)
    assert "jamba or echo; default: gru" in FLAGS["backbone"].help
    assert parse_backbones("gru,echo") == ["gru", "echo"]


def test_dropout_hides_a_unit_in_all_frames_of_a_window_or_in_none() -> None:
    torch.manual_seed(0)
    dropout, x = Dropout(0.25), inputs(200, 10) + 5
    kept = dropout(x) / x
    assert torch.allclose(kept, kept[:, :1].expand_as(kept))
    assert float((kept[:, 0] == 0).double().mean()) == pytest.approx(0.25, abs=0.02)
    assert float(kept.max()) == pytest.approx(1 / 0.75)
    assert torch.equal(dropout.eval()(x), x)
