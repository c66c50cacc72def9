"""ms-swift (4.6): arguments of a command line.

Probabilities count *examples*. In the name of a dataset, `#` would cut it to so many rows.
"""

import shlex
from collections.abc import Iterable

from mixopt.errors import InputError
from mixopt.export.exporter import Exporter, Job, Option, Repeats, Unit

REPEATING = "all_exhausted"


def _check(job: Job) -> Iterable[str]:
    for domain in job.domains:
        if "#" in job.place(domain):
            raise InputError(
                f"path of domain {domain!r}: {job.place(domain)!r} holds '#', after which ms-swift "
                "expects a number of rows; rename the file"
            )
    repeated = [d for d, e in job.epochs.items() if e > 1 + 1e-6]
    if repeated and job.options["stopping_strategy"] != REPEATING:
        raise InputError(
            f"stopping_strategy is first_exhausted, which stops at the end of the first domain, "
            f"and the run needs more of {', '.join(map(repr, repeated))}; use {REPEATING}"
        )
    return ()


def _write(job: Job) -> str:
    arguments = ["--dataset", *(job.place(d) for d in job.weights)]
    if len(job.weights) > 1:
        arguments += ["--interleave_prob", *(f"{w:.9f}" for w in job.weights.values())]
        arguments += ["--stopping_strategy", job.options["stopping_strategy"]]
    arguments += ["--data_seed", str(job.seed)]
    return shlex.join(arguments) + "\n"


EXPORTER = Exporter(
    "ms-swift: --dataset and --interleave_prob, quoted for a shell",
    _write,
    units=(Unit.EXAMPLES,),
    version="4.6",
    suffix=".args",
    options=(
        Option(
            "stopping_strategy",
            "at the end of the first domain, or of the last",
            REPEATING,
            choices=("first_exhausted", REPEATING),
        ),
    ),
    repeats=Repeats.OPTION,
    check=_check,
)
