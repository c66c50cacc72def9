"""What `mixopt transport` does: samples of a spec's data, embedded, and their costs measured."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixopt.app.running.checks import make_trainer, prepare
from mixopt.app.running.preparation import cache_of
from mixopt.app.spec.values import Spec
from mixopt.laws.transport.costs import TransportCosts
from mixopt.lazy import load

_PILOTS = "proxies.heap.pilots"


def measure(
    spec: Spec,
    sets: Sequence[str],
    *,
    documents: int,
    embeddings: Path | None,
    seed: int,
    tell: Callable[[int, int], None],
) -> TransportCosts:
    """The costs of a spec's domains.

    Args:
        spec: names the data; they are prepared if they are not yet.
        sets: validation sets that are the target; those of the objective where none is named.
        documents: pieces of text of each domain and set.
        embeddings: folder of the user's own; None: words of the prepared text.
        seed: of the samples.
        tell: see `TransportCosts.measure`.

    Raises:
        InputError: no text and no embeddings, or ones that do not fit each other.
    """
    trainer, cache = make_trainer(spec), cache_of(spec)
    info = prepare(trainer, cache)
    domains = [domain.name for domain in info.domains]
    notes: dict[str, Any]
    if embeddings is not None:
        points, target = load(f"{_PILOTS}:read_pilots")(embeddings, domains)
        notes = {"embeddings": embeddings.name}
    else:
        named = list(sets) or list(spec.make_objective().needed)
        points, target = load(f"{_PILOTS}:pilots_of")(trainer, cache, named, documents, seed)
        notes = {"target": named, "data": info.data, "seed": seed}
    costs = TransportCosts.measure(points, target, seed=seed, tell=tell)
    return replace(costs, notes={**costs.notes, **notes})
