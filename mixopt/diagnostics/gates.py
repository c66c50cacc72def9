"""Gates: each a value with an interval, a threshold with a reason, and yes, no or not measured.

A gate that says no, or that could not be measured, names the runs that would change that. The
thresholds were chosen on one half of the worlds of `mixopt.testing.tables` and judged on the other
(docs/log/trust.md).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mixopt.diagnostics.covered import Covered
from mixopt.diagnostics.distance import EpochMismatch, Extrapolation
from mixopt.diagnostics.held_out_errors import LEAST, Errors, Order, Without
from mixopt.diagnostics.transfer import Transfer

Where = Literal["given", "answer", "design", "target", "elsewhere"]
State = Literal["yes", "no", "not measured"]
Level = Literal["trust", "ranking only", "do not trust"]

RANKING, RANKING_POOR = 0.5, 0.3
"""Lower end (5 %) of the held-out rank correlation from which an answer is trusted, and below which
not even the ranking is (METHODS 8 gates campaigns at a lower end of .5). As much noise as signal
shows -.3 to .47."""
COVERAGE = 0.7
"""Of 90 % intervals on held-out runs; of 30 runs 25 are inside on average and 21 in one case of
fifty, so that less is no accident."""
LOCAL = 1.6
"""Held-out errors near the answer against the claimed sd; of five runs the root mean square is
above 1.6 in one case of a hundred."""
FAR = 2.0
"""Distance of the answer in units of the 95 % point of the spacing of runs."""
BARE, OPEN = 0.01, 0.1
"""Share of the allowed space out of reach of all runs; share of which the law cannot say that it is
no better than the answer by .3 sd."""
ORDER_P, ORDERED = 0.01, 0.85
"""Chance of errors that follow the order this closely; closeness of a share to the order from which
the two cannot be told apart."""
ODD = 8.0
"""Robust sds; of 60 normal errors none is beyond 5 in a lifetime, and of a law that bends a little
too little at a vertex some are beyond 6."""
STAYS, LOST = 1.0, 0.1
"""What odd runs may do to an answer that is trusted all the same: its value in seed sds (half of
`KNOWN`), and the objective in sds over the runs (a third of a regret that matters)."""
RELIABLE, NOISY = 0.7, 0.5
"""Share of the objective's variance that is no seed noise; METHODS 8 drops what is below .5, and
what is .5 is shown as up to .7, for laws infer too little noise near the border of the space."""
KNOWN, FINE = 2.0, 0.1
"""Half of the 90 % interval of the value of the answer, in seed sds: two of them are what a user
cannot see in one run. Of 45 answers that passed all else and were below, none was optimistic by
more, of 25 above 6. Noise below a tenth of the objective's sd counts as that."""
TRANSFER, TRANSFER_POOR = 0.5, 0.0
"""Lower end (5 %) of the correlation of two scales on the objective (METHODS 8)."""
ANCHORS = 8
"""Mixtures to run at a scale without runs (METHODS 8: six to ten)."""


@dataclass(frozen=True)
class Remedy:
    """Runs that would change a gate.

    Attributes:
        what: in words, as something to do.
        runs: how many. cost: of all of them, in the unit of the runs' cost; NaN where unknown.
        mixtures: where, domain shares each; empty where the words or `where` say it.
        where: `"given"` (at `mixtures`), `"answer"` (at the recommended mixture, with fresh seeds),
            `"design"` (more of it), `"target"` (at `mixtures`, at the scale of the answer), or
            `"elsewhere"` (no runs of this kind would do).
    """

    what: str
    runs: int
    cost: float = float("nan")
    mixtures: tuple[tuple[float, ...], ...] = ()
    where: Where = "elsewhere"


REPEAT = Remedy("2 runs of the recommended mixture, with fresh seeds", 2, where="answer")


@dataclass(frozen=True)
class Gate:
    """One thing that an answer is asked before it is trusted.

    Attributes:
        name: of what is asked. state: whether it holds.
        told: what was measured, or why it was not.
        value, low, high: measured, with 90 % interval where it has one; NaN where not measured.
        threshold: of the value (or of its lower end, where it has an interval).
        allows: the highest level of trust that this gate leaves.
        remedy: runs that would change it; None where it holds.
    """

    name: str
    state: State
    told: str
    value: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    threshold: float = float("nan")
    allows: Level = "trust"
    remedy: Remedy | None = None

    @classmethod
    def unmeasured(
        cls, name: str, why: str, remedy: Remedy | None, allows: Level = "ranking only"
    ) -> "Gate":
        """One that could not be measured, which is never a yes."""
        return cls(name, "not measured", why, allows=allows, remedy=remedy)


def _no_ranks(errors: Errors) -> tuple[str, bool]:
    """Why there is no rank correlation, and whether more runs would help."""
    n = len(errors.W)
    if n > 1 and np.ptp(errors.truth) == 0:
        why = f"all {n} runs have the same objective, so that there is nothing to rank"
        return f"{why}: does the trainer use the mixture that it is given?", False
    if n >= LEAST and np.ptp(errors.mean) == 0:
        return f"the law predicts the same for all {n} runs that it was not shown", True
    return f"{n} runs are too few for a rank correlation; it takes {LEAST}", True


def ranking(errors: Errors) -> Gate:
    """Does the law rank runs that it was not shown, on the objective as it is minimised?"""
    rho, low, high = errors.ranking()
    n = len(errors.W)
    more = _more(n)
    if n < LEAST or not np.isfinite(low):
        why, sought = _no_ranks(errors)
        return Gate.unmeasured("held-out ranking", why, more if sought else None, "do not trust")
    level: Level = (
        "trust" if low >= RANKING else "ranking only" if low >= RANKING_POOR else "do not trust"
    )
    return Gate(
        "held-out ranking",
        "yes" if level == "trust" else "no",
        f"held-out runs are ranked with rho {rho:.2f} (at least {low:.2f})",
        rho, low, high, RANKING, level, None if level == "trust" else more,
    )  # fmt: skip


def intervals(errors: Errors) -> Gate:
    """Do 90 % intervals hold the held-out runs?"""
    n = len(errors.W)
    inside = float((np.abs(errors.z) <= 1.645).mean())
    half = 1.645 * float(np.sqrt(inside * (1 - inside) / n))
    good = inside >= COVERAGE
    return Gate(
        "interval coverage",
        "yes" if good else "no",
        f"90 % intervals hold {100 * inside:.0f} % of held-out runs",
        inside, inside - half, inside + half, COVERAGE,
        "trust" if good else "ranking only",
        None if good else _more(n),
    )  # fmt: skip


def local(errors: Errors, w: np.ndarray) -> Gate:
    """Is the law right near the answer, where it counts?"""
    near = errors.near(w)
    ratio, low, high = near.ratio()
    good = ratio <= LOCAL
    return Gate(
        "calibration near the answer",
        "yes" if good else "no",
        f"the {len(near.W)} runs nearest to the answer are missed by {ratio:.1f} of the sds that "
        "the law claims",
        ratio, low, high, LOCAL, "trust" if good else "ranking only",
        None if good else REPEAT,
    )  # fmt: skip


def known(sd: float, noise: float, spread: float, ratio: float) -> Gate:
    """Is the value of the answer known as well as two more runs would tell it?

    Args:
        sd: that the law claims of the answer's objective.
        noise: sd of one run.
        spread: sd of the objective over runs.
        ratio: of errors near the answer to what was claimed; above 1 it widens the claim.
    """
    half = 1.645 * sd * max(ratio, 1.0)
    unit = max(noise, FINE * spread)
    value = half / unit if unit > 0 else 0.0
    good = value <= KNOWN
    return Gate(
        "value of the answer",
        "yes" if good else "no",
        f"the objective of the answer is known to +-{value:.1f} seed sds",
        value, threshold=KNOWN, allows="trust" if good else "ranking only",
        remedy=None if good else REPEAT,
    )  # fmt: skip


def distance(measured: Extrapolation) -> Gate:
    """Are there runs near the answer?"""
    value = float(measured.distance[0]) / max(measured.wide, 1e-12)
    good = value <= FAR
    return Gate(
        "distance to the runs",
        "yes" if good else "no",
        f"the answer is {value:.1f} times as far from the nearest run as runs are from each other",
        value, threshold=FAR, allows="trust" if good else "ranking only",
        remedy=None if good else Remedy("1 run of the recommended mixture", 1, where="answer"),
    )  # fmt: skip


def space_covered(covered: Covered) -> Gate:
    """Is there a part of the allowed space that no run tells of?"""
    good = covered.bare <= BARE and covered.open <= OPEN
    value, threshold = (covered.open, OPEN) if covered.bare <= BARE else (covered.bare, BARE)
    told = (
        f"{100 * covered.bare:.0f} % of the allowed space is out of reach of all runs"
        if covered.bare > BARE or good
        else f"of {100 * covered.open:.0f} % of the allowed space the law cannot say that it is "
        "not better"
    )
    where = tuple(tuple(float(x) for x in w) for w in covered.mixtures)
    return Gate(
        "space covered",
        "yes" if good else "no",
        told, value, threshold=threshold, allows="trust" if good else "ranking only",
        remedy=None
        if good
        else Remedy(
            f"{len(where)} runs where there are none (or bounds that leave that part out)",
            len(where), mixtures=where, where="given",
        ),
    )  # fmt: skip


def order(orders: Sequence[Order]) -> Gate:
    """Did anything change while the runs were made?"""
    worst = min(orders, key=lambda o: o.p)
    by = "the order of the rows" if worst.by == "rows" else f"the column {worst.by!r}"
    anchors = Remedy("two of the first mixtures again, at the end", 2)
    if worst.p < ORDER_P / len(orders):
        told = f"held-out errors follow {by} (rho {worst.errors:.2f}, p = {worst.p:.1g})"
        return Gate(
            "order and batches", "no", told, worst.p, threshold=ORDER_P, allows="do not trust",
            remedy=anchors,
        )  # fmt: skip
    mixed = max(orders, key=lambda o: o.mixtures)
    if mixed.mixtures > ORDERED:
        by = "the order of the rows" if mixed.by == "rows" else f"the column {mixed.by!r}"
        return Gate.unmeasured(
            "order and batches",
            f"mixtures go with {by} ({mixed.mixtures:.2f}), so that what changed with time would "
            "look like their effect; if they ran in another order, shuffle the rows or give a "
            "column 'time'",
            anchors,
        )
    return Gate(
        "order and batches", "yes", f"held-out errors do not follow {by} (p = {worst.p:.2g})",
        worst.p, threshold=ORDER_P,
    )  # fmt: skip


def odd_runs(errors: Errors, named: Callable[[int], str], without: Without | None = None) -> Gate:
    """Is a run off by so much that it bends the law, and the answer with it?

    Args:
        errors: of all runs.
        named: what a row of the table is called, so that the run can be looked up.
        without: how the answer is without those beyond `ODD`; None where that was not looked at.
    """
    value, row = errors.odd()
    told = f"the oddest run, {named(row)}, is missed by {value:.1f} robust sds"
    if value <= ODD:
        return Gate("odd runs", "yes", told, value, threshold=ODD)
    stays = without is not None and without.moved <= STAYS and without.lost <= LOST
    if without is not None:
        told += (
            f"; without {'it' if without.rows == 1 else f'the {without.rows} that are as odd'} the "
            f"answer {'stays' if stays else 'is another'} (its value moves by {without.moved:.1f} "
            f"seed sds, and {without.lost:.2f} sds of the objective are lost by it)"
        )
    where = tuple(float(x) for x in errors.W[int(np.flatnonzero(errors.rows == row)[0])])
    again = f"train {named(row)} again, or leave it out"
    return Gate(
        "odd runs", "no", told, value, threshold=ODD, allows="trust" if stays else "ranking only",
        remedy=Remedy(again, 1, mixtures=(where,), where="given"),
    )  # fmt: skip


def reliability(noise: float, spread: float, measured: bool, near: bool = False) -> Gate:
    """How much of the objective is seed noise? Weighed metrics alone count.

    Args:
        noise: sd of the objective of one run.
        spread: its sd over runs of one scale.
        measured: on repeated runs, else as the law infers it.
        near: on those near the answer, whose noise differs from that of the others.
    """
    value = float(np.clip(1 - (noise / spread) ** 2, 0.0, 1.0)) if spread > 0 else 0.0
    if not np.isfinite(noise):
        return Gate.unmeasured(
            "seed noise", "no mixture was run twice and the law infers no noise",
            Remedy("one mixture with 3 seeds", 3),
        )  # fmt: skip
    level: Level = (
        "trust" if value >= RELIABLE else "ranking only" if value >= NOISY else "do not trust"
    )
    whence = "measured" if measured else "as the law infers it"
    whence = "measured near the answer" if near else whence
    return Gate(
        "seed noise",
        "yes" if level == "trust" else "no",
        f"{100 * (1 - value):.0f} % of the objective's variance is seed noise ({whence})",
        value, threshold=RELIABLE, allows=level,
        remedy=None if level == "trust" else Remedy("every mixture again, or larger proxies", 8),
    )  # fmt: skip


def transfer(measured: Transfer | None, remedy: Remedy) -> Gate:
    """Do smaller runs rank as runs of the answer's scale do? Of two scales, with runs at both."""
    if measured is None or not measured.paired or measured.pairs < LEAST:
        pairs = 0 if measured is None or not measured.paired else measured.pairs
        some = f"{pairs} mixtures ran" if pairs else "no mixture ran"
        return Gate.unmeasured(
            "transfer between scales", f"{some} at the scale of the answer and at a smaller one",
            remedy,
        )  # fmt: skip
    low = measured.objective_low
    level: Level = (
        "do not trust" if measured.useless or not low > TRANSFER_POOR
        else "trust" if measured.ok else "ranking only"
    )  # fmt: skip
    verdict = "; do not trust these proxies for this target" if measured.useless else ""
    return Gate(
        "transfer between scales",
        "yes" if level == "trust" else "no",
        f"small runs rank {measured.pairs} mixtures like larger ones with rho "
        f"{measured.objective_rho:.2f} (correlation at least {low:.2f}){verdict}",
        measured.objective_rho, low, measured.objective_high, TRANSFER, level,
        None if level == "trust" else remedy,
    )  # fmt: skip


def pairs_needed(measured: Transfer) -> int | None:
    """Pairs that would show two scales to rank alike, were their correlation as seen; else None."""
    z = float(
        np.mean(np.arctanh(np.clip([measured.objective_low, measured.objective_high], -1, 1)))
    )
    room = z - float(np.arctanh(TRANSFER))
    pairs = 3 + (1.645 / room) ** 2 if room > 0 else np.inf
    return None if pairs > 4 * ANCHORS else int(np.ceil(pairs + 1e-9))


def epochs(mismatch: EpochMismatch) -> Gate:
    """Do proxies repeat their data as often as the target will?"""
    good = not mismatch.mismatched
    told = (
        "proxies and target repeat every domain about as often"
        if good
        else f"epochs of proxy and target differ: {', '.join(mismatch.told[:3])}"
    )
    return Gate(
        "epochs", "yes" if good else "no", told, float(len(mismatch.mismatched)), threshold=0.0,
        allows="trust" if good else "ranking only",
        remedy=None if good else Remedy("proxies with repetition matched to the target's", LEAST),
    )  # fmt: skip


def gain(baseline: str, raw: float, sd: float, shrunk: float, certain: bool) -> Gate:
    """Is the answer better than the baseline for certain? Trust can do without: no answers too."""
    told = (
        f"the answer is better than the {baseline} mixture by {shrunk:.2g} (sd {sd:.2g})"
        if certain
        else f"no better than the {baseline} mixture within what is known"
    )
    remedy = Remedy(f"2 runs each of the {baseline} and the recommended mixture", 4)
    return Gate(
        f"gain over {baseline}",
        "yes" if certain else "no",
        told,
        raw,
        raw - 1.645 * sd,
        raw + 1.645 * sd,
        0.0,
        remedy=None if certain else remedy,
    )


def _more(n: int) -> Remedy:
    some = max(LEAST, n // 2)
    return Remedy(f"{some} more runs of the design", some, where="design")
