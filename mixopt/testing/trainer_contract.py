"""What every trainer must do. Inherit `TrainerContract` in a test module."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mixopt.mixers import Recorded
from mixopt.ports import Trainer, TrainerInfo, capabilities_of
from mixopt.runs import MixerSpec, Observation, Point, RunSpec, Scale, Schedule
from mixopt.runs.kinds import REPEAT
from mixopt.space import Mixture


class TrainerContract:
    """Inherit it, and override `make` and `scale`.

    The tests prepare the trainer once each, so give it little data.
    """

    scale = Scale(1_000, 10_000)
    """The smallest scale that the trainer can train in a second or so."""

    runtime: ClassVar[Mapping[str, Any]] = {}
    """Other values of settings that the trainer declares as runtime, as many as can be tried."""

    rounding: float = 1e-4
    """By how much, relatively, metrics of one run may differ between two ways to train it."""

    def make(self, **settings: Any) -> Any:
        """A trainer; `settings` are given beside yours.

        Raises:
            NotImplementedError: not overridden.
        """
        raise NotImplementedError

    def cache(self, tmp_path: Path) -> Path:
        """Where the trainer prepares its data; override to share it between tests."""
        return tmp_path

    def specs(self, info: TrainerInfo, seeds: tuple[int, ...] = (0, 1)) -> list[RunSpec]:
        """Runs of one pack: uniform mixtures with some seeds, then the first domain alone."""
        names = tuple(d.name for d in info.domains)
        uniform = Mixture(names, (1.0 / len(names),) * len(names))
        corner = Mixture(names, (1.0, *[0.0] * (len(names) - 1)))
        runs = [RunSpec(uniform, self.scale, seed, data=info.data) for seed in seeds]
        return [*runs, RunSpec(corner, self.scale, seeds[0], data=info.data)]

    def test_is_a_trainer(self) -> None:
        """It has the methods of the port."""
        assert isinstance(self.make(), Trainer)

    def test_preparing_twice_gives_the_same(self, tmp_path: Path) -> None:
        """The hash of the data is stable; names are unique; notes are plain JSON."""
        cache = self.cache(tmp_path)
        info = self.make().prepare(cache)
        assert info == self.make().prepare(cache)
        assert info.data
        assert isinstance(info.unit, str)  # empty where nobody knows it
        names = [d.name for d in info.domains]
        assert len(set(names)) == len(names) > 0
        assert len(set(info.metrics)) == len(info.metrics) > 0
        assert all(d.tokens is None or d.tokens > 0 for d in info.domains)
        json.dumps(dict(info.notes))

    def test_every_run_is_answered_in_order(self, tmp_path: Path) -> None:
        """With the metrics, costs and token counts that were announced."""
        cache, trainer = self.cache(tmp_path), self.make()
        info = trainer.prepare(cache)
        specs = self.specs(info)
        back = trainer.train(specs, cache)
        assert [o.spec for o in back] == specs
        for seen in back:
            self.check(seen, info)

    def check(self, seen: Observation, info: TrainerInfo) -> None:
        """One observation by itself."""
        assert seen.ok, seen.error
        assert set(seen.metrics) == set(info.metrics)
        assert all(np.isfinite(v) for v in seen.metrics.values())
        assert seen.flops > 0
        assert seen.seconds >= 0
        steps = [p.tokens for p in seen.curve]
        assert steps == sorted(set(steps))
        assert all(0 < t <= seen.spec.scale.tokens for t in steps)
        assert Observation.from_dict(json.loads(json.dumps(seen.to_dict()))) == seen

    def scheduled(self, info: TrainerInfo) -> RunSpec:
        """A run in three phases: the first domain, all the others, all of them evenly."""
        names, tokens = tuple(d.name for d in info.domains), self.scale.tokens
        m = len(names)
        first = Mixture(names, (1.0, *[0.0] * (m - 1)))
        others = Mixture(names, (0.0, *[1.0 / (m - 1)] * (m - 1))) if m > 1 else first
        every = Mixture(names, (1.0 / m,) * m)
        ends = (tokens // 4, tokens // 2, tokens)
        schedule = Schedule(tuple(zip(ends, (first, others, every), strict=True)))
        return RunSpec.scheduled(schedule, self.scale, data=info.data)

    def test_tokens_follow_the_mixture(self, tmp_path: Path) -> None:
        """Realised shares are the asked ones within 2 % of the budget; zero stays zero.

        A trainer that does not know what was drawn says nothing.
        """
        cache, trainer = self.cache(tmp_path), self.make()
        info = trainer.prepare(cache)
        for seen in trainer.train(self.specs(info, seeds=(0,)), cache):
            if seen.realised is None:
                assert not seen.tokens
                continue
            assert seen.realised.follows(seen.spec.mixture)
            total = sum(seen.tokens.values())
            for domain, share in seen.spec.mixture.to_dict().items():
                realised = seen.tokens.get(domain, 0) / total
                assert abs(realised - share) <= 0.02
                assert share > 0 or realised == 0

    def test_tokens_follow_the_schedule_or_it_is_refused(self, tmp_path: Path) -> None:
        """Phase by phase to the grain of the trainer; a refusal is no matter to the other runs."""
        cache, trainer = self.cache(tmp_path), self.make()
        info = trainer.prepare(cache)
        spec, static = self.scheduled(info), self.specs(info)[0]
        seen, beside = trainer.train([spec, static], cache)
        assert seen.spec == spec
        assert beside.ok, beside.error
        if spec.is_static:
            return  # one domain: there is nothing to schedule
        if not capabilities_of(trainer).schedules:
            assert not seen.ok
            assert "schedule" in seen.error
            assert type(trainer).__name__ in seen.error
            return
        self.check(seen, info)
        if seen.realised is None:
            return
        grain, start = seen.realised.grain, 0
        for (end, drawn), (until, mixture) in zip(seen.realised.phases, spec.phases, strict=True):
            assert abs(end - until) <= grain
            for domain, share in mixture.to_dict().items():
                assert abs(drawn.get(domain, 0) - share * (end - start)) <= grain
                assert share > 0 or not drawn.get(domain)
            start = end

    def test_a_schedule_of_equal_phases_is_the_run_without_it(self, tmp_path: Path) -> None:
        """The same run, with the same metrics."""
        cache, trainer = self.cache(tmp_path), self.make()
        plain = self.specs(trainer.prepare(cache))[0]
        half = (self.scale.tokens // 2, plain.mixture)
        phases = Schedule((half, (self.scale.tokens, plain.mixture)))
        spec = RunSpec.scheduled(phases, self.scale, seed=plain.seed, data=plain.data)
        assert spec == plain
        assert spec.run_id == plain.run_id
        one, other = trainer.train([spec], cache)[0], self.make().train([plain], cache)[0]
        assert one.metrics == other.metrics
        assert one.realised == other.realised

    def test_a_mixer_that_it_does_not_know_is_refused(self, tmp_path: Path) -> None:
        """By name, instead of a run that never mixes."""
        cache, trainer = self.cache(tmp_path), self.make()
        spec = replace(self.specs(trainer.prepare(cache))[0], mixer=MixerSpec("no-such-mixer"))
        (seen,) = trainer.train([spec], cache)
        assert not seen.ok
        assert "no-such-mixer" in seen.error

    def test_a_mixer_that_changes_nothing_is_the_run_without_it(self, tmp_path: Path) -> None:
        """Where mixing is declared; and it is recorded, with the tokens that were drawn."""
        cache, trainer = self.cache(tmp_path), self.make()
        plain = self.specs(trainer.prepare(cache))[0]
        mixing = capabilities_of(trainer).mixing
        if mixing is None:
            return
        spec = replace(plain, mixer=MixerSpec("fixed", {"every": 2}))
        ours, theirs = trainer.train([spec], cache)[0], trainer.train([plain], cache)[0]
        assert ours.ok, ours.error
        for name, value in theirs.metrics.items():
            np.testing.assert_allclose(ours.metrics[name], value, rtol=self.rounding)
        assert ours.realised is not None
        assert ours.realised.follows(plain.mixture)
        kept = Recorded.of(ours)
        assert kept is not None
        assert kept.name == "fixed"
        assert 0.99 <= kept.cost_ratio <= 1.2
        json.dumps(dict(ours.info))

    def test_a_signal_that_it_does_not_give_is_refused_by_name(self, tmp_path: Path) -> None:
        """Before anything is trained."""
        cache, trainer = self.cache(tmp_path), self.make()
        plain = self.specs(trainer.prepare(cache))[0]
        mixing = capabilities_of(trainer).mixing
        if mixing is None or "gate_load" in mixing.signals:
            return
        (seen,) = trainer.train([replace(plain, mixer=MixerSpec("moe"))], cache)
        assert not seen.ok
        assert "gate_load" in seen.error

    def test_the_same_run_gives_the_same_metrics(self, tmp_path: Path) -> None:
        """Alone or in a pack, whatever its kind."""
        cache, trainer = self.cache(tmp_path), self.make()
        specs = self.specs(trainer.prepare(cache))
        packed = trainer.train(specs, cache)
        alone = self.make().train([replace(specs[1], kind=REPEAT)], cache)
        for name, value in packed[1].metrics.items():
            np.testing.assert_allclose(alone[0].metrics[name], value, rtol=1e-4)

    def test_runtime_settings_change_no_number(self, tmp_path: Path) -> None:
        """Neither the data nor a metric: what they change is no other run."""
        declared = capabilities_of(self.make()).runtime
        assert set(self.runtime) <= declared
        assert self.runtime or not declared, "say in `runtime` what can be tried"
        cache, trainer = self.cache(tmp_path), self.make()
        other, elsewhere = self.make(**self.runtime), tmp_path / "elsewhere"
        info = trainer.prepare(cache)
        assert other.prepare(elsewhere) == info
        (spec, *_) = self.specs(info)
        (ours,), (theirs,) = trainer.train([spec], cache), other.train([spec], elsewhere)
        assert ours.run_id == theirs.run_id
        assert set(ours.metrics) == set(theirs.metrics)
        for name, value in ours.metrics.items():
            np.testing.assert_allclose(theirs.metrics[name], value, rtol=1e-4)

    def test_a_pack_has_a_preferred_size(self, tmp_path: Path) -> None:
        """Where packs are declared."""
        trainer, cache = self.make(), self.cache(tmp_path)
        if not capabilities_of(trainer).packs:
            return
        trainer.prepare(cache)
        assert trainer.preferred_pack(self.scale, cache) >= 1

    def test_a_continued_run_is_the_whole_run_for_the_rest_of_its_cost(
        self, tmp_path: Path
    ) -> None:
        """Where continuing is declared; and what was kept for it is forgotten when told so."""
        if not capabilities_of(self.make()).continues:
            return
        cache, elsewhere = tmp_path / "continued", tmp_path / "whole"
        trainer = self.make(continue_to=2 * self.scale.tokens)
        (short, *_) = self.specs(trainer.prepare(cache))
        long = replace(short, scale=Scale(self.scale.params, 2 * self.scale.tokens))
        (first,), (rest,) = trainer.train([short], cache), trainer.train([long], cache)
        plain = self.make()
        plain.prepare(elsewhere)
        (whole,) = plain.train([long], elsewhere)
        assert first.ok
        assert rest.flops < 0.95 * whole.flops
        for name, value in whole.metrics.items():
            np.testing.assert_allclose(rest.metrics[name], value, rtol=1e-3)
        trainer.forget([short, long], cache)
        (again,) = trainer.train([replace(long, seed=short.seed)], cache)
        assert again.flops >= 0.99 * whole.flops

    def test_a_run_that_parts_from_another_pays_for_its_own_part_alone(
        self, tmp_path: Path
    ) -> None:
        """Where branching is declared; until it is told to forget."""
        if not capabilities_of(self.make()).branches:
            return
        cache, elsewhere, tokens = tmp_path / "parted", tmp_path / "whole", self.scale.tokens
        trainer, plain = self.make(branch_at=tokens // 2), self.make()
        one, _, corner = self.specs(trainer.prepare(cache))
        plain.prepare(elsewhere)
        parts = Schedule(((tokens // 2, one.mixture), (tokens, corner.mixture)))
        other = RunSpec.scheduled(parts, self.scale, seed=one.seed, data=one.data)
        (first,), (rest,) = trainer.train([one], cache), trainer.train([other], cache)
        (whole,) = plain.train([other], elsewhere)
        assert first.ok
        assert rest.flops < 0.95 * whole.flops
        for name, value in whole.metrics.items():
            np.testing.assert_allclose(rest.metrics[name], value, rtol=1e-3)
        trainer.forget([one, other], cache)
        (again,) = trainer.train([other], cache)
        assert again.flops >= 0.99 * whole.flops

    def test_a_decay_is_part_of_what_is_trained(self, tmp_path: Path) -> None:
        """Where it is declared; the data stay the same."""
        if not capabilities_of(self.make()).decays:
            return
        cache, trainer, late = self.cache(tmp_path), self.make(), self.make(decay=0.1)
        info = trainer.prepare(cache)
        assert late.prepare(cache).data == info.data
        (spec, *_) = self.specs(info)
        (ours,), (theirs,) = trainer.train([spec], cache), late.train([spec], cache)
        assert ours.metrics != theirs.metrics

    def test_injections_are_part_of_what_is_trained(self, tmp_path: Path) -> None:
        """Where they are declared: each has its metrics, and is read by runs that inject it."""
        if not capabilities_of(self.make()).injects:
            return
        asked = {"probes": ["b a"], "controls": ["c d"]}
        given = {"one": {"documents": ["a b"], **asked}, "two": {"documents": ["a c"], **asked}}
        cache, trainer = self.cache(tmp_path), self.make(injections=given)
        none = self.make(injections=given, inject=[])
        info = trainer.prepare(cache)
        assert none.prepare(cache).data == info.data
        (spec, *_) = self.specs(info)
        (ours,) = trainer.train([spec], cache)
        for name in given:
            assert f"difference/{name}" in info.metrics
            told = ours.metrics[f"injection/{name}"] - ours.metrics[f"control/{name}"]
            np.testing.assert_allclose(ours.metrics[f"difference/{name}"], told, atol=1e-9)
        assert ours.realised is not None
        assert set(ours.realised.injected) == set(given)

    def test_matched_repetition_changes_what_is_trained(self, tmp_path: Path) -> None:
        """Where it is declared: a target that repeats a lot has proxies that repeat a lot."""
        if not capabilities_of(self.make()).matches_repetition:
            return
        cache, trainer = self.cache(tmp_path), self.make()
        info = trainer.prepare(cache)
        few = {d.name: self.scale.tokens / 100 for d in info.domains}
        told = self.make(match_repetition={"budget": self.scale.tokens, "tokens": few})
        assert told.prepare(cache).data == info.data
        (spec, *_) = self.specs(info)
        (free,), (matched,) = trainer.train([spec], cache), told.train([spec], cache)
        assert free.metrics != matched.metrics

    def test_seeds_and_mixtures_matter(self, tmp_path: Path) -> None:
        """Another seed, or another mixture, gives other metrics."""
        cache, trainer = self.cache(tmp_path), self.make()
        back = trainer.train(self.specs(trainer.prepare(cache)), cache)
        assert back[0].metrics != back[1].metrics
        assert back[0].metrics != back[2].metrics

    def test_progress_is_on_the_curve(self, tmp_path: Path) -> None:
        """What is reported is in the observation as well."""
        cache, trainer = self.cache(tmp_path), self.make()
        reports: list[tuple[RunSpec, Point]] = []
        specs = self.specs(trainer.prepare(cache))
        back = trainer.train(specs, cache, lambda spec, point: reports.append((spec, point)))
        for spec, point in reports:
            seen = back[specs.index(spec)]
            assert point.tokens in {p.tokens for p in seen.curve} | {spec.scale.tokens}
