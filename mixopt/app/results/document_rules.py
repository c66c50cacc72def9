"""What `mixopt documents` does: the sampler of an answer, as rules on the scores of documents."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from mixopt.app.results.publish import conclude
from mixopt.app.running.checks import make_trainer
from mixopt.app.running.launch import Sweep
from mixopt.app.running.preparation import cache_of
from mixopt.errors import InputError
from mixopt.runs.document_rule import DocumentRule, ScoredDocuments
from mixopt.runs.document_sampling import sampler_for, samplers_of
from mixopt.runs.knobs import set_knobs


@runtime_checkable
class ScoresDocuments(Protocol):
    """A trainer whose documents have scores."""

    def scored_documents(self, cache: Path, data: str) -> Mapping[str, ScoredDocuments]:
        """By domain, those of the data of that hash; see `proxies:LanguageModelTrainer`."""
        ...


def document_rules(sweep: Sweep) -> dict[str, DocumentRule | None]:
    """The rule of every domain that the answer draws from; None where all is read once.

    Args:
        sweep: with an answer.

    Raises:
        InputError: it has no answer, its runs sample no documents, or the trainer has no scores.
    """
    outcome = conclude(sweep)
    config = set_knobs(sweep.problem.config, outcome.settings)
    samplers = samplers_of(config.get("sampling"))
    if not samplers:
        raise InputError(
            f"the answer of {sweep.spec.name!r} reads all documents of a domain alike; for one "
            "that chooses among them give the trainer 'scores', and 'sampling' or strategy quadmix"
        )
    trainer = make_trainer(sweep.spec, config, sweep.runtime)
    if not isinstance(trainer, ScoresDocuments):
        raise InputError(
            f"{sweep.spec.trainer.use} tells no scores of its documents; name one that has "
            "'scored_documents', such as proxies:LanguageModelTrainer"
        )
    documents = trainer.scored_documents(cache_of(sweep.spec), sweep.info.data)
    shares = outcome.recommendation.mixture.to_dict()
    rules: dict[str, DocumentRule | None] = {}
    for name, share in shares.items():
        sampler = sampler_for(samplers, name)
        if share > 0:
            rules[name] = None if sampler is None else DocumentRule.of(documents[name], sampler)
    return rules
