"""The space of a run table: its domains, as large as its columns `epochs/<domain>` say."""

import numpy as np

from mixopt.runs.columns import EPOCHS
from mixopt.runs.epoch_columns import epochs_per_share
from mixopt.runs.run_table import RunTable
from mixopt.space.domains import Domain
from mixopt.space.mixture_space import MixtureSpace


def table_space(runs: RunTable) -> MixtureSpace:
    """All mixtures of a table's domains.

    With columns of epochs the domains have tokens, and the space a budget: the tokens of the
    longest run (1 where none are stated), since only their ratio counts. Passes are not capped.

    >>> import pandas as pd
    >>> runs = pd.DataFrame({"w/a": [0.5, 0.2], "w/b": [0.5, 0.8], "m/loss": [2.0, 2.1]})
    >>> runs = runs.assign(**{"epochs/a": [4.0, 1.6], "epochs/b": [0.5, 0.8]})
    >>> space = table_space(RunTable.from_frame(runs))
    >>> space.budget, space.tokens.round(3).tolist()
    (1.0, [0.125, 1.0])

    Raises:
        InputError: epochs that no size of a domain explains.
    """
    columns = [EPOCHS + name for name in runs.domains]
    if not any(c in runs.facts for c in columns):
        return MixtureSpace(runs.domains)
    missing = np.full(len(runs), np.nan)
    E = np.column_stack([np.asarray(runs.facts.get(c, missing), dtype=float) for c in columns])
    D = runs.scales[:, 1]
    per_share = epochs_per_share(E, runs.W, D, columns)
    budget = float(np.nanmax(D)) if np.isfinite(D).any() else 1.0
    sizes = [budget / e if np.isfinite(e) and e > 0 else None for e in per_share]
    domains = [Domain(name, tokens=N) for name, N in zip(runs.domains, sizes, strict=True)]
    return MixtureSpace(domains, budget=budget, epochs=np.inf)
