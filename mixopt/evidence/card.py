"""The model card of a mixture: what, why, evidence, limits, how to reproduce. One page of Markdown.

The sections are those that readers of model cards look for (1810.03993), as far as a mixture has
them. What users named (domains, metrics) is written so that it cannot become markup.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mixopt.evidence.decision import Decision, Result
from mixopt.evidence.numbers import number, percent, plural
from mixopt.evidence.outcome import Outcome
from mixopt.export.token_plan import TokenPlan
from mixopt.runs import quantity, short_number
from mixopt.space import MixtureSpace

_ACTIVE = re.compile(r"([\\`*{}\[\]<>|#~]|(?<!\w)_|_(?!\w))")  # within a word, _ is plain


@dataclass(frozen=True)
class About:
    """What a card says beside outcome and decision.

    Attributes:
        date: of the decision, for people.
        trainer: by its name. data: hash of the data manifest.
        version: of mixopt.
        spec: digest of the spec.
        plan: whole tokens of the large run.
        budgeted: whether the spec gave its budget; else it is the scale of the promotion.
        model: name of the registered model; empty where none was registered.
        registry: where that is, without its password.
        commands: what for, to a command that can be copied.
        question: of the study, in its owner's words. owner: whose it is; both may be empty.
    """

    date: str
    trainer: str
    data: str
    version: str
    spec: str
    plan: TokenPlan
    budgeted: bool
    model: str = ""
    registry: str = ""
    commands: Mapping[str, str] = field(default_factory=dict)
    question: str = ""
    owner: str = ""


def card(decision: Decision, outcome: Outcome, space: MixtureSpace, about: About) -> str:
    """One page of Markdown about a mixture that was put to the test.

    Args:
        decision: what promotion showed.
        outcome: of the study.
        space: domains and natural shares.
        about: the rest.
    """
    parts = [
        f"# {safe(decision.study)}: {'promoted' if decision.passed else 'not promoted'}",
        " · ".join(part for part in _heading(decision, about) if part),
        f"**{safe(decision.headline)}**",
        "## What",
        _what(decision, space, about),
        "## Why",
        _why(decision, outcome, about),
        "## Evidence",
        _evidence(decision, outcome),
        "## Limits",
        _listed(_limits(decision, outcome, about)),
        "## How to reproduce",
        _reproduce(decision, about),
    ]
    return "\n\n".join(parts) + "\n"


def _heading(decision: Decision, about: About) -> list[str]:
    registered = f"registered as `{about.model}`" if about.model else "not registered"
    owner = f"owner: {safe(about.owner)}" if about.owner else ""
    return [about.date, owner, f"promotion `{decision.id}`", registered]


def safe(text: object) -> str:
    """Text as it is, whatever it holds."""
    line = " ".join(str(text).split())
    return _ACTIVE.sub(r"\\\1", line)


def _what(decision: Decision, space: MixtureSpace, about: About) -> str:
    plan, tokens = decision.pick.plan, about.plan
    natural = dict(zip(space.names, space.prior.tolist(), strict=True))
    whose = "the large run" if about.budgeted else "the promotion; give space.budget for the target"
    rows: list[tuple[str, ...]] = []
    for name in sorted(plan.mixture.domains, key=lambda d: -plan.mixture[d]):
        taken = tokens.domains.get(name)
        known = about.budgeted and taken is not None and taken.epochs is not None
        rows.append(
            (
                safe(name),
                percent(plan.mixture[name], 2),
                percent(natural[name], 2),
                f"{taken.tokens:,}" if taken else "0",
                f"{taken.epochs:.3g}" if known and taken else "unknown",
            )
        )
    if all(row[-1] == "unknown" for row in rows):  # which is said under the limits
        rows = [row[:-1] for row in rows]
    head = ("domain", "share", space.prior_name, "tokens", "epochs")[: len(rows[0])]
    text = (
        f"Shares of training tokens, and the exact plan of {short_number(tokens.tokens)} tokens "
        f"({whose})."
    )
    if plan.schedule is None:
        return f"{text}\n\n{_table(head, rows)}"
    ends = [(f"{until:,}", ", ".join(f"{safe(d)} {n:,}" for d, n in part.items() if n))
            for until, part in tokens.stages]  # fmt: skip
    return (
        f"A schedule of {len(ends)} phases; the shares are what it draws in total. {text}\n\n"
        f"{_table(head, rows)}\n\n{_table(('until token', 'tokens of the phase'), ends)}"
    )


def _why(decision: Decision, outcome: Outcome, about: About) -> str:
    searched = plural(outcome.runs, "run")
    asked = f"The question: {safe(about.question)}\n\n" if about.question else ""
    return (
        f"{asked}The study minimised {safe(outcome.objective.describe())}"
        f"{f' ({safe(outcome.unit)})' if outcome.unit else ''} over {searched} "
        f"({quantity(outcome.flops, 'FLOP')}). {safe(outcome.headline)} "
        f"{safe(outcome.verdict.line)}\n\nPromotion was judged by {safe(decision.judged)}. Its "
        f"reasons:\n\n{_listed(decision.reasons)}"
    )


def _evidence(decision: Decision, outcome: Outcome) -> str:
    against = {d.baseline: d for d in decision.differences}
    rows = [_row(decision, r, against) for r in decision.results]
    head = ("plan", "measured", "seeds", "predicted", "behind by", "interval")
    unit = f", {safe(decision.unit)}" if decision.unit else ""
    shown = decision.shown
    told = [f"Sd of one run: {number(decision.seed_sd)}."]
    if np.isfinite(shown.rank):
        told.append(
            f"Predicted and measured values of {shown.plans} plans have rank correlation "
            f"{shown.rank:.2f}."
        )
    return (
        f"Trained at {decision.scale} with fresh seeds ({safe(decision.judged)}{unit}; lower is "
        f"better).\n\n{_table(head, rows)}\n\n{' '.join(told)} Verdict on the study: "
        f"{safe(outcome.checkup.trust.line)}."
    )


def _row(decision: Decision, result: Result, against: Mapping[str, object]) -> tuple[str, ...]:
    picked = result.name == decision.picked
    name = f"**{safe(result.name)}**" if picked else safe(result.name)
    seeds = f"{len(result.values)}" + (f" ({result.failed} failed)" if result.failed else "")
    difference = against.get(result.name)
    values = (name, number(result.mean), seeds, decision.predicted(result))
    if difference is None:
        return (*values, "", "")
    mean, low, high = (vars(difference)[k] for k in ("mean", "low", "high"))
    return (*values, number(mean), f"{number(low)} to {number(high)}")


def _limits(decision: Decision, outcome: Outcome, about: About) -> list[str]:
    lines = []
    larger = about.plan.tokens / decision.scale.tokens
    if about.budgeted and larger > 1:
        lines.append(
            f"measured on runs of {decision.scale}; the large run has {short_number(larger)} times "
            "as many tokens, and nothing here was measured at its size"
        )
    if not about.budgeted:
        lines.append("the size of the large run is not known: nothing here was measured at it")
    if decision.given.after:
        lines.append(decision.given.line)
    lines += [f"not asked: {what}" for what in decision.unasked]
    lines += [f"of the study: {reason}" for reason in outcome.checkup.trust.reasons]
    lines += list(outcome.warnings)
    missing = [d for d, taken in about.plan.domains.items() if taken.epochs is None]
    if missing:
        lines.append(
            f"unique tokens of {plural(len(missing), 'domain')} are unknown, so that repetition "
            "cannot be told"
        )
    return lines


def _reproduce(decision: Decision, about: About) -> str:
    # Only a version has files: a promotion that did not pass is in the sweep's store alone.
    ids = "ids in decision.json" if about.model else "in the sweep's store"
    facts = [
        ("mixopt", about.version),
        ("trainer", about.trainer),
        ("data manifest", about.data),
        ("spec", about.spec),
        ("rules", decision.given.digest),
        ("runs of the promotion", f"{len(decision.runs)}, {ids}"),
    ]
    text = _table(("what", "which"), [(what, f"`{which}`") for what, which in facts], 2)
    if about.commands:
        width = max(len(command) for command in about.commands.values())
        lines = [f"{c:<{width}}  # {what}" for what, c in about.commands.items()]
        text += "\n\n" + "\n".join(["```sh", *lines, "```"])
    if about.model:
        text += (
            "\n\n```python\nimport mlflow  # columns w/<domain> in; m/<metric>, sd/<metric> out\n"
            f"mlflow.set_registry_uri({about.registry!r})\n"
            f'law = mlflow.pyfunc.load_model("models:/{about.model}@candidate")\n```'
        )
    return text


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], text: int = 1) -> str:
    """Columns of numbers to the right, after so many of text."""
    align = [*("---" for _ in head[:text]), *("---:" for _ in head[text:])]
    lines = [head, align, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"* {safe(line)}" for line in lines) or "None are known, which is no proof."
