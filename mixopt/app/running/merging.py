"""What `mixopt merge` does: one model of the experts of a spec, its coefficients learned."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mixopt.app.running.checks import make_trainer, prepare
from mixopt.app.running.preparation import cache_of
from mixopt.app.spec.values import Spec
from mixopt.errors import InputError
from mixopt.lazy import load
from mixopt.runs import RunSpec
from mixopt.space import Mixture

_SETTINGS = "proxies.experts.adamerging:AdaMerging"


class LearnedMerge(Protocol):
    """A merge with coefficients of its own per expert and parameter tensor."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """What it scores."""

    @property
    def uniform(self) -> Mapping[str, float]:
        """What the average of the experts scores."""

    def save(self, path: Path) -> None:
        """Write its parameters."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the parameters."""


@runtime_checkable
class MergesExperts(Protocol):
    """A trainer with experts that can be merged by coefficients of their own."""

    def learned(
        self,
        cache: Path,
        run: RunSpec,
        target: str,
        *,
        guard: float | None,
        sequences: int,
        settings: Any,
    ) -> LearnedMerge:
        """See `proxies.experts:MergeTrainer`."""


def learn_merge(
    spec: Spec,
    target: str,
    *,
    guard: float | None,
    sequences: int,
    seed: int,
    settings: Mapping[str, Any],
) -> tuple[str, LearnedMerge]:
    """Learn the coefficients of a merge at the first scale of a spec.

    Args:
        spec: names the experts' data, their scale and the objective.
        target: a validation set; empty: the objective's, where it is one.
        guard: None for the loss on the target's text; a number for entropy, held so much to the
            uniform merge.
        sequences: of the target that are read.
        seed: of the experts.
        settings: `start`, `rate` and `steps` of the learning.

    Returns:
        The target, and the merge.

    Raises:
        MixoptError: a trainer that merges nothing, no target or several, or a setting that breaks
            its rule; an expert that diverged.
    """
    chosen = load(_SETTINGS)(**settings)
    trainer, cache = make_trainer(spec), cache_of(spec)
    if not isinstance(trainer, MergesExperts):
        raise InputError(
            f"{spec.trainer.use} has no experts to merge; set trainer.use to "
            "proxies.experts:MergeTrainer"
        )
    needed = spec.make_objective().needed
    if not target and len(needed) != 1:
        raise InputError(
            f"the objective has several sets ({', '.join(needed)}), and one model is merged for "
            f"one; name it: --target {needed[0]}"
        )
    info = prepare(trainer, cache)
    names = [domain.name for domain in info.domains]
    run = RunSpec(
        Mixture.of(dict.fromkeys(names, 1.0), renormalize=True),
        spec.make_scales()[0],
        seed=seed,
        data=info.data,
    )
    name = target or needed[0]
    merge = trainer.learned(cache, run, name, guard=guard, sequences=sequences, settings=chosen)
    return name, merge
