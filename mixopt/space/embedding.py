"""Older runs in a changed set of domains: embedded where that is exact, refused where it is not.

Notation:
    W: (n, m_old) mixtures over the old domains; the result has one column per new domain
Rules, by what became of a domain:
    kept     same name: the weight is copied
    added    weight 0: the run did not train on it
    removed  exact only where its weight was 0
    split    by a frozen ratio, or by the parts' token counts (a run that drew from the whole drew
             from the parts in proportion to them); else exact only where its weight was 0
    merged   the sum, exact only where the run kept the parts' natural ratio
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixopt.errors import InputError
from mixopt.space import simplex
from mixopt.space.domains import Domain, Tie
from mixopt.space.simplex import Array

_NOTHING = 1e-9


@dataclass(frozen=True, eq=False)
class Embedded:
    """Older runs as mixtures over the new domains.

    Attributes:
        W: (k, m) the runs that can be expressed exactly.
        kept: (k,) their positions among the old runs.
        refused: position of each other run to the reason.
    """

    W: Array
    kept: NDArray[np.intp]
    refused: Mapping[int, str]

    def require_all(self) -> Array:
        """(n, m) all runs.

        Raises:
            InputError: some run was refused; the first is named, with the reason.
        """
        if self.refused:
            run, reason = next(iter(self.refused.items()))
            more = f" ({len(self.refused)} runs in all)" if len(self.refused) > 1 else ""
            raise InputError(
                f"run {run} cannot be expressed in the new domains{more}: {reason}; leave these "
                "runs out, or keep the old domain"
            )
        return self.W


@dataclass(frozen=True)
class Changes:
    """How domains changed, beyond what names and parents say.

    Attributes:
        split: old domain to its new parts (names), or to their ratio.
        merged: new domain to the old parts that it took in.
        tolerance: how far (in share of the merged whole) a run's inner ratio may be from natural.
    """

    split: Mapping[str, Sequence[str] | Mapping[str, float]] = field(
        default_factory=dict, hash=False
    )
    merged: Mapping[str, Sequence[str]] = field(default_factory=dict, hash=False)
    tolerance: float = 0.01


def embed(
    W: ArrayLike,
    old: Sequence[Domain],
    new: Sequence[Domain],
    *,
    ties: Sequence[Tie] = (),
    changes: Changes | None = None,
) -> Embedded:
    """Express mixtures over `old` domains in `new` ones.

    A domain that is gone was split if new domains name it as their parent, or `changes` says so;
    it was merged if it names a new domain as its parent, or `changes` says so.

    Raises:
        InputError: W does not fit `old`, or `changes` names an unknown domain.
    """
    changes = changes or Changes()
    mixtures = np.atleast_2d(simplex.as_simplex(W))
    if mixtures.shape[1] != len(old):
        raise InputError(f"{mixtures.shape[1]} weights for {len(old)} old domains; give one each")
    splits, merges = _splits(old, new, changes), _merges(old, new, changes)
    target = {d.name: i for i, d in enumerate(new)}
    by_name = {d.name: d for d in (*old, *new)}
    result = np.zeros((len(mixtures), len(new)))
    refused: dict[int, str] = {}
    merged_into = {part: whole for whole, parts in merges.items() for part in parts}
    for i, domain in enumerate(old):
        weight = mixtures[:, i]
        if domain.name in merged_into:
            result[:, target[merged_into[domain.name]]] += weight
        elif domain.name in target:
            result[:, target[domain.name]] += weight
        elif domain.name in splits:
            parts = splits[domain.name]
            ratio = _ratio(parts, ties, by_name)
            if ratio is None:
                reason = (
                    f"it holds {{:.3g}} of {domain.name!r}, which was split into "
                    f"{', '.join(parts)} with no known ratio (give their tokens, or the ratio)"
                )
                _refuse(refused, weight, weight > _NOTHING, reason)
            else:
                for name, share in ratio.items():
                    result[:, target[name]] += weight * share
        else:
            reason = f"it holds {{:.3g}} of {domain.name!r}, which was removed"
            _refuse(refused, weight, weight > _NOTHING, reason)
    position = {d.name: i for i, d in enumerate(old)}
    for whole, names in merges.items():
        inner = mixtures[:, [position[n] for n in names]]
        _check_merge(refused, whole, [old[position[n]] for n in names], inner, changes.tolerance)
    kept = np.array([i for i in range(len(mixtures)) if i not in refused], dtype=int)
    return Embedded(result[kept], kept, dict(sorted(refused.items())))


def _splits(
    old: Sequence[Domain], new: Sequence[Domain], changes: Changes
) -> dict[str, dict[str, float | None]]:
    names = {d.name for d in new}
    known = {d.name for d in old}
    splits: dict[str, dict[str, float | None]] = {}
    for part in new:
        if part.parent in known - names and part.name not in known and part.parent:
            splits.setdefault(part.parent, {})[part.name] = None
    for whole, parts in changes.split.items():
        given = dict(parts) if isinstance(parts, Mapping) else dict.fromkeys(parts)
        unknown = [p for p in given if p not in names]
        if whole not in known or unknown:
            raise InputError(
                f"split of {whole!r} into {', '.join(given)}: "
                f"{unknown[0] if unknown else whole!r} is no {'new' if unknown else 'old'} domain"
            )
        splits[whole] = {k: None if v is None else float(v) for k, v in given.items()}
    return splits


def _merges(old: Sequence[Domain], new: Sequence[Domain], changes: Changes) -> dict[str, list[str]]:
    names = {d.name for d in new}
    known = {d.name for d in old}
    merges: dict[str, list[str]] = {}
    for part in old:
        if part.parent in names and part.name not in names and part.parent:
            merges.setdefault(part.parent, []).append(part.name)
    for whole, parts in changes.merged.items():
        unknown = [p for p in parts if p not in known]
        if whole not in names or unknown:
            raise InputError(
                f"merge of {', '.join(parts)} into {whole!r}: "
                f"{unknown[0] if unknown else whole!r} is no {'old' if unknown else 'new'} domain"
            )
        merges[whole] = list(parts)
    for whole, parts in merges.items():
        if whole in known and whole not in parts:  # the old whole took in others
            parts.append(whole)
    return merges


def _ratio(
    parts: Mapping[str, float | None], ties: Sequence[Tie], domains: Mapping[str, Domain]
) -> dict[str, float] | None:
    """Share of each part: as given, else as tied, else by token counts; None if unknown."""
    given = [v for v in parts.values() if v is not None]
    if len(given) == len(parts):
        return {k: float(v or 0.0) / sum(given) for k, v in parts.items()}
    for tie in ties:
        if set(parts) <= set(tie.ratios):
            total = sum(tie.ratios[p] for p in parts)
            return {p: tie.ratios[p] / total for p in parts}
    return _natural([domains[p] for p in parts])


def _natural(domains: Sequence[Domain]) -> dict[str, float] | None:
    tokens = [d.tokens for d in domains]
    if any(t is None for t in tokens) or not sum(t or 0.0 for t in tokens) > 0:
        return None
    total = sum(t or 0.0 for t in tokens)
    return {d.name: (d.tokens or 0.0) / total for d in domains}


def _check_merge(
    refused: dict[int, str], whole: str, parts: Sequence[Domain], inner: Array, tolerance: float
) -> None:
    """Refuse runs that mixed the parts in another ratio than the merged domain will."""
    if len(parts) == 1:  # a new name for the same data
        return
    total = inner.sum(axis=1)
    natural = _natural(parts)
    names = ", ".join(d.name for d in parts)
    if natural is None:
        reason = (
            f"it holds {{:.3g}} of {names}, which were merged into {whole!r} with no known natural "
            "ratio (give their tokens)"
        )
        _refuse(refused, total, total > _NOTHING, reason)
        return
    ratio = inner / np.maximum(total, 1e-300)[:, None]
    off = np.abs(ratio - np.array([natural[d.name] for d in parts])).max(axis=1)
    wanted = " : ".join(f"{natural[d.name]:.3g}" for d in parts)
    reason = (
        f"it mixed {names} {{:.3g}} away from their natural ratio {wanted}, in which {whole!r} "
        "holds them"
    )
    _refuse(refused, off, (total > _NOTHING) & (off > tolerance), reason)


def _refuse(refused: dict[int, str], values: Array, where: NDArray[np.bool_], reason: str) -> None:
    for run in np.flatnonzero(where):
        refused.setdefault(int(run), reason.format(values[run]))
