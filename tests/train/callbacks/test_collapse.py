from train.callbacks.collapse import collapse_signs


def numbers(*, nll: float = 1.0, entropy: float = 3.0) -> dict[str, object]:
    diversity = {"distinct_sampled": 7, "distinct_true": 90, "entropy_sampled": entropy, "entropy_true": 4.0}
    return {"nll": nll, "persistence_nll": 2.0, "diversity": diversity}


def test_a_policy_that_learns_shows_no_sign() -> None:
    assert collapse_signs(numbers()) == []
    assert collapse_signs(numbers(nll=2.0, entropy=1.0)) == []


def test_a_policy_that_plays_hardly_anything_is_told_of() -> None:
    assert collapse_signs(numbers(entropy=0.99)) == [
        "collapse: the policy plays 7 different controllers where the players play 90 (entropy 0.99 of 4.00 nats); lower "
        "--lr, or train for longer"
    ]


def test_a_policy_that_does_worse_than_a_copycat_is_told_of() -> None:
    assert collapse_signs(numbers(nll=2.5)) == [
        "collapse: val NLL 2.500 is above the 2.000 of copying the previous controller, where training began; lower --lr, "
        "or keep --max-grad-norm above 0"
    ]
