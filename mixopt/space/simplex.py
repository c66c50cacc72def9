"""Pure array functions on the probability simplex.

Notation:
    W: (n, m) mixtures, rows on the simplex {w >= 0, sum w = 1}
    V: (n, m) arbitrary points; q: (m,) or (n, m) positive reference weights
    lower, upper: (m,) bounds with 0 <= lower <= upper <= 1, sum lower <= 1 <= sum upper
Every function takes one point (m,) or many (n, m) and returns the same shape.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixopt.errors import InputError

Array = NDArray[np.float64]

# Published tables are rounded (RegMix's rows sum to .996-1.003), so this much is rescaled quietly.
SUM_TOLERANCE = 0.005
_BISECTIONS = 100


def as_simplex(weights: ArrayLike, *, renormalize: bool = False, what: str = "run") -> Array:
    """Check weights and scale every row to sum to exactly 1.

    Args:
        weights: (m,) or (n, m), finite, non-negative up to -1e-9.
        renormalize: accept sums further than 0.005 from 1 (rounded or unnormalised data).
        what: the noun used in messages for a row.

    Raises:
        InputError: not finite, negative, or a sum off 1; the first bad row is named.
    """
    given = np.asarray(weights, dtype=float)
    W = np.atleast_2d(given)
    for broken, rule in (
        (~np.isfinite(W).all(axis=1), "have a missing or infinite value"),
        ((W < -1e-9).any(axis=1), "have a negative value"),
    ):
        if broken.any():
            row = int(np.argmax(broken))
            raise InputError(f"weights of {what} {row} {rule}: {_short(W[row])}")
    W = np.clip(W, 0.0, None)
    sums = W.sum(axis=1)
    off = (sums <= 0) if renormalize else (np.abs(sums - 1.0) > SUM_TOLERANCE)
    if off.any():
        row = int(np.argmax(off))
        remedy = "" if renormalize else "; pass renormalize=True to accept rounded data"
        raise InputError(
            f"weights of {what} {row} sum to {sums[row]:.4g} "
            f"(expected 1 +- {SUM_TOLERANCE}){remedy}"
        )
    sums = np.where(np.abs(sums - 1.0) < 1e-12, 1.0, sums)  # exact rows stay as they are
    return np.asarray((W / sums[:, None]).reshape(given.shape))


def project_euclidean(V: ArrayLike, lower: ArrayLike = 0.0, upper: ArrayLike = 1.0) -> Array:
    """The nearest point of {lower <= x <= upper, sum x = 1} in Euclidean distance.

    x = clip(v - t, lower, upper), with the shift t found by bisection.
    """
    given = np.asarray(V, dtype=float)
    v = np.atleast_2d(given)
    lo, hi = _bounds(v.shape[1], lower, upper)
    t_low = (v - hi).min(axis=1) - 1.0
    t_high = (v - lo).max(axis=1) + 1.0
    for _ in range(_BISECTIONS):
        t = 0.5 * (t_low + t_high)
        too_big = np.clip(v - t[:, None], lo, hi).sum(axis=1) > 1.0
        t_low, t_high = np.where(too_big, t, t_low), np.where(too_big, t_high, t)
    x = np.clip(v - (0.5 * (t_low + t_high))[:, None], lo, hi)
    return _settle(x, lo, hi).reshape(given.shape)


def project_kl(q: ArrayLike, lower: ArrayLike = 0.0, upper: ArrayLike = 1.0) -> Array:
    """The point x of {lower <= x <= upper, sum x = 1} with the least KL(x || q).

    Water filling: x = clip(c q, lower, upper), with the scale c found by bisection.

    >>> project_kl([0.7, 0.2, 0.1], upper=0.5).round(4)
    array([0.5   , 0.3333, 0.1667])
    """
    given = np.asarray(q, dtype=float)
    v = np.maximum(np.atleast_2d(given), 1e-300)
    lo, hi = _bounds(v.shape[1], lower, upper)
    log_v = np.log(v)
    t_low = -log_v.max(axis=1) - 50.0 - np.log(v.shape[1])
    t_high = -log_v.min(axis=1) + 1.0
    for _ in range(_BISECTIONS):
        t = 0.5 * (t_low + t_high)
        too_big = np.clip(np.exp(log_v + t[:, None]), lo, hi).sum(axis=1) > 1.0
        t_low, t_high = np.where(too_big, t_low, t), np.where(too_big, t, t_high)
    x = np.clip(np.exp(log_v + (0.5 * (t_low + t_high))[:, None]), lo, hi)
    x = np.where(x < 1e-100, 0.0, x)  # a zero stays zero, unless the bounds need its weight
    return _settle(x, lo, hi).reshape(given.shape)


def kl(p: ArrayLike, q: ArrayLike) -> Array:
    """KL(p || q) = sum p log(p / q) in nats, over the last axis; q is floored at 1e-12."""
    p_, q_ = np.asarray(p, dtype=float), np.maximum(np.asarray(q, dtype=float), 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p_ > 0, p_ * np.log(np.maximum(p_, 1e-300) / q_), 0.0)
    return np.asarray(terms.sum(axis=-1))


def temperature(q: ArrayLike, tau: float) -> Array:
    """The tempered prior q^tau / sum q^tau: tau 1 keeps q, 0 is uniform over its support."""
    q_ = np.asarray(q, dtype=float)
    powered = np.where(q_ > 0, np.maximum(q_, 1e-300) ** tau, 0.0)
    return np.asarray(powered / powered.sum(axis=-1, keepdims=True))


def hellinger(W: ArrayLike) -> Array:
    """Coordinates sqrt(w): Euclidean distance between them is Hellinger distance times sqrt 2."""
    return np.asarray(np.sqrt(np.clip(np.asarray(W, dtype=float), 0.0, None)))


def hellinger_distance(W: ArrayLike, U: ArrayLike) -> Array:
    """(n, k) Hellinger distances, in [0, 1], between the rows of W (n, m) and of U (k, m)."""
    affinity = hellinger(np.atleast_2d(W)) @ hellinger(np.atleast_2d(U)).T
    return np.asarray(np.sqrt(np.clip(1.0 - affinity, 0.0, 1.0)))


def ilr(W: ArrayLike, epsilon: float = 1e-3) -> Array:
    """(n, m-1) isometric log-ratio coordinates of w + epsilon in an orthonormal Helmert basis."""
    w = np.asarray(W, dtype=float) + epsilon
    logs = np.log(w / w.sum(axis=-1, keepdims=True))
    return np.asarray(logs @ _helmert(w.shape[-1]))


def inverse_ilr(Z: ArrayLike, epsilon: float = 0.0) -> Array:
    """The mixtures whose `ilr` coordinates (with the same epsilon) are Z (n, m-1)."""
    z = np.asarray(Z, dtype=float)
    m = z.shape[-1] + 1
    logs = z @ _helmert(m).T
    w = np.exp(logs - logs.max(axis=-1, keepdims=True))
    w = w / w.sum(axis=-1, keepdims=True) * (1 + m * epsilon) - epsilon
    w = np.clip(w, 0.0, None)
    return np.asarray(w / w.sum(axis=-1, keepdims=True))


def round_to_grid(
    weights: ArrayLike, step: float = 1e-4, *, lower: ArrayLike = 0.0, upper: ArrayLike = 1.0
) -> Array:
    """Round mixtures (m,) or (n, m) to multiples of `step` so that every row still sums to 1.

    Largest remainders are rounded up; a zero stays zero. Bounds are kept where the grid has a
    mixture within them. `1 / step` must be a whole number.

    >>> round_to_grid([0.66, 0.34, 0.0], 0.1)
    array([0.7, 0.3, 0. ])
    """
    given = as_simplex(weights)
    parts = round(1.0 / step)
    if abs(parts * step - 1.0) > 1e-9:
        raise InputError(f"step {step} does not divide 1; give 0.01, 0.001, ...")
    exact = np.atleast_2d(given) * parts
    low = np.ceil(np.broadcast_to(np.asarray(lower, dtype=float), exact.shape[1]) * parts - 1e-6)
    high = np.floor(np.broadcast_to(np.asarray(upper, dtype=float), exact.shape[1]) * parts + 1e-6)
    units = np.minimum(np.maximum(np.floor(exact + 1e-9), low), np.maximum(high, low))
    for _ in range(exact.shape[1]):
        left = parts - units.sum(axis=1, keepdims=True)
        if not left.any():
            break
        up = left > 0
        movable = np.where(up, (units < high) & (exact > 0), units > low)
        gain = np.where(movable, np.where(up, exact - units, units - exact), -np.inf)
        order = np.argsort(-gain, axis=1, kind="stable")
        rank = np.argsort(order, axis=1, kind="stable")
        units += np.where(movable & (rank < np.abs(left)), np.sign(left), 0.0)
    return np.asarray((units / units.sum(axis=1, keepdims=True)).reshape(given.shape))


def dirichlet(alpha: ArrayLike, rng: np.random.Generator) -> Array:
    """(n, m) one Dirichlet draw per row of alpha (n, m); alpha 0 gives weight 0.

    Drawn as log gammas, so that strengths far below 1 (nearly one-hot draws) do not underflow.
    """
    a = np.atleast_2d(np.asarray(alpha, dtype=float))
    safe = np.maximum(a, 1e-12)
    logs = np.log(rng.standard_gamma(safe + 1.0)) + np.log1p(-rng.random(a.shape)) / safe
    logs = np.where(a > 0, logs, -np.inf)
    w = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(w / w.sum(axis=1, keepdims=True))


def _bounds(m: int, lower: ArrayLike, upper: ArrayLike) -> tuple[Array, Array]:
    lo = np.broadcast_to(np.asarray(lower, dtype=float), (m,))
    hi = np.broadcast_to(np.asarray(upper, dtype=float), (m,))
    if (lo > hi + 1e-12).any() or lo.sum() > 1 + 1e-9 or hi.sum() < 1 - 1e-9:
        raise InputError(
            f"bounds leave no mixture: lower bounds sum to {lo.sum():.4g} (must be <= 1), "
            f"upper bounds to {hi.sum():.4g} (must be >= 1)"
        )
    return lo, hi


def _settle(x: Array, lower: Array, upper: Array) -> Array:
    """Spread what bisection left of the sum (about 1e-16) over the coordinates with room."""
    missing = 1.0 - x.sum(axis=1, keepdims=True)
    room = np.where(missing > 0, upper - x, x - lower)
    total = room.sum(axis=1, keepdims=True)
    share = np.divide(room, total, out=np.zeros_like(room), where=total > 0)
    return np.asarray(np.clip(x + missing * share, lower, upper))


def _helmert(m: int) -> Array:
    """(m, m-1) orthonormal columns, each orthogonal to the vector of ones."""
    basis = np.zeros((m, m - 1))
    for j in range(1, m):
        basis[:j, j - 1] = 1.0 / np.sqrt(j * (j + 1))
        basis[j, j - 1] = -j / np.sqrt(j * (j + 1))
    return basis


def _short(row: Array) -> str:
    shown = ", ".join(f"{value:.4g}" for value in row[:6])
    return f"[{shown}{', ...' if row.size > 6 else ''}]"
