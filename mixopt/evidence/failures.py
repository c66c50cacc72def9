"""What failed runs say about an answer: a reason for doubt, and a gate where many failed."""

from collections.abc import Sequence

from mixopt.diagnostics.gates import Gate, Remedy
from mixopt.evidence.numbers import percent, plural
from mixopt.runs import Observation
from mixopt.runs.failures import causes, has_diverged

MANY, MOST = 0.2, 0.5
"""Share of runs that failed through no fault of their mixtures, above which the design has holes
that nobody chose, and above which more is missing than there is."""

_CAUSES = 3


def failures(observations: Sequence[Observation]) -> tuple[str, ...]:
    """How many runs failed and why, as one reason for doubt; none where all succeeded."""
    failed = [o for o in observations if not o.ok]
    if not failed:
        return ()
    grouped = causes(failed)
    if len(grouped) == 1:
        return (f"{len(failed)} of {len(observations)} runs failed: {grouped[0].words}",)
    told = "; ".join(f"{len(c.runs)}: {c.words}" for c in grouped[:_CAUSES])
    rest = sum(len(c.runs) for c in grouped[_CAUSES:])
    more = f"; {rest} for other reasons" if rest else ""
    return (f"{len(failed)} of {len(observations)} runs failed ({told}{more})",)


def burnt(observations: Sequence[Observation]) -> Gate | None:
    """The gate of a sweep many of whose runs broke; None where it does not arise.

    A loss that diverges is what a mixture does, and says something about it. A disk that goes away
    takes runs of a design at random or, worse, all of those that were under way together.
    """
    broken = [o for o in observations if not o.ok and not has_diverged(o)]
    if not broken or len(broken) / len(observations) <= MANY:
        return None
    share = len(broken) / len(observations)
    n = len(broken)
    return Gate(
        "runs that came in",
        "no",
        f"{n} of {plural(len(observations), 'run')} ({percent(share, 0)}) broke, most often: "
        f"{causes(broken)[0].words}",
        value=1 - share,
        threshold=1 - MANY,
        allows="do not trust" if share > MOST else "ranking only",
        remedy=Remedy(
            f"the {plural(n, 'run')} that broke, trained again (mixopt retry)",
            n,
            sum(o.spec.scale.flops for o in broken),
        ),
    )
