"""Aioli: probes inside the run measure which domain helps which target (2411.05735).

    Delta L_k = - sum_j A_kj w_j  per unit of training;  w ~ exp(eta * column sums of A)

Notation:
    m domains, n targets; A: (n, m) how much domain j lowers loss k; f: share of a probe's domain
    G: (n, m) loss decrements seen in probes; P: (m, m) mixtures of the probes, one a row
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from mixopt.errors import InputError
from mixopt.mixers.base import Needs, Segment, Setup, State
from mixopt.mixers.kernel import multiplicative
from mixopt.mixers.periodic import Learned, Periodic, Seen, check_own_targets, importance
from mixopt.space.numbers import Within
from mixopt.space.simplex import Array


@dataclass(frozen=True)
class Aioli(Periodic):
    """Aioli (2411.05735), by its authors' code.

    A round of `every` steps begins with probes: `rounds` times over all domains in random order,
    `probe_steps` steps each with a share `focus` of one domain. What the losses fell by is solved
    for what each domain does alone, and the rest of the round draws by that. Probes are part of the
    run and of its budget. In its paper's frame stratified sampling, DoReMi, DoGE, Skill-It and Data
    Mixing Laws differ from it in how A is estimated alone; here they are mixers of their own.

    With `memory` (the recipe of all its experiments) weights start from ones at every round, and
    since a normalised A has column sums in [0, 1], **no weight can leave another by more than a
    factor e^eta**: with eta .2, 22 %. It is close to stratified sampling by construction.

    Departs from the paper: an A that sums to nothing gives equal weights; the order of domains is
    drawn over their sorted names, so that it does not depend on the order in which they are given;
    where constraints move a probe's mixture, the equations are solved for what it really was.

    Args:
        every: T_0, steps of a round. 250 in the paper for 2-3 domains, 200 for 7.
        rounds: probes of each domain in a round (4; 2 for 7 domains).
        probe_steps: of one probe (4; 10 for 7 domains).
        focus: f (.625; .75 for 7 domains).
        eta: .2; 1 for 7 domains.
        memory: weight of older estimates of A (.1); None: none, and weights are multiplied on.
        normalised: A is shifted to be non-negative and scaled to sum 1.
        diagonal: only what a domain does for its own target is used, A_ii = G_ii / f.
        prior_steps: before the first probe, by the weights that the run starts from, those of
            another method say (the paper's restricted mode).
    """

    every: Annotated[int, Within(2)] = 250
    rounds: Annotated[int, Within(1, 1000)] = 4
    probe_steps: Annotated[int, Within(1)] = 4
    focus: Annotated[float, Within(0.0, 1.0, open=True)] = 0.625
    eta: Annotated[float, Within(0.0, open=True)] = 0.2
    memory: Annotated[float, Within(0.0, 0.999)] | None = 0.1
    normalised: bool = True
    diagonal: bool = False
    prior_steps: Annotated[int, Within(0)] = 0

    name: ClassVar[str] = "aioli"

    def needs(self) -> Needs:
        """Held-out losses, after every probe."""
        return Needs(frozenset({"heldout"}), self.every)

    def begin(self, setup: Setup) -> Learned:
        """Where the run starts.

        Raises:
            InputError: probes that are all alike, that do not fit a round, or a run of no round.
        """
        m, probing = setup.space.dim, self._probing(setup)
        if abs(self.focus - 1.0 / m) < 1e-9:
            raise InputError(
                f"focus is {self.focus:.6g}, 1 over {m} domains: all probes draw the same, and say "
                "nothing of single domains; give a larger share"
            )
        if probing >= self.every:
            raise InputError(
                f"{self.rounds} x {m} probes of {self.probe_steps} steps take {probing} of the "
                f"{self.every} steps of a round; raise 'every', or lower 'rounds' or 'probe_steps'"
            )
        if setup.steps < self.prior_steps + self.every:
            raise InputError(
                f"the run has {setup.steps} steps, fewer than one round of {self.every} after "
                f"{self.prior_steps}; lower 'every', or train longer"
            )
        if self.diagonal:
            check_own_targets(setup, self.name)
        notes = []
        if probing > self.every / 2:
            share = probing / self.every
            notes.append(("probes take more than half of every round (share)", share))
        return Learned(np.array(setup.start), {}, tuple(notes))

    def opening(self, setup: Setup, state: State) -> tuple[Segment, ...]:
        """A look, or the steps before the first round, and the probes of the first."""
        return (self.segment(setup, state, self.prior_steps), *self._probes(setup, state))

    def segments(self, setup: Setup, state: State, steps: int) -> tuple[Segment, ...]:
        """The rest of a round and the probes of the next."""
        rest = steps - self._probing(setup)
        return (self.segment(setup, state, rest), *self._probes(setup, state))

    def learn(self, setup: Setup, state: State, seen: Sequence[Seen]) -> Learned:
        """Solve for A, and draw by its column sums."""
        m, n = setup.space.dim, len(setup.targets)
        losses = [s.values["heldout"] for s in seen]
        G, P = np.zeros((n, m)), np.zeros((m, m))
        order = self._order(setup, state.period - 1)
        for place, domain in enumerate(order, start=1):
            G[:, domain] += losses[place - 1] - losses[place]
            P[domain] = seen[place].segment.sampling
        A = self.solved(G / self.rounds, P)
        used = normalised(A) if self.normalised else A
        old = state.memory.get("A")
        if self.memory is not None and old is not None:
            used = (1.0 - self.memory) * used + self.memory * old
        afresh = self.memory is not None or old is None
        base = np.ones(m) if afresh else np.array(state.weights)
        score = self.eta * (importance(setup) @ used)
        told = np.linalg.matrix_rank(P, tol=1e-6) == m
        notes = (
            () if told else (("constraints make probes alike: domains are not told apart", 0.0),)
        )
        return Learned(multiplicative(base, score), {"A": used, "raw": A}, notes)

    def solved(self, G: Array, P: Array) -> Array:
        """(n, m) what each domain does alone, from what mixtures P (m, m) did: P a_k = G_k."""
        if self.diagonal:
            return np.diag(np.diag(G) / self.focus)
        if np.array_equal(P, np.eye(len(P))):
            return G
        return np.asarray(np.linalg.lstsq(P, G.T, rcond=None)[0].T)

    def _probing(self, setup: Setup) -> int:
        return self.rounds * setup.space.dim * self.probe_steps

    def _order(self, setup: Setup, period: int) -> list[int]:
        names = setup.space.names
        by_name = sorted(range(len(names)), key=names.__getitem__)
        rng = setup.rng(self.name, period)
        return [by_name[i] for _ in range(self.rounds) for i in rng.permutation(len(names))]

    def _probes(self, setup: Setup, state: State) -> tuple[Segment, ...]:
        m = setup.space.dim
        rest = (1.0 - self.focus) / (m - 1)
        mixtures = np.full((m, m), rest) + (self.focus - rest) * np.eye(m)
        order = self._order(setup, state.period)
        return tuple(
            self.segment(setup, state, self.probe_steps, weights=mixtures[i]) for i in order
        )


def normalised(A: Array) -> Array:
    """A without negative entries (its least is subtracted from all), summing to 1; zeros stay."""
    shifted = A - min(float(A.min()), 0.0)
    total = float(shifted.sum())
    return shifted / total if total > 0 else np.zeros_like(A)
