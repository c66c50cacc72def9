"""What a run with a mixer is made of, ready before anything is trained, and what it adds up.

Notation:
    m domains, n targets; B sequences per step
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mixopt.errors import InputError
from mixopt.mixers import Needs, Session, Setup, mixer_of, refused
from mixopt.ports import SCOPES, SIGNALS, Mixing
from mixopt.runs import RunSpec
from mixopt.space import Mixture
from mixopt.space.simplex import Array
from proxies.lm.data import Ints
from proxies.lm.setting import Setting
from proxies.lm.splits import SteeringSet, steering_sets
from proxies.lm.steered import SteeredBatches

OFFERED = Mixing(
    frozenset(SIGNALS) - {"gate_load"},  # there are no experts
    frozenset(SCOPES),
    loss_weights=True,
    branches=True,
    references=True,
)
_OF_TARGETS = frozenset({"heldout", "gram_target"})


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
        ends={of.name: of.ends for of in targets if of.ends is not None},
    )
    mixture = setup.reference(needs)
    reference = None if mixture is None else Mixture(domains, tuple(mixture.tolist()))
    return Mixed(needs, Session.begin(mixer, setup), batches, tuple(targets), reference)


@dataclass
class Tally:
    """Sums over the tokens of a segment, by domain.

    Attributes:
        sums: (4, m) float64: tokens; nats; nats of the reference; excess over it, cut at 0 by
            token.
    """

    sums: Tensor

    @classmethod
    def zero(cls, domains: int, device: torch.device) -> "Tally":
        """Of nothing."""
        return cls(torch.zeros(4, domains, dtype=torch.float64, device=device))

    def add(self, which: Ints, rows: Tensor) -> None:
        """Add sequences: their domains, and (4, B) of each."""
        index = torch.from_numpy(which).to(self.sums.device)
        self.sums.index_add_(1, index, rows.double())

    def signals(self) -> tuple[Array, dict[str, Array]]:
        """(m,) tokens, and the means; NaN of a domain without any."""
        tokens, loss, reference, excess = self.sums.cpu().numpy()
        blank = np.full(len(tokens), np.nan)
        sums = {"train_loss": loss, "excess": excess, "excess_mean": loss - reference}
        return tokens, {
            name: np.divide(of, tokens, out=blank.copy(), where=tokens > 0)
            for name, of in sums.items()
        }
