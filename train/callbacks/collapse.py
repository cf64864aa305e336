"""The signs that a policy is collapsing, read from an epoch's val numbers: it plays hardly anything, or worse than a copycat.

In: the report of ``train.measure.metrics``. Out: a sentence a sign, for a person to act on; the run goes on. The surprise: a
low loss is no comfort, since a policy that never moves is right in most frames.
"""

from collections.abc import Mapping
from typing import Any

LEAST_ENTROPY = 0.25
"""Of the players' own: the least that the controllers a healthy policy samples are spread over."""


def collapse_signs(val: Mapping[str, Any]) -> list[str]:
    """What is wrong with a policy of these val numbers; empty if nothing shows."""
    signs: list[str] = []
    ours, theirs = (val["diversity"][f"entropy_{whose}"] for whose in ("sampled", "true"))
    if ours < LEAST_ENTROPY * theirs:
        signs.append(
            f"collapse: the policy plays {val['diversity']['distinct_sampled']} different controllers where the players "
            f"play {val['diversity']['distinct_true']} (entropy {ours:.2f} of {theirs:.2f} nats); lower --lr, or train "
            "for longer"
        )
    if val["nll"] > val["persistence_nll"]:
        signs.append(
            f"collapse: val NLL {val['nll']:.3f} is above the {val['persistence_nll']:.3f} of copying the previous "
            "controller, where training began; lower --lr, or keep --max-grad-norm above 0"
        )
    return signs
