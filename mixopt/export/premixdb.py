"""premixdb (0.1): arguments of `query.mix`, which allots tokens exactly."""

from mixopt.export.exporter import Draws, Exporter, Job, Option, Paths, Unit
from mixopt.export.texts import comment, literal

_FILE = '''"""The training mixture, for premixdb. Written by {note}."""

TOKENS = {tokens}
# Domain to share of tokens; they must name exactly the strata of the query.
WEIGHTS = {weights}
OPTIONS = {options}


def mixture(query, **options):
    """The mixed query."""
    return query.mix(tokens=TOKENS, weights=WEIGHTS, **{{**OPTIONS, **options}})
{provenance}'''


def _write(job: Job) -> str:
    tokens = job.need("tokens", "premixdb allots tokens exactly")
    stage = job.stages[0].tokens or tokens
    repeats = any(e > 1 + 1e-6 for e in job.epochs.values())
    options = {"replacement": repeats or job.options["replacement"]}
    if job.facts.sequence_length is not None:
        options = {"sequence_length": job.facts.sequence_length, **options}
    return _FILE.format(
        note=job.note,
        tokens=stage,
        weights=literal(dict(job.weights)),
        options=literal(options),
        provenance=comment(job.provenance),
    )


EXPORTER = Exporter(
    "premixdb: Python with the arguments of query.mix",
    _write,
    units=(Unit.TOKENS,),
    version="0.1",
    suffix=".py",
    options=(
        Option(
            "replacement",
            "draw with replacement; always where a domain is passed over more than once",
            False,
            bool,
        ),
    ),
    draws=Draws.EXACT,
    paths=Paths.UNUSED,
)
