"""What a run is: identity, round trips, failures."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt import (
    InputError,
    MixerSpec,
    Mixture,
    Observation,
    Point,
    Realised,
    RunSpec,
    Scale,
    Schedule,
)
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
        realised=Realised.whole({"web": 44_800, "code": 19_200}, 640),
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
    ("value", "text"),
    [
        (262_144, "262k"),
        (25e9, "25B"),
        (100, "100"),
        (1.5e6, "1.5M"),
        (999, "999"),
        (1e3, "1k"),
        (1e6, "1M"),
        (1e9, "1B"),
        (1e12, "1T"),
        (2e15, "2P"),
    ],
)
def test_counts_for_people(value: float, text: str) -> None:
    assert short_number(value) == text


# -- schedules -------------------------------------------------------------------------------------

WEB, CODE = Mixture.of({"web": 1.0}), Mixture.of({"code": 1.0})
SCALE = Scale(1000, 64_000)
TWO = Schedule(((48_000, WEB), (64_000, CODE)))


def test_runs_of_one_mixture_keep_the_identity_that_they_had_before_there_were_schedules() -> None:
    """Identities of the four runs, made with the commit before schedules came (3b72ce6)."""
    million = Scale(10**6, 10**8)
    runs = [
        RunSpec(Mixture.of({"web": 0.5, "code": 0.3, "math": 0.2}), million),
        RunSpec(
            Mixture.of({"web": 0.5, "code": 0.5, "math": 0.0}),
            million,
            seed=7,
            trainer="proxies:LanguageModelTrainer",
            config={"vocab": 512, "a": {"b": [1, 2.5]}},
            data="d" * 64,
        ),
        RunSpec(
            Mixture.of({"web": 1 / 3, "code": 1 / 3, "math": 1 / 3}),
            Scale(123456, 654321),
            seed=1,
            data="x",
        ),
        RunSpec(Mixture.of({"only": 1.0}), Scale(1, 1)),
    ]
    assert [run.run_id for run in runs] == [
        "0fa28305113dfa45",
        "32db6447eaf54d0b",
        "012d50c8674f1bf3",
        "d29f4b6a8dbcf9da",
    ]


def test_a_schedule_of_one_mixture_is_the_run_without_it() -> None:
    mixture = Mixture.of({"web": 0.7, "code": 0.3})
    phases = Schedule(((1000, mixture), (64_000, Mixture.of({"code": 0.3, "web": 0.7}))))
    assert spec(schedule=phases) == spec()
    assert spec(schedule=phases).run_id == spec().run_id
    assert spec().phases == ((64_000, mixture),)
    assert spec().is_static


def test_schedule_and_mixer_are_part_of_what_a_run_is() -> None:
    two = RunSpec.scheduled(TWO, SCALE, seed=3)
    assert two.mixture.to_dict() == {"web": 0.75, "code": 0.25}
    assert not two.is_static
    swapped = Schedule(((16_000, CODE), (64_000, WEB)))
    runs = [
        two,
        RunSpec.scheduled(swapped, SCALE, seed=3),
        RunSpec(two.mixture, SCALE, seed=3),
        RunSpec(two.mixture, SCALE, seed=3, mixer=MixerSpec("odm")),
        RunSpec(two.mixture, SCALE, seed=3, mixer=MixerSpec("odm", {"every": 2})),
        RunSpec.scheduled(TWO, SCALE, seed=3, mixer=MixerSpec("odm")),
    ]
    assert len({run.run_id for run in runs}) == len(runs)
    for run in runs:
        again = RunSpec.from_dict(json.loads(json.dumps(run.to_dict())))
        assert again == run
        assert again.run_id == run.run_id
    renamed = Schedule(((48_000, Mixture.of({"new": 0.0, "web": 1.0})), (64_000, CODE)))
    assert RunSpec.scheduled(renamed, SCALE, seed=3).run_id == two.run_id


def test_plans_are_shared_by_repeats_and_by_scales_of_one_mixture() -> None:
    assert spec(seed=4).plan == spec(scale=Scale(9, 9)).plan == spec().plan
    assert RunSpec.scheduled(TWO, SCALE).plan == RunSpec.scheduled(TWO, SCALE, seed=1).plan
    assert RunSpec.scheduled(TWO, SCALE).plan != RunSpec(TWO.mean, SCALE).plan
    mixer = MixerSpec("odm")
    assert spec(mixer=mixer).plan == spec(mixer=mixer, seed=9).plan
    assert spec(mixer=mixer).plan != spec(mixer=mixer, scale=Scale(9, 9)).plan


def test_a_run_as_it_stands_on_the_way() -> None:
    two = RunSpec.scheduled(TWO, SCALE, seed=3)
    assert two.until(48_000) == RunSpec(TWO.at(0), Scale(1000, 48_000), seed=3)
    later = two.until(50_000)
    assert later.schedule == TWO.until(50_000)
    assert later.mixture["code"] == pytest.approx(0.04)
    assert spec().until(32_000) == spec(scale=Scale(1000, 32_000))


def test_a_schedule_that_contradicts_its_run_is_refused() -> None:
    with pytest.raises(InputError, match="ends at 64000 tokens and the run at 64001"):
        RunSpec.scheduled(TWO, Scale(1000, 64_001))
    with pytest.raises(
        InputError, match=r"'\w+' 0\.\d+ and the schedule 0\.\d+ on average; RunSpec"
    ):
        RunSpec(Mixture.of({"web": 0.74, "code": 0.26}), SCALE, schedule=TWO)


def test_records_from_before_phases_were_counted_are_read() -> None:
    values = Observation.of(spec(), {"code": 2.5}).to_dict()
    del values["realised"]
    seen = Observation.from_dict({**values, "tokens": {"web": 44_800, "code": 19_200}})
    assert seen.tokens == {"web": 44_800, "code": 19_200}
    assert seen.realised is not None
    assert Observation.from_dict({**values, "tokens": {}}).realised is None
