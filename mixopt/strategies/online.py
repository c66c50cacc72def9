"""Methods that mix inside a run, as recipes: run them, and hold them against what they must beat.

Every online method is tried the way its paper runs it, then compared, with fresh seeds and at equal
cost, with its own time average trained anew, uniform (stratified) sampling, the natural mixture,
and an offline recommendation where one is given. What a method spends on probes, branches, looks
and a reference run counts: the others train on so many more tokens.

Notation:
    r: cost of a method's run over that of plain training for as many tokens
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from mixopt import designs, laws
from mixopt.errors import InputError
from mixopt.mixers import Mixer, MixerSpec, Needs, Recorded, Setup, mixer, mixer_of
from mixopt.proposers import Surrogate
from mixopt.runs import Kind, Observation, RunSpec, Scale, Schedule, What
from mixopt.runs.kinds import PROPOSAL, RECOMMENDED, TIME_AVERAGE
from mixopt.runs.objective import Objective, judged, objective_of
from mixopt.space import Mixture, plain
from mixopt.space.numbers import Within
from mixopt.strategies.base import Answer, Answers, Problem, Traits
from mixopt.strategies.comparisons import compared
from mixopt.strategies.known import known_ids
from mixopt.strategies.ledger import Ledger, Memo, check_recipe, fit, fitted_to
from mixopt.strategies.phases import sent_to_confirmation

ONLINE = "online"
OFFLINE = "offline"
_SAME_TOKENS = ", same tokens"  # of a static candidate that is not trained for longer
_PIECES = 4  # of the schedule that stands for a run; the course has all of it
_LOOKS = 0.1  # of plain training, before it is known
_SAME_COST = 0.02  # below this a difference in cost is not worth runs of another length
_FROM_NATURAL = {"ado", "velocitune", "cyclical", "fixed", "dml"}
"""Methods whose papers start from the prior; the others start from equal shares."""
_OWN_TARGETS = {"r&b", "velocitune"}
"""Methods that steer by one target for each domain, whatever the objective."""


@dataclass(frozen=True)
class Online(Answers):
    """One or more online methods, each compared with its own time average and with baselines.

    First every method, natural and uniform are trained once at the smallest scale, then the time
    average of each method. The method whose product is best is recommended: the run itself, with
    the course that its mixture took, or its average (as its authors do). All are then confirmed
    with fresh seeds at the target. A run is answered as the schedule that it followed, in 4 pieces
    of one length; its record has all of them.

    Attributes:
        methods: names of `mixopt.mixers.MIXERS`, or name to settings.
        start: where runs begin: `"uniform"`, `"natural"`, or domain to share; None: as each paper.
        steer: what methods look at: `"objective"`, its metrics by their weights, or `"domains"`,
            the training domains' own metrics; None: the objective, where the method can.
        offline: the mixture of an offline search, domain to share (in a spec also the folder of
            its sweep, a file or `models:/name@alias`); None: there is none.
        equal: `"cost"`: mixtures that do not change train for as long as the method's cost allows;
            `"tokens"`: all train for the same tokens; `"both"`: natural, uniform and the offline
            mixture are trained once with each.
        confirm_seeds: fresh seeds per candidate; 0 trains no confirmation.
    """

    traits: ClassVar[Traits] = Traits(mixers=True)

    methods: Mapping[str, Mapping[str, Any]] | tuple[str, ...] | list[str] = ("aioli", "ado", "odm")
    start: Literal["uniform", "natural"] | Mapping[str, float] | None = None
    steer: Literal["objective", "domains"] | None = None
    offline: Mapping[str, float] | None = None
    equal: Literal["cost", "tokens", "both"] = "cost"
    confirm_seeds: Annotated[int, Within(0, 1000)] = 3
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_recipe(self)
        if not self.methods:
            raise InputError("methods names none; name one mixer at least")
        for name, settings in self._settings().items():
            mixer(name, **settings)

    def check(self, problem: Problem, metrics: Sequence[str]) -> None:
        """Refuse a pool, a metric to be maximised, and what a method cannot work in.

        Raises:
            InputError: see above.
        """
        del metrics
        if problem.pool:
            raise InputError(
                "a pool holds single mixtures, and an online method changes its mixture on the "
                "way; name a trainer that trains"
            )
        self.check_question(problem.objective, problem.config)
        if self.offline is not None:
            problem.space.mixture(self.offline)
        for spec in self._specs(problem).values():
            steps = max(spec.scale.tokens, 10**9)  # periods are checked by the trainer
            mixer_of(_mixer(spec)).start(Setup.of(spec, steps, problem.space.names))

    def check_question(self, objective: Objective, config: Mapping[str, Any]) -> None:
        """Refuse a metric to be maximised.

        Raises:
            InputError: see above.
        """
        del config
        for name in objective.maximize:
            raise InputError(
                f"online methods steer by losses, and {name!r} is to be maximised; minimise a loss"
            )

    def mixers(self) -> dict[str, dict[str, Any]]:
        """Names of the methods with their settings."""
        return self._settings()

    def needs(self) -> dict[str, Needs]:
        """What each method asks of the trainer, by name."""
        return {name: self._made(name).needs() for name in self._settings()}

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """Methods and baselines; the time averages; then the confirmation."""
        known, seen = known_ids(observations, pending), _by_id(problem, observations)
        first = [*self._specs(problem).values(), *self._references(problem)]
        missing = [spec for spec in first if spec.run_id not in known]
        if missing or any(spec.run_id not in seen for spec in first):
            return missing
        averages = list(self._averages(problem, seen).values())
        missing = [spec for spec in averages if spec.run_id not in known]
        if missing or any(spec.run_id not in seen for spec in averages):
            return missing
        specs = self._confirmation(problem, seen) if self.confirm_seeds else []
        return [spec for spec in specs if spec.run_id not in known]

    def planned(self, problem: Problem) -> list[Scale]:
        """Two runs per method and the baselines, then every candidate with every seed.

        How much longer runs of equal cost are is known when methods have run; until then a
        reference run is reckoned as two runs of plain training, all else as a tenth of one.
        """
        names, references = list(self._settings()), len(self._references(problem))
        search = [problem.scales[0]] * (2 * len(names) + references)
        factors = {name: self._equal(problem, name, self._guess(name)) for name in names}
        of_methods = [
            _longer(problem.target, factors[name] if self._made(name).product == "course" else 1.0)
            for name in names
        ]
        longest = max(factors.values())
        static = [_longer(problem.target, longest)]
        if self.equal == "both" and longest > 1.0:
            static.append(problem.target)
        static *= references + (self.offline is not None)
        candidates = [*[problem.target] * len(names), *of_methods, *static]
        return search + candidates * self.confirm_seeds

    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The product of the best method so far.

        Raises:
            InputError: no method's run has succeeded yet.
        """
        seen = _by_id(problem, observations)
        chosen = self._chosen(problem, seen, observations)
        ledger = Ledger.of(problem, observations)
        surrogate: Surrogate = self.memo.get(
            fitted_to(ledger, every_metric),
            lambda: fit(ledger, laws.law("gp"), every_metric=every_metric),
        )
        plan = self._product(problem, chosen, seen[self._specs(problem)[chosen].run_id])
        mixture = plan.mean if isinstance(plan, Schedule) else plan
        return Answer(
            mixture,
            surrogate,
            ledger.table(problem.scales[0]),
            schedule=plan if isinstance(plan, Schedule) else None,
            notes=self._notes(problem, observations, seen, chosen),
            measured=True,
        )

    # -- runs ------------------------------------------------------------------------------------

    def _settings(self) -> dict[str, dict[str, Any]]:
        if isinstance(self.methods, Mapping):
            return {name: dict(settings) for name, settings in self.methods.items()}
        return {name: {} for name in self.methods}

    def _specs(self, problem: Problem) -> dict[str, RunSpec]:
        """Method to its run at the smallest scale."""
        specs = {}
        for name in self._settings():
            # where losses are weighed, what was drawn tells a law of mixtures nothing
            weighs = self._made(name).needs().loss_weights
            kind = Kind(What.COMPARISON, name) if weighs else PROPOSAL
            specs[name] = self._online(problem, name, kind)
        return specs

    def _online(self, problem: Problem, name: str, kind: Kind, **rest: Any) -> RunSpec:
        space = problem.space
        begin = self.start or ("natural" if name in _FROM_NATURAL else "uniform")
        if isinstance(begin, Mapping):
            start = space.mixture(space.project(space.mixture(begin).array, metric="kl"))
        else:
            start = space.natural if begin == "natural" else space.uniform
        steer = self.steer or ("domains" if name in _OWN_TARGETS else "objective")
        weights = {metric: w for metric, w in problem.objective.weights.items() if w > 0}
        chosen = MixerSpec(
            name,
            self._settings()[name],
            plain.to_dict(space),
            weights if steer == "objective" else {},
        )
        return replace(problem.run(start, kind, **rest), mixer=chosen)

    def _references(self, problem: Problem) -> list[RunSpec]:
        named = _baselines(problem)
        return [problem.run(mixture, Kind.reference(name)) for name, mixture in named.items()]

    def _averages(self, problem: Problem, seen: Mapping[str, Observation]) -> dict[str, RunSpec]:
        """Method to the run of its average; methods whose run failed have none."""
        specs = {}
        for name, spec in self._specs(problem).items():
            record = _record(seen.get(spec.run_id))
            if record is not None:
                specs[name] = problem.run(self._average(problem, name, record), PROPOSAL)
        return specs

    def _average(self, problem: Problem, name: str, record: Recorded) -> Mixture:
        """What the method's weights come to: their mean, or the last where that is its answer."""
        last = self._made(name).product == "last"
        mixture = record.course.current if last else record.course.time_average
        space = problem.space
        return space.mixture(space.project(space.mixture(mixture.to_dict()).array, metric="kl"))

    def _product(self, problem: Problem, name: str, seen: Observation) -> Mixture | Schedule:
        record = _record(seen)
        assert record is not None
        if self._made(name).product != "course":
            return self._average(problem, name, record)
        return record.course.schedule.coarsened(_PIECES).stretched(problem.target.tokens)

    def _made(self, name: str) -> Mixer:
        return mixer(name, **self._settings()[name])

    def _chosen(
        self,
        problem: Problem,
        seen: Mapping[str, Observation],
        observations: Sequence[Observation],
    ) -> str:
        """The method whose product is best in the search; what is being confirmed stands."""
        specs = self._specs(problem)
        averages = self._averages(problem, seen)
        sent = sent_to_confirmation(observations)
        values: dict[str, float] = {}
        for name, spec in specs.items():
            product = spec if self._made(name).product == "course" else averages.get(name, spec)
            run = seen.get(product.run_id, seen.get(spec.run_id))
            if run is not None and run.ok and _record(seen.get(spec.run_id)) is not None:
                values[name] = objective_of(run.metrics, _plain(problem.objective))
            if name in values and sent is not None and self._is_sent(problem, name, seen, sent):
                return name
        if not values:
            errors = [seen[s.run_id].error for s in specs.values() if s.run_id in seen]
            told = f", e.g.: {errors[0]}" if errors and errors[0] else ""
            raise InputError(f"no run of an online method has succeeded{told}")
        return min(values, key=values.__getitem__)

    def _is_sent(
        self, problem: Problem, name: str, seen: Mapping[str, Observation], sent: RunSpec
    ) -> bool:
        if sent.mixer is not None:
            return sent.mixer == self._specs(problem)[name].mixer
        average = self._averages(problem, seen).get(name)
        return average is not None and average.mixture == sent.mixture

    def _confirmation(self, problem: Problem, seen: Mapping[str, Observation]) -> list[RunSpec]:
        chosen = self._chosen(problem, seen, list(seen.values()))
        specs = []
        for seed in range(problem.seed + 1, problem.seed + 1 + self.confirm_seeds):
            specs += self._candidates(problem, seen, chosen, seed)
        return specs

    def _candidates(
        self, problem: Problem, seen: Mapping[str, Observation], chosen: str, seed: int
    ) -> list[RunSpec]:
        """All candidates with one seed, the recommended one first; no two of them the same."""
        averages, made = self._averages(problem, seen), []
        for name in sorted(averages, key=lambda n: n != chosen):
            first, second = self._names(name, chosen)
            factor = self._factor(problem, name, seen)
            of_run = self._online(
                problem, name, Kind.confirmation(first), scale=problem.target, seed=seed
            )
            longer = factor if self._made(name).product == "course" else 1.0
            of_average = problem.run(
                averages[name].mixture,
                Kind.confirmation(second),
                scale=_longer(problem.target, longer),
                seed=seed,
            )
            made += sorted([of_run, of_average], key=lambda s: s.kind.candidate != RECOMMENDED)
        static = _baselines(problem)
        if self.offline is not None:
            static[OFFLINE] = problem.space.mixture(self.offline)
        factor = self._factor(problem, chosen, seen)
        scales = {"": _longer(problem.target, factor)}
        if self.equal == "both" and factor > 1.0:
            scales[_SAME_TOKENS] = problem.target
        made += [
            problem.run(mixture, Kind.confirmation(name + suffix), scale=scale, seed=seed)
            for suffix, scale in scales.items()
            for name, mixture in static.items()
        ]
        return list({spec.run_id: spec for spec in reversed(made)}.values())[::-1]

    def _names(self, name: str, chosen: str) -> tuple[str, str]:
        """Candidate names of a method's run and of its average."""
        if name != chosen:
            return name, f"{name} {TIME_AVERAGE}"
        if self._made(name).product == "course":
            return RECOMMENDED, TIME_AVERAGE
        return ONLINE, RECOMMENDED

    def _factor(self, problem: Problem, name: str, seen: Mapping[str, Observation]) -> float:
        """Tokens that a mixture which never changes may have for the cost of the method's product.

        A run is paid where it is the product; else the product is a plain run, and what it took to
        find its mixture is paid beside it.
        """
        record = _record(seen.get(self._specs(problem)[name].run_id))
        return 1.0 if record is None else self._equal(problem, name, record.cost_ratio)

    def _equal(self, problem: Problem, name: str, ratio: float) -> float:
        if self.equal == "tokens":
            return 1.0
        if self._made(name).product != "course":
            search = problem.cost(problem.scales[0]) / problem.cost(problem.target)
            ratio = 1.0 + ratio * search
        return round(ratio, 3) if ratio > 1.0 + _SAME_COST else 1.0

    def _guess(self, name: str) -> float:
        """What a run of the method may cost, before one has."""
        return 2.0 + _LOOKS if self._made(name).needs().reference else 1.0 + _LOOKS

    def _notes(
        self,
        problem: Problem,
        observations: Sequence[Observation],
        seen: Mapping[str, Observation],
        chosen: str,
    ) -> tuple[str, ...]:
        notes = []
        for name, spec in self._specs(problem).items():
            run = seen.get(spec.run_id)
            if run is None:
                continue
            if not run.ok:
                notes.append(f"{name} failed: {run.error}")
                continue
            record = _record(run)
            if record is None:
                notes.append(f"{name}: the trainer kept no record of the mixer; it is left out")
                continue
            names = self._names(name, chosen)
            factor = self._factor(problem, name, seen)
            notes.append(compared(name, names, record, factor, observations, problem.objective))
            average = self._average(problem, name, record)
            same = [
                b for b, m in _baselines(problem).items() if np.allclose(m.array, average.array)
            ]
            notes += [f"{name}: its time average is the {b} mixture" for b in same]
            notes += [f"{name}: {text}" for text in record.notes]
        return tuple(notes)


def _mixer(spec: RunSpec) -> MixerSpec:
    assert spec.mixer is not None
    return spec.mixer


def _baselines(problem: Problem) -> dict[str, Mixture]:
    known = designs.baselines(problem.space)
    return {name: known[name] for name in ("natural", "uniform") if name in known}


def _by_id(problem: Problem, observations: Sequence[Observation]) -> dict[str, Observation]:
    return {o.run_id: judged(o, problem.objective) for o in observations}


def _record(seen: Observation | None) -> Recorded | None:
    return None if seen is None or not seen.ok else Recorded.of(seen)


def _plain(objective: Objective) -> Objective:
    """Without z-scores, for which there are too few runs."""
    return replace(objective, standardize=False)


def _longer(scale: Scale, factor: float) -> Scale:
    return scale if factor == 1.0 else Scale(scale.params, round(scale.tokens * factor))
