"""Honest baselines: what one would train without any proxy run.

Notation:
    q: (m,) natural mixture; N: (m,) unique tokens; R: budget of the target run in tokens
"""

import numpy as np

from mixopt.space import Mixture, MixtureSpace, simplex
from mixopt.space.simplex import Array


def baselines(space: MixtureSpace) -> dict[str, Mixture]:
    """The mixtures that every recommendation is compared with, moved (KL) into the constraints.

    `natural` (prior), `uniform`, `temperature` (prior to the power .5), and `unimax` where every
    domain's tokens, the budget and the epoch cap are known. Without priors or token counts nobody
    knows what is natural, and `uniform` alone is left of the first three. Mixtures that the
    constraints make equal are kept once, under the first of these names.

    >>> list(baselines(MixtureSpace({"web": 8e9, "code": 2e9})))
    ['natural', 'uniform', 'temperature']
    """
    raw = {"uniform": np.full(space.dim, 1.0 / space.dim)}
    if space.knows_prior:
        tempered = simplex.temperature(space.prior, 0.5)
        raw = {"natural": space.prior, **raw, "temperature": tempered}
    spread = unimax(space)
    if spread is not None:
        raw["unimax"] = spread
    kept: dict[str, Mixture] = {}
    seen: list[Array] = []
    for name, weights in raw.items():
        w = space.project(weights, metric="kl")
        if not any(np.abs(w - other).sum() < 1e-6 for other in seen):
            kept[name] = space.mixture(w)
            seen.append(w)
    return kept


def unimax(space: MixtureSpace) -> Array | None:
    """(m,) UniMax: the budget spread evenly, no domain seen more often than its epoch cap.

    Domains are served from the smallest cap up: each takes an equal part of what is left, or its
    cap (recommended as a baseline by 2501.11747). None where tokens or budget are unknown.
    """
    if space.budget is None or not np.isfinite(space.tokens).all():
        return None
    weights = np.zeros(space.dim)
    left = 1.0
    for place, i in enumerate(np.argsort(space.caps, kind="stable")):
        weights[i] = min(left / (space.dim - place), space.caps[i])
        left -= weights[i]
    return np.asarray(weights / weights.sum())


def singles(space: MixtureSpace, *, tolerance: float = 1e-9) -> dict[str, Mixture]:
    """Every single-domain mixture that the constraints allow, by domain.

    One that they do not allow is left out: moved into the constraints it would no longer say what
    its name says.
    """
    vertices = np.eye(space.dim)
    allowed = space.contains(vertices, tolerance)
    return {
        name: space.mixture(vertices[i]) for i, name in enumerate(space.names) if bool(allowed[i])
    }
