"""What every exporter needs: exact shares without zeros, paths, tokens turned into examples.

Notation:
    w: (m,) shares of training tokens; t: (m,) mean tokens per example
    examples: p = (w / t) / sum(w / t), so that tokens come out as w
"""

from collections.abc import Mapping

import numpy as np

from mixopt.errors import InputError, did_you_mean
from mixopt.space import Mixture, simplex

DIGITS = 9  # of an exported share


def exact_shares(mixture: Mixture) -> dict[str, float]:
    """Domain to share, zeros dropped; the decimals that are written add up to exactly 1.

    Shares are multiples of 1e-9; one that rounds to zero is dropped.
    """
    rounded = simplex.round_to_grid(mixture.array, 10.0**-DIGITS)
    shares = zip(mixture.domains, rounded.tolist(), strict=True)
    return {domain: round(share, DIGITS) for domain, share in shares if share > 0}


def shares_of_examples(mixture: Mixture, tokens_per_example: Mapping[str, float]) -> Mixture:
    """The share of examples per domain that gives the mixture's share of tokens.

    Raises:
        InputError: a domain of the mixture has no positive mean length.
    """
    lengths = []
    for domain, weight in mixture.to_dict().items():
        length = tokens_per_example.get(domain, np.nan if weight > 0 else 1.0)
        if not (np.isfinite(length) and length > 0):
            raise InputError(
                f"tokens_per_example of domain {domain!r} is {length}; give its mean tokens per "
                f"example, above 0 ({did_you_mean(domain, tokens_per_example)})"
            )
        lengths.append(float(length))
    counts = mixture.array / np.array(lengths)
    return Mixture(mixture.domains, tuple((counts / counts.sum()).tolist()))


def paths_of(domains: Mapping[str, float], paths: Mapping[str, str]) -> dict[str, str]:
    """The path of every exported domain.

    Raises:
        InputError: a domain has no path.
    """
    missing = [d for d in domains if not paths.get(d)]
    if missing:
        raise InputError(
            f"no path is given for {', '.join(map(repr, missing))}; give paths={{domain: path}} "
            "for every domain with a share above zero"
        )
    return {d: str(paths[d]) for d in domains}
