"""Which failed runs of a sweep are to be trained again."""

from collections.abc import Sequence
from dataclasses import dataclass

from mixopt.errors import InputError, shorten
from mixopt.evidence.numbers import plural
from mixopt.ports import Store
from mixopt.runs import Observation, What
from mixopt.runs.failures import causes, has_diverged


@dataclass(frozen=True)
class Chosen:
    """Failed runs that are to be trained again, and how many others there are.

    Attributes:
        runs: those.
        diverged: failed runs that are left out, since their numbers would diverge again.
        others: failed runs that were not asked for.
    """

    runs: tuple[Observation, ...]
    diverged: int = 0
    others: int = 0

    @property
    def lines(self) -> list[str]:
        """What will be trained again and what not, for people."""
        if not self.runs:
            return []
        lines = [f"{plural(len(self.runs), 'failed run')} will be trained again:"]
        lines += [f"- {plural(len(c.runs), 'run')}: {c.words}" for c in causes(self.runs)]
        if self.diverged:
            lines.append(
                f"Left out: {plural(self.diverged, 'run')} that diverged, and would again "
                "(--cause diverged, or --run, takes them)"
            )
        if any(o.spec.kind.what is What.PROMOTION for o in self.runs):
            lines.append(
                "Runs of the promotion are among them: 'mixopt promote' decides anew afterwards"
            )
        if self.others:
            lines.append(f"Left out: {plural(self.others, 'failed run')} not asked for")
        return lines


def choose(
    observations: Sequence[Observation], cause: str | None = None, run: str | None = None
) -> Chosen:
    """The failed runs to train again: all that did not diverge, or those that are asked for.

    Args:
        observations: as the store has them.
        cause: a part of the reason, in any case.
        run: the id of a run, or its beginning.

    Raises:
        InputError: nothing fits what is asked for; the message lists what there is.
    """
    failed = [o for o in observations if not o.ok]
    if run is not None:
        failed_ids = {o.run_id for o in failed}
        fits = [o for o in observations if o.run_id.startswith(run)]
        if len(fits) != 1 or fits[0].run_id not in failed_ids:
            raise InputError(_no_run(run, fits, failed))
    elif cause is not None:
        fits = [o for o in failed if cause.lower() in " ".join(o.error.split()).lower()]
        if not fits:
            raise InputError(f"--cause {shorten(cause)!r}: no run failed so; {_listed(failed)}")
    else:
        fits = [o for o in failed if not has_diverged(o)]
        return Chosen(tuple(fits), diverged=len(failed) - len(fits))
    return Chosen(tuple(fits), others=len(failed) - len(fits))


def mark(store: Store, chosen: Chosen) -> None:
    """Have them trained again when the sweep goes on; killed meanwhile, some are marked."""
    for seen in chosen.runs:
        store.retry(seen.run_id)


def _no_run(run: str, fits: Sequence[Observation], failed: Sequence[Observation]) -> str:
    what = f"--run {shorten(run)!r}: "
    if len(fits) > 1:
        return f"{what}{len(fits)} runs begin so; give more of its letters"
    if fits:
        return f"{what}that run succeeded; {_listed(failed)}"
    return f"{what}no run that came in has this id; {_listed(failed)}"


def _listed(failed: Sequence[Observation]) -> str:
    """What failed, to choose from."""
    if not failed:
        return "no run has failed"
    told = [f"{c.words} ({len(c.runs)}, e.g. {c.runs[0].run_id[:8]})" for c in causes(failed)[:6]]
    return f"what failed: {'; '.join(told)}"
