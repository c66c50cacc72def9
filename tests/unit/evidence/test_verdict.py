"""One verdict and one headline, made of what was measured, and no more."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt import Mixture, Objective, Observation, RunSpec, Scale
from mixopt.diagnostics.gates import Gate
from mixopt.diagnostics.trust import Trust
from mixopt.evidence.confirmation import Confirmation, confirm
from mixopt.evidence.numbers import number, percent, signed
from mixopt.evidence.verdict import (
    Unanswered,
    headline,
    in_words,
    judge,
    plan_in_words,
    rival_of,
    weighed,
)
from mixopt.proposers import Gain, Recommendation
from mixopt.runs import Schedule
from mixopt.runs.kinds import Kind

LOSS = Objective.of("loss")
PROPOSAL = Mixture.of({"web": 0.5123, "code": 0.4877})
ANSWER = Recommendation(PROPOSAL, value=2.0, sd=0.1, metrics={}, intervals={})
MIXTURES = {
    "recommended": PROPOSAL,
    "natural": Mixture.of({"web": 0.9, "code": 0.1}),
    "best-random": Mixture.of({"web": 0.6, "code": 0.4}),
}
TRUSTED = Trust("trust", (Gate("seed noise", "yes", "little noise"),))


def shown(**values: list[float]) -> Confirmation:
    seen = []
    for key, losses in values.items():
        name = key.replace("_", "-")
        for seed, loss in enumerate(losses):
            spec = RunSpec(MIXTURES[name], Scale(1, 1), seed=seed, kind=Kind.confirmation(name))
            seen.append(Observation.of(spec, {"loss": loss}))
    return confirm(seen, LOSS)


CASES = {
    "passed": (shown(recommended=[2.0, 2.02], natural=[2.5, 2.52]), "Shown", "trust"),
    "unclear": (shown(recommended=[2.0, 2.04], natural=[2.03, 2.07]), "Not shown", "ranking only"),
    "tied": (shown(recommended=[2.0, 2.04], natural=[2.0, 2.04]), "Not shown", "do not trust"),
    "lost": (shown(recommended=[2.5, 2.52], natural=[2.0, 2.02]), "Not shown", "do not trust"),
    "beaten": (
        shown(recommended=[2.0, 2.02], natural=[2.5, 2.52], best_random=[1.5, 1.52]),
        "Beaten",
        "do not trust",
    ),
    "one seed": (shown(recommended=[2.0], natural=[2.5]), "Not tested", "trust"),
    "no baseline": (shown(recommended=[2.0, 2.02]), "Not tested", "trust"),
    "unknown": (None, "Not tested", "trust"),
}


def test_a_schedule_that_hardly_moves_is_told_as_its_mean() -> None:
    """Four pieces a tenth of a percentage point apart are no news; those that move are told."""
    one, other = (Mixture.of({"web": w, "code": 1.0 - w}) for w in (0.501, 0.499))
    still = Schedule(((50, one), (100, other)))
    told = plan_in_words(still.mean, still)
    assert (
        told
        == "50.0 % web and 50.0 % code, which moved by at most 0.1 % of the tokens over the run"
    )
    moving = Schedule(((50, MIXTURES["natural"]), (100, PROPOSAL)))
    assert "90.0 % web and 10.0 % code until 50 % of the run" in plan_in_words(moving.mean, moving)


@pytest.mark.parametrize("case", CASES)
def test_headline_verdict_and_trust_say_the_same(case: str) -> None:
    confirmation, badge, level = CASES[case]
    found, told = judge(confirmation), headline(ANSWER, confirmation, LOSS, "nats")
    trust = weighed(TRUSTED, confirmation)
    assert found.badge == badge
    assert trust.level == level
    assert ("Train on 51.2 % web" in told) == (badge == "Shown")
    assert ("Train on the best random run" in told) == (badge == "Beaten")
    doubted = badge.startswith("Not") and confirmation is not None
    assert told.startswith("Not") == doubted
    assert "51.2 % web and 48.8 % code" in told
    states = {gate.name: gate.state for gate in trust.gates}
    expected = {"Shown": "yes", "Not tested": None}.get(badge, "no")
    assert states.get("comparison with fresh seeds") == expected
    assert ("fresh seeds" in " ".join(trust.unasked)) == (badge == "Not tested")
    if confirmation is not None:
        assert number(confirmation.recommended.mean) in told
    assert "−0" not in told.replace("−0.", "")
    assert "0.0000" not in told


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("passed", "0.5000 lower (better) than the natural mixture, beyond noise"),
        ("unclear", "0.0300 lower (better) than the natural mixture, within noise"),
        ("tied", "the same as the natural mixture"),
        ("lost", "0.5000 higher (worse) than the natural mixture, beyond noise"),
        ("beaten", "60.0 % web and 40.0 % code: measured 1.5100 nats on loss; the proposal"),
        (
            "one seed",
            "over 1 fresh seed, 0.5000 lower (better) than the natural mixture, noise unk",
        ),
    ],
)
def test_a_difference_is_said_with_its_noise(case: str, words: str) -> None:
    assert words in headline(ANSWER, CASES[case][0], LOSS, "nats")


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (Gain(0.2, 0.01, 0.199), "0.1990 lower (better) than the natural mixture, beyond the"),
        (Gain(0.2, 0.15, 0.0875), "0.0875 lower (better) than the natural mixture, within the"),
        (Gain(0.1, 0.2, 0.0), "no better than the natural mixture once luck is allowed for"),
        (Gain(0.0, 0.0, 0.0), "the same as the natural mixture"),
        (Gain(-0.1, 0.2, -0.1), "0.1000 higher (worse) than the natural mixture"),
        (Gain(np.nan, np.nan, np.nan), "unknown against the natural mixture"),
    ],
)
def test_a_predicted_gain_is_said_with_its_error(gain: Gain, words: str) -> None:
    told = headline(replace(ANSWER, gains={"natural": gain}), None, LOSS)
    assert told.startswith("Predicted best, not tested: 51.2 % web and 48.8 % code; predicted 2.0")
    assert words in told


def test_of_one_metric_that_is_maximised_the_values_are_said_as_they_were_measured() -> None:
    acc, gain = Objective.of((), "acc"), {"natural": Gain(0.2, 0.01, 0.199)}
    told = headline(replace(ANSWER, value=-0.5, gains=gain), None, acc)
    assert "predicted 0.5000 on acc, 0.1990 higher (better) than the natural mixture" in told
    lost = headline(ANSWER, CASES["lost"][0], acc, "")
    assert "0.5000 lower (worse) than the natural mixture" in lost
    both = Objective.of(["loss"], ["acc"])  # of a mean the sign is that of what is minimised
    told = headline(replace(ANSWER, value=-0.5, gains=gain), None, both)
    assert "predicted −0.5000 on mean of -acc, loss, 0.1990 lower (better)" in told
    scaled = replace(acc, scales={"acc": 2.0})
    assert "on -acc" in headline(replace(ANSWER, gains=gain), None, scaled)


def test_the_best_random_run_is_a_rival_beyond_noise_alone() -> None:
    near = shown(recommended=[2.0, 2.02], natural=[2.5, 2.52], best_random=[1.99, 2.01])
    assert rival_of(near) is None
    assert judge(near).badge == "Shown"
    far = CASES["beaten"][0]
    assert far is not None
    assert rival_of(far) is not None


@given(
    st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=9).map(
        lambda raw: Mixture(
            tuple(f"d{i}" for i in range(len(raw))), tuple(w / sum(raw) for w in raw)
        )
    )
)
def test_shares_in_words_are_those_of_the_tables(mixture: Mixture) -> None:
    told = in_words(mixture)
    assert "-0" not in told
    assert "−" not in told
    largest = max(mixture.to_dict().items(), key=lambda item: item[1])
    assert f"{percent(largest[1])} " in told


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_no_number_is_a_negative_zero(value: float) -> None:
    for text in (number(value), signed(value), percent(value), percent(value, 0)):
        assert text.replace("−", "-") not in {"-0 %", "-0.0 %", "-0.0000", "+0.0000", "-0"}


def test_a_sweep_without_an_answer_says_why_and_counts_the_reasons() -> None:
    spec = RunSpec(PROPOSAL, Scale(1, 1))
    seen = [Observation.failure(replace(spec, seed=i), "disk full") for i in range(3)]
    seen.append(Observation.failure(replace(spec, seed=9), "diverged"))
    found = Unanswered.of("none of 4 runs succeeded", seen, ["odd data"])
    summary = found.summary()
    assert summary["recommended"] is None
    assert summary["failures"] == [
        {"reason": "disk full", "runs": 3},
        {"reason": "diverged", "runs": 1},
    ]
    assert (summary["runs"], summary["failed"]) == (4, 4)
    assert summary["verdict"] == "none of 4 runs succeeded"
    assert found.verdict.badge == "No answer yet"
