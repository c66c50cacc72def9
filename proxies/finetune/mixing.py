"""A mixer inside a fine-tuning run: what it draws by, and what it is told."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import InputError
from mixopt.mixers import Measured, Session, Setup, mixer_of, record, refused
from mixopt.ports import Mixing
from mixopt.runs import RunSpec
from proxies.finetune.data import Examples

OFFERED = Mixing(frozenset({"train_loss", "heldout"}))
"""Losses are nats per answer token."""

Score = Callable[[Mapping[str, Examples]], Mapping[str, float]]


class Steering:
    """The session of a run, and what was trained since its last report.

    Args:
        session: at its start.
        sets: target to the examples that it is steered by; the verdict is on others.
    """

    def __init__(self, session: Session, sets: Mapping[str, Examples]) -> None:
        self.session, self.sets = session, sets
        self.looked = 0
        """Tokens of all looks at the targets."""
        self._names = session.setup.space.names
        self._clear()

    @property
    def shares(self) -> dict[str, float]:
        """What to draw by now; after the last segment as in it."""
        segment = self.session.segment
        now = self.session.state.sampling if segment is None else segment.sampling
        return {name: w for name, w in zip(self._names, now, strict=True) if w > 0}

    def begin(self, score: Score) -> None:
        """Look at the model as it stands, where the mixer wants to."""
        self._report(score)

    def trained(
        self,
        names: Sequence[str],
        lengths: Sequence[int],
        answers: NDArray[np.float64],
        score: Score,
    ) -> None:
        """Note a step, and report where the segment is over.

        Args:
            names: (B) set of each example.
            lengths: (B) its tokens.
            answers: (B, 2) nats summed over its answer tokens, and how many these are.
            score: losses of sets, for a look.
        """
        places = [self._names.index(name) for name in names]
        np.add.at(self._tokens, places, lengths)
        np.add.at(self._answers, places, answers)
        self._steps += 1
        self._report(score)

    def record(self, plain: float, look: float) -> dict[str, object]:
        """What is kept of it.

        Args:
            plain: FLOPs of training for as many tokens.
            look: FLOPs of a look, per token.
        """
        return record(self.session, (plain + look * self.looked) / plain)

    def _report(self, score: Score) -> None:
        while (segment := self.session.segment) is not None and self._steps >= segment.steps:
            values = {}
            if "train_loss" in segment.measure:
                nats, count = self._answers.T
                blank = np.full(len(nats), np.nan)
                values["train_loss"] = np.divide(nats, count, out=blank, where=count > 0)
            if "heldout" in segment.measure:
                losses = score(self.sets)
                values["heldout"] = np.array([losses[t] for t in self.session.setup.targets])
                self.looked += sum(len(examples.ids) for examples in self.sets.values())
            step = self.session.step + segment.steps
            told = Measured(step, tuple(self._tokens.tolist()), values)
            self.session = self.session.after(told)
            self._clear()

    def _clear(self) -> None:
        m = len(self._names)
        self._tokens, self._answers, self._steps = np.zeros(m), np.zeros((m, 2)), 0


def steering_of(
    spec: RunSpec,
    batch: int,
    train: Mapping[str, Examples],
    held: Mapping[str, Examples],
    judged: int,
) -> Steering | None:
    """The steering of a run; None of a run without a mixer.

    Its steps are those that the budget takes at the mean length of the examples of the starting
    mixture: a run may end a little before or after them, and keeps the last mixture.

    Args:
        spec: of the run.
        batch: examples of a step.
        train: sets by name.
        held: held-out examples per metric.
        judged: how many of them the verdict is on; the mixer sees the rest.

    Raises:
        InputError: a mixer that needs what is not measured here, or targets without examples left.
    """
    if spec.mixer is None:
        return None
    method = mixer_of(spec.mixer)
    if reason := refused(method.needs(), OFFERED, f"mixer {spec.mixer.name!r}"):
        raise InputError(reason)
    shares = {name: w for name, w in spec.mixture.to_dict().items() if w > 0}
    # shares are of tokens: an example of a set costs its mean length
    per_example = 1.0 / sum(w * len(train[n]) / len(train[n].ids) for n, w in shares.items())
    steps = max(1, round(spec.scale.tokens / (batch * per_example)))
    setup = Setup.of(spec, steps, list(held))
    wanted = setup.targets if "heldout" in method.needs().signals else ()
    for target in wanted:
        if target not in held:
            raise InputError(f"the mixer steers by {target!r}, none of {', '.join(held)}")
        if len(held[target]) <= judged:
            raise InputError(
                f"all {len(held[target])} held-out examples of {target!r} judge the run, and none "
                "are left to steer by; lower evaluation_examples, or hold out more"
            )
    return Steering(Session.begin(method, setup), {t: held[t].after(judged) for t in wanted})
