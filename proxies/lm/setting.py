"""What all runs of a pack share, and when they are scored."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mixopt.runs import RunSpec
from mixopt.runs.document_sampling import Sampler, sampler_for
from proxies.corpus import Corpus
from proxies.corpus.drawing import Drawn, draw
from proxies.corpus.repetition import RepetitionMatch, pool_sizes
from proxies.lm.checkpoint import Checkpoints
from proxies.lm.data import Batches, Turn
from proxies.lm.evaluate import ValidationSet
from proxies.lm.examples import Examples
from proxies.lm.injecting import Injecting, Pieces, Placed, Probes
from proxies.lm.multiple_choice import Questions
from proxies.lm.ranks import Ranks
from proxies.lm.recipe import Recipe
from proxies.lm.resident import Resident


@dataclass(frozen=True)
class Setting:
    """What all runs of a pack share.

    Attributes:
        corpus: the data.
        recipe: model shape, batches, rates.
        validation: what is scored.
        device: where it runs.
        dtype: of matrix products and activations.
        curve: steps after which the model is scored before the end.
        cache: folder of checkpoints.
        continue_to: tokens of the highest rung; see `LanguageModelConfig`.
        branch_at: tokens at which other runs part from a run; see `LanguageModelConfig`.
        checkpoint_seconds: how often runs under way are saved.
        questions: what is scored beyond loss.
        repetition: the target run whose epochs are matched, if any.
        ranks: the processes that train the pack together.
        resident: the training tokens on the device, where they fit.
        sampling: domain (or `*`) to the sampler of its documents.
        scored: (context, tokens) of what the verdict scores of every validation set, at any scale.
        injecting: which small texts runs read beside the domains, and from where on.
        pieces: those texts; None where there are none.
        probes: what tells what was learnt of them.
    """

    corpus: Corpus
    recipe: Recipe
    validation: list[ValidationSet]
    device: torch.device
    dtype: torch.dtype
    curve: frozenset[int]
    cache: Path
    continue_to: int = 0
    branch_at: int = 0
    checkpoint_seconds: float = 120.0
    questions: list[Questions] = field(default_factory=list)
    repetition: RepetitionMatch | None = None
    ranks: Ranks = field(default_factory=Ranks)
    resident: Resident | None = None
    scored: tuple[tuple[int, int], ...] = ()
    sampling: Mapping[str, Sampler] = field(default_factory=dict)
    injecting: Injecting = field(default_factory=Injecting)
    pieces: Pieces | None = None
    probes: list[Probes] = field(default_factory=list)

    def drawn(self, spec: RunSpec) -> dict[str, Drawn]:
        """What a run reads of each domain whose documents are sampled."""
        pools = self.pools(spec.scale.tokens)
        shares = (mixture.to_dict() for _, mixture in spec.phases)
        used = dict.fromkeys(name for w in shares for name, weight in w.items() if weight > 0)
        samplers = {name: sampler_for(self.sampling, name) for name in used}
        return {
            name: draw(
                self.corpus,
                name,
                sampler,
                pool=pools[name],
                seed=self.injecting.seed(spec),
                least=self.recipe.shape.context + 1,
            )
            for name, sampler in samplers.items()
            if sampler is not None
        }

    def pools(self, proxy_tokens: int) -> dict[str, int]:
        """Tokens of each domain that a run of so many tokens draws from."""
        return pool_sizes(
            self.repetition,
            self.corpus.unique_tokens(),
            proxy_tokens=proxy_tokens,
            context=self.recipe.shape.context,
        )

    def check_injected(self) -> None:
        """Refuse more than may be injected into a run; see `Injecting.check_cut`.

        Raises:
            InputError: see there.
        """
        if self.pieces is not None:
            self.injecting.check_cut(self.pieces, self.recipe)

    def batches(self, spec: RunSpec, drawn: Mapping[str, Drawn]) -> Batches:
        """What a run without a mixer reads.

        Args:
            spec: the run.
            drawn: of it; see there.

        Raises:
            InputError: more is injected into it than may be, or its own part has no tokens.
        """
        context, total = self.recipe.shape.context, self.recipe.sequences
        first, carried = self.injecting.first(self.recipe), Placed()
        self.check_injected()
        if self.pieces is not None:
            end = self.injecting.end(self.recipe)
            carried = self.pieces.placed(self.injecting.active, first, end, spec.seed)
        batches = Batches(
            self.corpus,
            spec.phases,
            context=context,
            total=total,
            seed=self.injecting.seed(spec),
            pools=self.pools(spec.scale.tokens),
            streams={name: of.stream for name, of in drawn.items()},
        )
        turn = Turn(first, spec.seed) if self.injecting.start else None
        return batches.otherwise(carried if carried.at else None, turn)

    def text_share(self, domain: str) -> float:
        """Tokens of a domain's text over those trained on: below 1 under an objective."""
        context = self.recipe.shape.context
        return Examples(self.corpus, context, 0).stride(domain) / context

    def checkpoints(self, spec: RunSpec, *, apart: bool = False) -> Checkpoints:
        """The checkpoints of a run.

        Matched pools grow with the budget: a run and a longer one then differ from the start. So do
        runs with a mixer, which knows how long its run is, and with injections that are spread over
        all of it.

        Args:
            spec: the run.
            apart: it shares none with the same run elsewhere, which may be under way and deletes
                its own when it ends.
        """
        execution: dict[str, Any] = {"precision": self.precision}
        if self.repetition is not None:
            execution |= self.pools(spec.scale.tokens)
        if spec.mixer is not None or self.injecting.spread:
            execution["tokens"] = spec.scale.tokens
        if apart:
            execution["apart"] = True
        return Checkpoints(
            self.cache,
            spec,
            self.recipe,
            execution,
            branch_at=self.branch_at,
            start=self.injecting.start,
        )

    @property
    def precision(self) -> str:
        """The name of the precision."""
        return str(self.dtype).removeprefix("torch.")


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread inside: tiny models train faster as many processes than on many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def curve_steps(recipe: Recipe, points: int) -> frozenset[int]:
    """Steps after which the tokens first reach one of the highest powers of 2 below the budget.

    They do not depend on the budget otherwise: a run that continues has the points of one that
    never stopped.
    """
    highest = (recipe.tokens - 1).bit_length() - 1
    wanted = [1 << k for k in range(highest, max(0, highest - points), -1)]
    after = [
        recipe.sequences_before(step) * recipe.shape.context for step in range(1, recipe.steps)
    ]
    steps = (int(np.searchsorted(after, tokens)) + 1 for tokens in wanted)
    return frozenset(step for step in steps if step < recipe.steps)
