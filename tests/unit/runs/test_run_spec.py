"""What a run is: identity, round trips, failures."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt import InputError, Mixture, Observation, Point, RunSpec, Scale
from mixopt.runs import short_number
from mixopt.runs.kinds import Kind

shares = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6).filter(lambda w: sum(w) > 0.01)


def spec(**changes: object) -> RunSpec:
    fields = {
        "mixture": Mixture.of({"web": 0.7, "code": 0.3}),
        "scale": Scale(1000, 64_000),
        "seed": 3,
        "trainer": "proxies:LanguageModelTrainer",
        "config": {"corpus": "builtin", "nested": {"lr": 0.1}},
        "data": "abc",
    }
    return RunSpec(**{**fields, **changes})  # type: ignore[arg-type]


@given(shares, st.integers(0, 2**31), st.integers(1, 10**12))
def test_a_spec_survives_json_with_its_identity(w: list[float], seed: int, tokens: int) -> None:
    mixture = Mixture.of({f"d{i}": x for i, x in enumerate(w)}, renormalize=True)
    before = spec(mixture=mixture, seed=seed, scale=Scale(10, tokens))
    after = RunSpec.from_dict(json.loads(json.dumps(before.to_dict())))
    assert after == before
    assert after.run_id == before.run_id


def test_identity_is_what_is_trained_and_nothing_else() -> None:
    base = spec().run_id
    assert spec(kind=Kind.confirmation("natural")).run_id == base
    assert spec(config={"nested": {"lr": 0.1}, "corpus": "builtin"}).run_id == base
    assert spec(mixture=Mixture.of({"code": 0.3, "web": 0.7})).run_id == base
    assert spec(mixture=Mixture.of({"web": 0.7, "code": 0.3, "new": 0.0})).run_id == base
    others = [
        spec(seed=4),
        spec(mixture=Mixture.of({"web": 0.69, "code": 0.31})),
        spec(scale=Scale(1000, 65_000)),
        spec(scale=Scale(1001, 64_000)),
        spec(trainer="other:Trainer"),
        spec(config={"corpus": "builtin", "nested": {"lr": 0.2}}),
        spec(data="abd"),
    ]
    assert len({base, *(o.run_id for o in others)}) == 1 + len(others)


def test_a_metric_that_is_not_finite_is_a_failed_run_with_the_reason() -> None:
    seen = Observation.of(spec(), {"code": 2.0, "web": float("nan")}, flops=5.0)
    assert not seen.ok
    assert seen.metrics == {}
    assert seen.flops == 5.0
    assert "'web' is nan" in seen.error


def test_an_observation_survives_json() -> None:
    seen = Observation.of(
        spec(),
        {"code": 2.5},
        curve=(Point(32_000, {"code": 3.0}),),
        flops=1e12,
        seconds=2.5,
        tokens={"web": 44_800, "code": 19_200},
        info={"epochs": {"web": 0.1}},
    )
    assert Observation.from_dict(json.loads(json.dumps(seen.to_dict()))) == seen


@pytest.mark.parametrize(("params", "tokens"), [(0, 10), (10, -1), (1.5, 10), (10, float("inf"))])
def test_a_scale_is_positive_whole_numbers(params: float, tokens: float) -> None:
    with pytest.raises(InputError, match="whole number above 0"):
        Scale(params, tokens)  # type: ignore[arg-type]


def test_flops_are_six_n_d() -> None:
    assert Scale(30_000_000, 3_000_000_000).flops == pytest.approx(5.4e17)


@pytest.mark.parametrize(
    ("value", "text"), [(262_144, "262k"), (25e9, "25G"), (100, "100"), (1.5e6, "1.5M")]
)
def test_counts_for_people(value: float, text: str) -> None:
    assert short_number(value) == text
