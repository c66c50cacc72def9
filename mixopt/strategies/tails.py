"""What is each domain worth at the end of training? One short last stage per domain, and a control.

A trunk of the base mixture, then for the last `tail` of the run

* tail-patch (FLAMe, 2407.10817): one domain alone, x = 1;
* microanneal (Llama 3, 2407.21783: x = .3; OLMo 2, 2501.00656): (1 - x) base + x of one domain;

while the learning rate falls to zero, where the trainer can be told so. The control is the base to
the end, with several seeds. A domain's value is the difference to the control of the same seed and
order, less its noise (see `mixopt.diagnostics.domain_values`); the matrix of domains and metrics
starts a law in which excesses over the base add up, and a linear programme finds the last stage
that lowers the objective most within constraints and guards, no further from the base than was
tried. It is the answer where it beats the control beyond the luck of the best of so many; else the
base is, for a schedule is harder to train. Then it, its time average and the control are trained
with fresh seeds: whether values add up is seen there, and nowhere else.

The control is trained first and leaves its state where the trunk ends: a domain costs its tail.

Departs from both: FLAMe weighs tiers of tasks by hand, and anneals there compare with the state
before the anneal or with one run; step counts of FLAMe and the share of OLMo are not published.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mixopt.diagnostics.domain_values import DomainValues, domain_values
from mixopt.errors import InputError
from mixopt.runs import Kind, Observation, RunSpec, Scale, Schedule
from mixopt.runs.kinds import BRANCH, RECOMMENDED, REFERENCE, TIME_AVERAGE
from mixopt.runs.objective import Objective, judged
from mixopt.runs.run_table import last_words
from mixopt.space import Mixture
from mixopt.space.numbers import Within
from mixopt.strategies.base import Answer, Answers, Problem, Traits
from mixopt.strategies.known import known_ids
from mixopt.strategies.ledger import Ledger, check_recipe
from mixopt.strategies.phase_model import check_objective, check_problem
from mixopt.strategies.phases import sent_to_confirmation
from mixopt.strategies.staged import named_domains
from mixopt.strategies.tail_model import TailModel
from mixopt.strategies.trunk import base_mixture, check_trunk, parting

CONTROL = "control"
"""The candidate that is the base from start to end, where that is not the natural mixture."""

_SEEDS = 1000  # seeds of more controls start so far above those of search and confirmation
_OFTEN = 4.0  # passes over a domain from which on its value is that of repetition too
_SAME = 1e-6


@dataclass(frozen=True)
class Tails(Answers):
    """Settings; `tailpatch` and `microanneal` make it.

    Attributes:
        share: x, of the domain in the last stage.
        tail: share of a run that the last stage takes.
        domains: names, or tags as `"tag=value"`; all by default.
        base: domain to share; the natural mixture by default.
        control_seeds: of the control.
        seeds: of every domain, with the first seeds of the control. From 2 on noise is that of the
            differences over seeds; with 1 that of the control, where pairs may share more.
        confirm_seeds: fresh seeds per candidate; 0 trains no confirmation.
        share_trunk: refuse a trainer that would train the trunk anew for every domain.

    Raises:
        InputError: a setting out of range.
    """

    traits: ClassVar[Traits] = Traits(schedules=True, branches=True)

    share: Annotated[float, Within(0, 1, open=True)]
    tail: Annotated[float, Within(0, 0.99, open=True)] = 0.2
    domains: Sequence[str] | None = None
    base: Mapping[str, float] | None = None
    control_seeds: Annotated[int, Within(2, 1000)] = 3
    seeds: Annotated[int, Within(1, 1000)] = 2
    confirm_seeds: Annotated[int, Within(0, 1000)] = 3
    share_trunk: bool = True

    def __post_init__(self) -> None:
        check_recipe(self)
        if self.seeds > self.control_seeds:
            raise InputError(
                f"seeds is {self.seeds}, more than control_seeds ({self.control_seeds}): every "
                f"tail has a control of its seed; set control_seeds: {self.seeds}"
            )

    def parts_at(self, tokens: int) -> int:
        """Tokens at which a run of so many begins its last stage; see `strategies.base.Parting`."""
        return parting(tokens, self.tail)

    def branches(self, problem: Problem) -> int:
        """A tail of every domain with every seed."""
        return int(self._tried(problem).sum()) * self.seeds

    def check(self, problem: Problem, metrics: Sequence[str]) -> None:
        """Refuse what cannot be measured or answered.

        Raises:
            InputError: a pool, a pull towards the natural mixture, an unknown domain, a base beyond
                the constraints, a run too short for trunk and tail, a guard against another
                mixture than the natural one.
        """
        del metrics
        check_problem(problem)
        self.check_question(problem.objective, problem.config)
        self._tried(problem)
        check_trunk(problem.space, self.base, problem.scales, self.tail)

    def check_question(self, objective: Objective, config: Mapping[str, Any]) -> None:
        """Refuse a pull towards the natural mixture, and guards against another one.

        Raises:
            InputError: see above.
        """
        del config
        check_objective(objective)
        for guard in objective.guards:
            if guard.baseline != "natural":
                raise InputError(
                    f"the guard on {guard.metric!r} names the baseline {guard.baseline!r}, which "
                    "this strategy does not train: guards are held against its control; leave "
                    "'baseline' out"
                )

    def next(
        self, problem: Problem, observations: Sequence[Observation], pending: Sequence[RunSpec]
    ) -> list[RunSpec]:
        """The controls; once they are in, a tail of every domain; then the confirmation."""
        check_problem(problem)
        known, seen = known_ids(observations, pending), _by_id(problem, observations)
        for specs in (self._controls(problem), self._tails(problem, seen)):
            missing = [spec for spec in specs if spec.run_id not in known]
            if missing or any(spec.run_id not in seen for spec in specs):
                return missing
        if not self.confirm_seeds or not self._usable(problem, seen):
            return []
        specs = self._confirmation(problem, observations)
        return [spec for spec in specs if spec.run_id not in known]

    def planned(self, problem: Problem) -> list[Scale]:
        """Controls and tails at the smallest scale, then three candidates with every seed."""
        search = [problem.scales[0]] * (self.control_seeds + self.branches(problem))
        return search + [problem.target] * (3 * self.confirm_seeds)

    def values(self, problem: Problem, observations: Sequence[Observation]) -> DomainValues:
        """What the runs so far say that each domain is worth.

        Raises:
            InputError: no domain has a run and a control that succeeded.
        """
        return self._values(problem, _by_id(problem, observations))

    def answer(
        self, problem: Problem, observations: Sequence[Observation], *, every_metric: bool = False
    ) -> Answer:
        """The best last stage by the values, or the base alone where none is better beyond noise.

        Once a plan was sent to confirmation, that one.

        Raises:
            InputError: no domain has a run and a control that succeeded.
        """
        del every_metric  # nothing is fitted: all there are cost nothing
        seen, space = _by_id(problem, observations), problem.space
        told, ledger = self._values(problem, seen), Ledger.of(problem, observations)
        base, tokens = self._base(problem), problem.target.tokens
        model = TailModel.of(problem, ledger.objective, base.array, told)
        sent = sent_to_confirmation(observations)
        v = model.best() if sent is None else sent.phases[-1][1].array
        changed = bool(np.abs(v - base.array).max() > _SAME)
        plan = ((self.parts_at(tokens), base), (tokens, space.mixture(v)))
        schedule = Schedule(plan) if changed else None
        return Answer(
            schedule.mean if schedule else base,
            model.surrogate,
            ledger.table(problem.scales[0]),
            notes=(*model.notes(v), *_of_runs(self._runs_of(problem, seen))),
            schedule=schedule,
            gains={self._control_name(problem): model.gain(v)},
            measured=True,
            domain_values=told,
        )

    # -- runs ------------------------------------------------------------------------------------

    def _base(self, problem: Problem) -> Mixture:
        return base_mixture(problem.space, self.base)

    def _control_name(self, problem: Problem) -> str:
        gap = np.abs(self._base(problem).array - problem.space.natural.array).max()
        return problem.space.prior_name if gap <= _SAME else CONTROL

    def _tried(self, problem: Problem) -> NDArray[np.bool_]:
        """(m,) booleans: the domains that get a last stage."""
        if self.domains is None:
            return np.ones(problem.space.dim, dtype=bool)
        return named_domains(problem.space, self.domains, "domains")

    def _controls(self, problem: Problem) -> list[RunSpec]:
        more = range(problem.seed + _SEEDS, problem.seed + _SEEDS + self.control_seeds - 1)
        base = self._base(problem)
        return [problem.run(base, REFERENCE, seed=seed) for seed in (problem.seed, *more)]

    def _seeds(self, problem: Problem, seen: Mapping[str, Observation]) -> list[int]:
        """Those of the tails: the first whose control has succeeded."""
        controls = [seen.get(spec.run_id) for spec in self._controls(problem)]
        return [o.spec.seed for o in controls if o is not None and o.ok][: self.seeds]

    def _tail(self, problem: Problem, i: int, seed: int) -> RunSpec:
        base, tokens = self._base(problem), problem.scales[0].tokens
        v = (1.0 - self.share) * base.array
        v[i] += self.share
        plan = Schedule(
            ((self.parts_at(tokens), base), (tokens, problem.space.mixture(v / v.sum())))
        )
        return problem.run(plan, BRANCH, seed=seed)

    def _tails(self, problem: Problem, seen: Mapping[str, Observation]) -> list[RunSpec]:
        chosen = np.flatnonzero(self._tried(problem))
        return [
            self._tail(problem, int(i), seed) for seed in self._seeds(problem, seen) for i in chosen
        ]

    def _confirmation(self, problem: Problem, observations: Sequence[Observation]) -> list[RunSpec]:
        """Nothing where the base is the answer: there is nothing to compare it with."""
        answer = self.answer(problem, observations)
        if answer.schedule is None:
            return []
        named: dict[str, Mixture | Schedule] = {
            RECOMMENDED: answer.schedule,
            TIME_AVERAGE: answer.mixture,
            self._control_name(problem): self._base(problem),
        }
        seeds = range(problem.seed + 1, problem.seed + 1 + self.confirm_seeds)
        return [
            problem.run(plan, Kind.confirmation(name), scale=problem.target, seed=seed)
            for seed in seeds
            for name, plan in named.items()
        ]

    # -- what they tell --------------------------------------------------------------------------

    def _usable(self, problem: Problem, seen: Mapping[str, Observation]) -> bool:
        return any(o.ok for o in self._runs_of(problem, seen).values())

    def _runs_of(
        self, problem: Problem, seen: Mapping[str, Observation]
    ) -> dict[tuple[str, int], Observation]:
        """Domain and seed to the run of its tail, as far as it has come in."""
        names, chosen = problem.space.names, np.flatnonzero(self._tried(problem))
        runs = {
            (names[i], seed): seen.get(self._tail(problem, int(i), seed).run_id)
            for i in chosen
            for seed in self._seeds(problem, seen)
        }
        return {key: run for key, run in runs.items() if run is not None}

    def _metrics(self, problem: Problem, seen: Mapping[str, Observation]) -> tuple[str, ...]:
        """All that the controls have, those of the objective first."""
        controls = [seen[s.run_id] for s in self._controls(problem) if s.run_id in seen]
        names = dict.fromkeys(k for o in controls if o.ok for k in o.metrics)
        return tuple(dict.fromkeys([*problem.objective.needed, *names]))

    def _values(self, problem: Problem, seen: Mapping[str, Observation]) -> DomainValues:
        specs, metrics = self._controls(problem), self._metrics(problem, seen)
        seeds, chosen = self._seeds(problem, seen), np.flatnonzero(self._tried(problem))
        if not seeds:
            failed = [seen[s.run_id] for s in specs if s.run_id in seen]
            raise InputError(
                f"no run of the control has succeeded, and nothing can be compared with it"
                f"{last_words(failed)}"
            )
        order = sorted(specs, key=lambda spec: spec.seed not in seeds)
        controls = [_row(seen.get(spec.run_id), metrics) for spec in order]
        tails = [
            [_row(seen.get(self._tail(problem, int(i), s).run_id), metrics) for s in seeds]
            for i in chosen
        ]
        return domain_values(
            [problem.space.names[i] for i in chosen],
            metrics,
            Ledger.of(problem, list(seen.values())).objective,
            controls=np.array(controls),
            tails=np.array(tails),
            share=self.share,
            tail=self.tail,
        )


def tailpatch(**settings: Any) -> Tails:
    """Tail-patch (2407.10817): every domain alone at the end of a run.

    Raises:
        InputError: a `share`, which is 1 here; a setting out of range.
    """
    if "share" in settings:
        raise InputError(
            f"share is {settings['share']!r}, and tailpatch trains on one domain alone; leave it "
            "out, or use 'microanneal'"
        )
    return Tails(share=1.0, **settings)


def microanneal(**settings: Any) -> Tails:
    """Microanneals (2407.21783): a share of every domain, .3 by default, at the end of a run.

    Raises:
        InputError: a setting out of range.
    """
    return Tails(**{"share": 0.3, **settings})


def _by_id(problem: Problem, observations: Sequence[Observation]) -> dict[str, Observation]:
    return {o.run_id: judged(o, problem.objective) for o in observations}


def _row(seen: Observation | None, metrics: Sequence[str]) -> list[float]:
    """(k,) metrics of a run, NaN where it failed or has none."""
    known = seen.metrics if seen is not None and seen.ok else {}
    return [known.get(name, np.nan) for name in metrics]


def _of_runs(runs: Mapping[tuple[str, int], Observation]) -> list[str]:
    """What is odd about the runs behind the values."""
    failed = [f"{domain} (seed {seed})" for (domain, seed), run in runs.items() if not run.ok]
    often = {}
    for (domain, _), run in runs.items():
        passes = run.info.get("epochs", {}).get(domain, 0.0) if run.ok else 0.0
        if passes > _OFTEN:
            often[domain] = float(passes)
    notes = []
    if failed:
        notes.append(f"the tails of {', '.join(failed)} failed: their values are missing")
    if often:
        named = ", ".join(f"{domain} {passes:.3g} times" for domain, passes in often.items())
        notes.append(
            f"runs passed over {named}: what these domains are worth is what repeating them is "
            "worth"
        )
    return notes
