"""Is a guard kept by the answer, as far as runs tell of its metric?

An optimum often lies on a guard, so that its margin is zero; what can be asked is how far beyond
its limit the metric may truly be.
"""

from dataclasses import dataclass

from mixopt.diagnostics.gates import KNOWN, RANKING, Gate, Remedy


@dataclass(frozen=True)
class Guarded:
    """A guarded metric at the answer.

    Attributes:
        metric: its name.
        margin: from its prediction at the answer to the limit, in sds of one run; < 0 beyond.
        half: half of the 90 % interval of that prediction, in the same unit; what the law claims,
            widened by how it misses held-out runs.
        rho, low: rank correlation of held-out runs on the metric, and its 5 % point.
    """

    metric: str
    margin: float
    half: float
    rho: float
    low: float


def guard(measured: Guarded) -> Gate:
    """Does the answer keep a guard, as far as its metric can be predicted?"""
    name = f"guard on {measured.metric}"
    more = Remedy(
        f"2 runs of the recommended mixture, to measure {measured.metric} there", 2, where="answer"
    )
    told = (
        f"{measured.metric} is predicted {abs(measured.margin):.1f} seed sds "
        f"{'within' if measured.margin >= 0 else 'beyond'} its guard, +-{measured.half:.1f}"
    )
    safe = measured.margin >= measured.half
    ranked = measured.low >= RANKING
    good = safe or (ranked and measured.half - measured.margin <= KNOWN)
    if not (safe or ranked):
        told += f", and held-out runs are ranked with rho {measured.rho:.2f} on it"
    return Gate(
        name, "yes" if good else "no", told, measured.margin, measured.margin - measured.half,
        measured.margin + measured.half, -KNOWN, "trust" if good else "ranking only",
        None if good else more,
    )  # fmt: skip
