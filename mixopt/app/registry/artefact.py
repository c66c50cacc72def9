"""What a promotion leaves behind: files of the registered version, and the card in the folder."""

import json
import math
import time
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import pandas as pd

from mixopt.app.running.launch import Sweep
from mixopt.app.running.preparation import tracking_uri
from mixopt.app.running.registries import model_name
from mixopt.errors import InputError, StoreError
from mixopt.evidence.card import About, card
from mixopt.evidence.decision import Decision
from mixopt.evidence.law_model import LawModel
from mixopt.evidence.outcome import Outcome
from mixopt.evidence.reached import asked_at
from mixopt.evidence.rules import digest_of
from mixopt.export.facts import Facts
from mixopt.export.token_plan import TokenPlan, compile_plan
from mixopt.runs import Schedule
from mixopt.runs.files import write_atomically
from mixopt.runs.run_table import RunTable
from mixopt.space import Mixture
from mixopt.tracking.location import locate
from mixopt.tracking.registry import CANDIDATE, CHAMPION, Entry, Registry, Version

CARD = "card.md"
MIXTURE, LAW, DECISION = "mixture.json", "law.json", "decision.json"
SCHEMA, FORMAT = "mixopt.promoted", 1
"""Of mixture.json."""
_APART = (
    "execution",
    "store",
    "promotion",
    "question",
    "owner",
)  # of a spec: no part of what it is


@dataclass(frozen=True, eq=False)
class Promoted:
    """A study that was put to the test.

    Attributes:
        sweep: the study. outcome: of it.
        decision: of the promotion.
    """

    sweep: Sweep
    outcome: Outcome
    decision: Decision

    @property
    def plan(self) -> tuple[TokenPlan, bool]:
        """Whole tokens of the large run; of the promotion where the spec gives no budget."""
        pick, budget = self.decision.pick.plan, self.sweep.problem.space.budget
        tokens = int(budget) if budget is not None else self.decision.scale.tokens
        facts = Facts(tokens=tokens, unique=self.unique)
        return compile_plan(pick.schedule or pick.mixture, facts), budget is not None

    @property
    def unique(self) -> dict[str, float]:
        """Domain to unique tokens of the target, where known."""
        space = self.sweep.problem.space
        named = zip(space.names, space.tokens.tolist(), strict=True)
        return {d: float(n) for d, n in named if math.isfinite(n) and n > 0}


@dataclass(frozen=True)
class Registered:
    """A version with what points to it.

    Attributes:
        version: the version.
        aliases: alias to the number of the version that it points to, empty for none.
        where: the registry, for people.
    """

    version: Version
    aliases: dict[str, str]
    where: str


def make_card(promoted: Promoted, *, registered: bool) -> str:
    """The model card of what a promotion picked.

    Args:
        promoted: study and decision.
        registered: whether there is a registered model.
    """
    sweep, decision = promoted.sweep, promoted.decision
    plan, budgeted = promoted.plan
    folder = sweep.folder
    commands = {
        "the search; what is trained is not trained again": "mixopt run spec.yaml",
        "the decision": f"mixopt promote {folder}",
    }
    if registered:
        source = f"models:/{model_name(sweep.spec)}@{CANDIDATE}"
        commands["the mixture for a trainer"] = f"mixopt export {source} --format json"
    about = About(
        date=time.strftime("%Y-%m-%d"),
        trainer=sweep.spec.trainer.use,
        data=sweep.info.data,
        version=installed("mixopt"),
        spec=spec_digest(sweep),
        plan=plan,
        budgeted=budgeted,
        model=model_name(sweep.spec) if registered else "",
        registry=locate(tracking_uri(sweep.spec, sweep.folder)).shown if registered else "",
        question=sweep.spec.question,
        owner=sweep.spec.owner,
        commands=commands,
    )
    return card(decision, promoted.outcome, sweep.problem.space, about)


def keep_card(sweep: Sweep, text: str) -> Path:
    """Write the card into the sweep's folder, and attach it to the store.

    Raises:
        StoreError: it cannot be written.
    """
    path = sweep.folder / CARD
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror}; free some space, and run the same command "
            "again"
        ) from error
    sweep.store.attach(path)
    return path


def register(
    promoted: Promoted, registry: Registry, aliases: dict[str, str], to: str = CANDIDATE
) -> Registered:
    """A version of the study's registered model, with the aliases moved to it.

    Args:
        promoted: study and decision, which was passed.
        registry: to register in.
        aliases: alias to where it was seen before anything was trained.
        to: `candidate` alone, or `champion` too.

    Raises:
        StoreError: the registry cannot be written, or an alias was moved meanwhile.
    """
    version = registry.register(_entry(promoted))
    for alias in dict.fromkeys([CANDIDATE, to]):
        registry.move(version, alias, seen=aliases.get(alias, ""))
    return Registered(version, aliases_of(registry, version.name), registry.where)


def aliases_of(registry: Registry, name: str) -> dict[str, str]:
    """Alias to number of version; empty where it points to none."""
    return {alias: registry.alias(name, alias) for alias in (CANDIDATE, CHAMPION)}


def promoted_plan(text: str) -> tuple[Mixture | Schedule, dict[str, Any]]:
    """The plan in a version's mixture.json, and everything that the file says.

    Raises:
        StoreError: it is of another format.
    """
    values = read_json(text, MIXTURE)
    if (values.get("schema"), values.get("version")) != (SCHEMA, FORMAT):
        raise StoreError(
            f"the version holds {values.get('schema')} {values.get('version')}, and this mixopt "
            f"reads {SCHEMA} {FORMAT}; use the mixopt that registered it"
        )
    try:
        if values["schedule"] is not None:
            return Schedule.from_dict(values["schedule"]), values
        return Mixture.of(values["mixture"]), values
    except (InputError, KeyError, TypeError, AttributeError) as error:
        raise damaged(MIXTURE, error) from error


def read_json(text: str, file: str) -> dict[str, Any]:
    """The object in a file of a version.

    Raises:
        StoreError: it is none.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise damaged(file, error) from error
    if not isinstance(values, dict):
        raise damaged(file, TypeError(f"a {type(values).__name__}"))
    return values


def damaged(file: str, error: Exception) -> StoreError:
    """That a file of a version is not what mixopt wrote."""
    return StoreError(
        f"{file} of the version is damaged ({type(error).__name__}: {error}); use another version "
        "of the model"
    )


def spec_digest(sweep: Sweep) -> str:
    """Of what a sweep is: its spec without where it ran and was recorded."""
    shown = {k: v for k, v in sweep.spec.shown().items() if k not in _APART}
    shown["trainer"] = {k: v for k, v in shown["trainer"].items() if k != "runtime"}
    return digest_of(shown)


def _entry(promoted: Promoted) -> Entry:
    sweep, outcome, decision = promoted.sweep, promoted.outcome, promoted.decision
    answer = outcome.recommendation
    surrogate = asked_at(outcome.surrogate, answer, sweep.problem.target)
    law = LawModel(sweep.problem.space.names, surrogate, answer.reach)
    files = {
        MIXTURE: _text(_mixture(promoted)),
        LAW: law.to_json(),
        DECISION: _text(decision.summary()),
        CARD: make_card(promoted, registered=True),
    }
    search = [o for o in sweep.store.observations() if o.spec.kind.in_search]
    shown = decision.shown
    figures = {
        "gain/predicted": shown.predicted,
        "gain/measured": shown.measured,
        "rank": shown.rank,
        "seed_sd": decision.seed_sd,
    }
    return Entry(
        name=model_name(sweep.spec),
        promotion=decision.id,
        files=files,
        inputs=law.inputs,
        outputs=law.outputs,
        description=decision.headline[:1000],
        runs=(*(o.run_id for o in search if o.ok), *decision.runs),
        metrics={k: v for k, v in figures.items() if math.isfinite(v)},
        tables={
            "runs": RunTable.from_observations(search, sweep.problem.space.names).frame,
            f"data {sweep.info.data[:12]}": _domains(sweep),
        },
        record=shown.to_dict(),
    )


def _mixture(promoted: Promoted) -> dict[str, Any]:
    """What a trainer and an auditor need, in plain JSON."""
    sweep, outcome, decision = promoted.sweep, promoted.outcome, promoted.decision
    (plan, budgeted), pick = promoted.plan, decision.pick.plan
    constraints = sweep.spec.shown()["space"]
    return {
        "schema": SCHEMA,
        "version": FORMAT,
        "study": sweep.spec.name,
        "promotion": decision.id,
        "mixture": pick.mixture.to_dict(),
        "schedule": None if pick.schedule is None else pick.schedule.to_dict(),
        "tokens": {
            "total": plan.tokens,
            "of": "the target run" if budgeted else "the promotion",
            "domains": {name: domain.tokens for name, domain in plan.domains.items()},
            "stages": [{"until": until, "domains": dict(part)} for until, part in plan.stages],
        },
        "epochs": {name: domain.epochs for name, domain in plan.domains.items()},
        "unique_tokens": promoted.unique if budgeted else {},
        "max_epochs": _passes(sweep) if budgeted else None,
        "settings": dict(outcome.settings),
        "constraints": constraints,
        "evidence": {
            "decision": decision.headline,
            "reasons": list(decision.reasons),
            "study": outcome.headline,
            "trust": outcome.checkup.trust.line,
        },
        "provenance": {
            "spec": spec_digest(sweep),
            "rules": decision.given.digest,
            "rules_after": decision.given.after,
            "data": sweep.info.data,
            "trainer": sweep.spec.trainer.use,
            "strategy": sweep.spec.strategy.use,
            "mixopt": installed("mixopt"),
        },
    }


def _passes(sweep: Sweep) -> dict[str, float]:
    """Domain to passes that are allowed over its unique tokens, where they are limited."""
    space = sweep.problem.space
    passes = zip(space.names, space.passes.tolist(), strict=True)
    return {name: float(n) for name, n in passes if math.isfinite(n)}


def _domains(sweep: Sweep) -> pd.DataFrame:
    """What the trainer said of its data, a row a domain."""
    domains = sweep.info.domains
    return pd.DataFrame(
        {
            "domain": [d.name for d in domains],
            "tokens": [float("nan") if d.tokens is None else d.tokens for d in domains],
        }
    )


def _text(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2, allow_nan=False) + "\n"
