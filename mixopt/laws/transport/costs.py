"""How far mixtures are from what is scored, as a formula: measured once, asked for in no time.

The Sinkhorn divergence takes tens of milliseconds a mixture, a search asks for many thousands. It
is smooth in the shares and nearly quadratic; so it is measured at some mixtures, and a quadratic
form is fitted, whose error at mixtures left out is part of the record.

Notation:
    p: (m,) shares; P: (n, m) mixtures; Q: (m, m) symmetric; S(p) ~ p Q p
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mixopt.errors import InputError, did_you_mean
from mixopt.laws.base import JSON, numbers
from mixopt.laws.linear import fit_linear
from mixopt.laws.transport.divergence import EPSILON, Clouds, Distance, exchange_gradient
from mixopt.space.simplex import Array

VERSION = 1
_DIRICHLET = 0.4  # of mixtures that are measured: many are near edges, where runs are too
_MOST = 256  # of them beside the single domains
_RIDGES = (1e-8, 1e-6, 1e-4, 1e-2)


def silent(_done: int, _all: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, eq=False)
class TransportCosts:
    """Distances of mixtures from a target.

    Attributes:
        domains: (m,) names.
        quadratic: Q.
        error: rms of S - p Q p over mixtures left out of the fit.
        spread: sd of S over the mixtures that were measured.
        alone: (m,) S of each domain by itself.
        gradient: (m,) at equal shares, what more of a domain does: see `exchange_gradient`.
        notes: where points and target came from.
    """

    domains: tuple[str, ...]
    quadratic: Array
    error: float
    spread: float
    alone: tuple[float, ...]
    gradient: tuple[float, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def measure(
        cls,
        points: Mapping[str, ArrayLike],
        target: ArrayLike,
        *,
        epsilon: float = EPSILON,
        seed: int = 0,
        tell: Callable[[int, int], None] = silent,
    ) -> "TransportCosts":
        """Measure some mixtures of pilot samples, and fit.

        Args:
            points: domain to embeddings of a sample of its documents, (n, d).
            target: (T, d) of what is scored.
            epsilon: entropy, see `mixopt.laws.transport.divergence`.
            seed: of the mixtures.
            tell: is told how many are measured, and of how many.

        Raises:
            InputError: see `Clouds.of`.
        """
        clouds = Clouds.of(points, target, epsilon)
        m = len(clouds.names)
        drawn = np.random.default_rng(seed).dirichlet(
            np.full(m, _DIRICHLET), min(m * (m + 1), _MOST)
        )
        P = np.vstack([np.eye(m), np.full((1, m), 1 / m), drawn])
        measured: list[Distance] = []
        for p in P:
            measured.append(clouds.at(p))
            tell(len(measured), len(P))
        S = np.array([one.value for one in measured])
        rows, columns = np.triu_indices(m)
        fit = fit_linear(P[:, rows] * P[:, columns], S, _RIDGES, np.arange(len(P)))
        Q = np.zeros((m, m))
        Q[rows, columns] = fit.coefficients[1:]
        Q = (Q + Q.T) / 2 + fit.coefficients[0]
        # of the single domains none can stand for another, so that they are no test of the form
        return cls(
            clouds.names,
            Q,
            float(np.sqrt((fit.loo[m:] ** 2).mean())),
            float(S.std()),
            tuple(S[:m].tolist()),
            tuple(exchange_gradient(measured[m].potentials, P[m]).tolist()),
            {"epsilon": epsilon, "documents": {n: len(np.asarray(points[n])) for n in points}},
        )

    def __call__(self, P: Array) -> Array:
        """(n,) distances of mixtures P (n, m)."""
        return np.asarray(((P @ self.quadratic) * P).sum(axis=1))

    def ordered(self, domains: Sequence[str]) -> "TransportCosts":
        """The same for domains in this order.

        Raises:
            InputError: one was not measured, or is measured and not asked for.
        """
        for name in domains:
            if name not in self.domains:
                raise InputError(
                    f"domain {name!r} has no transport costs; {did_you_mean(name, self.domains)}. "
                    "Measure them for these domains: mixopt transport SPEC"
                )
        places = [self.domains.index(name) for name in domains]
        left = [name for name in self.domains if name not in domains]
        if left:
            raise InputError(
                f"transport costs were measured with {left[0]!r}, which is none of the domains; "
                "measure them for these: mixopt transport SPEC"
            )
        return replace(
            self,
            domains=tuple(domains),
            quadratic=self.quadratic[np.ix_(places, places)],
            alone=tuple(self.alone[i] for i in places),
            gradient=tuple(self.gradient[i] for i in places),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "version": VERSION,
            "domains": list(self.domains),
            "quadratic": self.quadratic.tolist(),
            "error": self.error,
            "spread": self.spread,
            "alone": list(self.alone),
            "gradient": list(self.gradient),
            "notes": dict(self.notes),
        }

    @classmethod
    def read(cls, values: JSON) -> "TransportCosts":
        """What `to_dict` wrote."""
        return cls(
            tuple(values["domains"]),
            numbers(values["quadratic"]),
            float(values["error"]),
            float(values["spread"]),
            tuple(values["alone"]),
            tuple(values["gradient"]),
            values["notes"],
        )


def read_costs(path: str | Path) -> TransportCosts:
    """The costs of a file that `mixopt transport` wrote.

    Raises:
        InputError: it is not there, or is no such file.
    """
    remedy = "write it with: mixopt transport SPEC --out FILE"
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        known = values["version"]
    except FileNotFoundError:
        raise InputError(f"there is no file of transport costs {str(path)!r}; {remedy}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{str(path)!r} is no file of transport costs ({type(error).__name__}: {error}); "
            f"{remedy}"
        ) from error
    if known != VERSION:
        raise InputError(
            f"{str(path)!r} is of version {known} of transport costs, and this reads {VERSION}; "
            f"{remedy}"
        )
    return TransportCosts.read(values)
