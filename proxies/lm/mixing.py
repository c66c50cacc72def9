"""What a run with a mixer is made of, ready before anything is trained, and what it adds up.

Notation:
    m domains, n targets; B sequences per step
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from mixopt.errors import InputError
from mixopt.mixers import Needs, Session, Setup, mixer_of, refused
from mixopt.ports import Mixing
from mixopt.runs import RunSpec
from mixopt.runs.signals import SCOPES, SIGNALS
from mixopt.space import Mixture
from mixopt.space.simplex import Array
from proxies.lm.checkpoint import Checkpoint
from proxies.lm.examples import Ints, sharing
from proxies.lm.setting import Setting
from proxies.lm.splits import SteeringSet, steering_sets
from proxies.lm.steered import SteeredBatches
from proxies.lm.train import Run

OFFERED = Mixing(
    frozenset(SIGNALS) - {"gate_load"},  # there are no experts
    frozenset(SCOPES),
    loss_weights=True,
    branches=True,
    references=True,
)
_OF_TARGETS = frozenset({"heldout", "gram_target"})
_OF_TRAINING = frozenset({"train_loss", "excess", "excess_mean"})


@dataclass(frozen=True)
class Mixed:
    """What does not change in a run with a mixer.

    Attributes:
        needs: of the mixer.
        session: at the start of the run.
        batches: what it reads.
        targets: (n) what is steered by; empty where the mixer looks at none.
        reference: mixture of the frozen reference; None: it needs none.
    """

    needs: Needs
    session: Session
    batches: SteeredBatches
    targets: tuple[SteeringSet, ...] = ()
    reference: Mixture | None = None

    @property
    def setup(self) -> Setup:
        """Of the session."""
        return self.session.setup


def mixed_of(setting: Setting, spec: RunSpec) -> Mixed:
    """What a run with a mixer needs, made ready before anything is trained.

    Raises:
        InputError: an unknown mixer, one that needs what there is not, or data too short for it.
    """
    assert spec.mixer is not None
    name, context = f"mixer {spec.mixer.name!r}", setting.recipe.shape.context
    mixer = mixer_of(spec.mixer)
    needs = mixer.needs()
    if reason := refused(needs, OFFERED, name):
        raise InputError(reason)
    if spec.schedule is not None:
        raise InputError(f"{name} mixes a run that has a schedule; leave one of them out")
    corpus = setting.corpus
    domains = Setup.of(spec, setting.recipe.steps, corpus.domains).space.names
    for domain in domains:
        if domain not in corpus.domains:
            raise InputError(
                f"{name} mixes {domain!r}, which is none of the domains "
                f"{', '.join(corpus.domains)}; name one of them"
            )
    setup = Setup.of(spec, setting.recipe.steps, domains)
    targets = steering_sets(
        corpus,
        setup.targets if needs.signals & _OF_TARGETS else (),
        context=context,
        tokens=max((tokens for _, tokens in setting.scored), default=context),
        scored=setting.scored,
        device=setting.device,
    )
    batches = SteeredBatches(
        corpus,
        domains,
        context=context,
        seed=spec.seed,
        pools=setting.pools(spec.scale.tokens),
        ends=sharing(corpus, {of.name: of.ends for of in targets if of.ends is not None}),
    )
    mixture = setup.reference(needs)
    reference = None if mixture is None else Mixture(domains, tuple(mixture.tolist()))
    return Mixed(needs, Session.begin(mixer, setup), batches, tuple(targets), reference)


class Tally:
    """Sums over the tokens of a segment, by domain.

    Args:
        domains: m.
        sums: see below; those of a checkpoint.

    Attributes:
        sums: (4, m) tokens; nats; nats of the reference; excess over it, cut at 0 by token.
    """

    def __init__(self, domains: int, sums: ArrayLike | None = None) -> None:
        self.sums = np.zeros((4, domains)) if sums is None else np.array(sums, dtype=float)

    def add(self, which: Ints, tokens: int, losses: Array) -> None:
        """Add sequences.

        Args:
            which: (B,) numbers of their domains.
            tokens: of each.
            losses: (B,) mean nats a token; or (3, B) with those of the reference, and the excess.
        """
        m = self.sums.shape[1]
        self.sums[0] += tokens * np.bincount(which, minlength=m)
        for row, of in enumerate(np.atleast_2d(losses), start=1):
            self.sums[row] += tokens * np.bincount(which, weights=of, minlength=m)

    def signals(self, wanted: frozenset[str]) -> dict[str, Array]:
        """Those of the signals that are means over the tokens; NaN of a domain without any."""
        tokens, loss, reference, excess = self.sums
        drawn, means = tokens > 0, {}
        for name in wanted & _OF_TRAINING:
            of = loss if name == "train_loss" else excess
            if name == "excess_mean":
                of = loss - reference
            means[name] = np.divide(of, tokens, out=np.full(len(tokens), np.nan), where=drawn)
        return means


@dataclass
class Member:
    """A run of a pack, with its mixer.

    Attributes:
        run: it reads from `mixed.batches`.
        mixed: its mixer, data and targets.
        session: where its mixer is.
        reference: parameters of the frozen run beside it, if it needs one.
        done: steps of the segment.
        tally: sums over them.
    """

    run: Run
    mixed: Mixed
    session: Session
    reference: Mapping[str, Tensor] | None = None
    done: int = 0

    def __post_init__(self) -> None:
        self.batches, self.setup = self.mixed.batches, self.mixed.setup
        self.tally = Tally(len(self.setup.start))

    def put_back(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint.

        Raises:
            InputError: its session is of another version.
        """
        saved = checkpoint.notes["mixing"]
        self.session = Session.resume(self.session.mixer, self.setup, saved["session"])
        self.batches.go_to(self.batches.at(saved["due"], saved["drawn"]))
        self.done = saved["done"]
        self.tally = Tally(len(self.setup.start), saved["sums"])

    def notes(self) -> dict[str, Any]:
        """What `put_back` needs, plain JSON values."""
        drawing = self.batches.drawing
        return {
            "session": self.session.to_dict(),
            "due": drawing.due.tolist(),
            "drawn": drawing.drawn.tolist(),
            "done": self.done,
            "sums": self.tally.sums.tolist(),
        }
