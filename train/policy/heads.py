"""From a backbone's output to a controller: logits of every component for training, sampled classes for play.

The autoregressive head predicts component after component in the codec's order, each given those already chosen (as MADE,
Germain et al. 2015, arXiv:1502.03509, with one hidden layer cut into one slice a component): what is known of the chosen
classes is added to the hidden units before their ReLU. In training the target's classes are the chosen ones, so all slices
are computed at once; in play they come one after the other. Besides the backbone's output the head is given the previous
controller, from which a trained table makes logits of its own: it begins as the fitted copycat (train.policy.persistence), so a
policy starts at persistence and learns the changes. The surprise: noise is an input, so sampling is deterministic.

Legend: B batch, D width, K components, S class columns, M hidden units a component.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dataset.codecs.base import Codec
from dataset.errors import require_known
from train.policy.components import Components, one_hot
from train.policy.persistence import Persistence

HIDDEN = 64
"""M, hidden units a component."""


class Head(nn.Module):
    """Logits of all components, and samples from them."""

    columns: Tensor
    sees: Tensor
    owns: Tensor

    def __init__(self, codec: Codec, width: int, *, is_autoregressive: bool) -> None:
        super().__init__()
        self.components = Components.of(codec)
        self.width = width
        self.is_autoregressive = is_autoregressive
        num_components, num_columns = len(self.components.sizes), self.components.num_columns
        self.hidden = nn.Linear(width, num_components * HIDDEN)
        self.output = nn.Linear(HIDDEN, num_columns)
        self.prior = nn.Embedding(num_columns, num_columns)
        nn.init.zeros_(self.prior.weight)
        owner = torch.tensor(self.components.owner)
        slices = torch.arange(num_components).repeat_interleave(HIDDEN)
        if is_autoregressive:
            self.chosen = nn.Embedding(num_columns, num_components * HIDDEN)
            nn.init.normal_(self.chosen.weight, std=0.1)
        self.register_buffer("columns", torch.tensor(self.components.columns), persistent=False)
        self.register_buffer("sees", owner[:, None] < slices[None, :], persistent=False)
        self.register_buffer("owns", owner[:, None] == torch.arange(num_components)[None, :], persistent=False)

    def start_from(self, persistence: Persistence) -> None:
        """Begin near the copycat: its log-likelihoods in the prior."""
        table = persistence.nll_table()
        with torch.no_grad():
            self.prior.weight.zero_()
            for k, (size, column) in enumerate(zip(self.components.sizes, self.components.columns, strict=True)):
                own = slice(column, column + size)
                self.prior.weight[own, own] = -table[k, :size, :size].to(self.prior.weight)
            self.output.bias.zero_()

    def forward(self, y: Tensor, target: Tensor) -> Tensor:
        """Logits [..., S], each component given the earlier ones of ``target`` [..., K].

        Args:
            y: [..., D + S] the backbone's outputs, then the previous controller's one-hot rows (zeros: hidden).
            target: the classes that count as chosen.
        """
        return self.logits(self.hidden(y[..., : self.width]), y[..., self.width :], target)

    def logits(self, hidden: Tensor, held: Tensor, target: Tensor) -> Tensor:
        """What ``forward`` gives, from the hidden units [..., K·M] that ``self.hidden`` makes of the backbone's outputs."""
        if self.is_autoregressive:
            classes = one_hot(target, self.columns, self.components.num_columns)
            hidden = hidden + classes.to(hidden.dtype) @ self._chosen()
        weight = self.output.weight.unsqueeze(1) * self.owns.unsqueeze(2)  # [S, K, M], zero outside a column's slice
        return F.linear(torch.relu(hidden), weight.flatten(1), self.output.bias) + held @ self.prior.weight

    def sample(self, y: Tensor, noise: Tensor, temperature: float | Tensor = 1.0) -> Tensor:
        """Classes int64 [B, K].

        Args:
            y: [B, D + S] as for ``forward``.
            noise: [B, K] uniforms in (0, 1), one a component: the class is the inverse of the cumulative distribution there.
            temperature: divides the logits of every component.
        """
        y, held = y[:, : self.width], y[:, self.width :]
        hidden = cast(Tensor, self.hidden(y))
        prior = held @ self.prior.weight + self.output.bias
        table = self._chosen() if self.is_autoregressive else None
        sizes, columns = self.components.sizes, self.components.columns
        classes: list[Tensor] = []
        for k, (size, column) in enumerate(zip(sizes, columns, strict=True)):
            own = slice(column, column + size)
            units = torch.relu(hidden[:, k * HIDDEN : (k + 1) * HIDDEN])
            logits = F.linear(units, self.output.weight[own]) + prior[:, own]
            classes.append(inverse_cdf(logits / temperature, noise[:, k]))
            if table is not None:
                hidden = hidden + table[own][classes[-1]]
        return torch.stack(classes, dim=-1)

    def _chosen(self) -> Tensor:
        """[S, K·M]: what a chosen class adds to the hidden units of later components, and to no others."""
        return self.chosen.weight * self.sees


def inverse_cdf(logits: Tensor, noise: Tensor) -> Tensor:
    """The class int64 [B] at which the cumulative distribution of logits [B, n] passes noise [B]."""
    cumulative = torch.softmax(logits, dim=-1).cumsum(dim=-1)
    return (cumulative[:, :-1] <= noise[:, None]).sum(dim=-1)


HEADS = {"autoregressive": True, "independent": False}
"""``--head`` names, and whether each component sees those chosen before it."""


def build_head(name: str, codec: Codec, width: int) -> Head:
    """The head that ``--head`` calls ``name``."""
    return Head(codec, width, is_autoregressive=HEADS[require_known("head", name, HEADS)])
