"""`mixopt promote`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mixopt.app.commands.application import JsonOption, SweepArgument, app
from mixopt.app.commands.run import HALTED
from mixopt.app.output import console, show_promotion
from mixopt.app.promotion import follow, promote
from mixopt.app.registry import artefact
from mixopt.app.results import recorded, reports
from mixopt.app.running import launch
from mixopt.app.running.checks import make_strategy
from mixopt.app.running.registries import model_name, no_registry, open_registry
from mixopt.app.spec.values import Spec
from mixopt.errors import InputError
from mixopt.evidence.rules import Given
from mixopt.tracking.registry import CANDIDATE, CHAMPION, Registry

NOT_PASSED = 4
"""Exit status of a promotion that was judged and not passed; 3 is that of one that was halted."""


@app.command(name="promote")
def promote_(
    sweep: SweepArgument,
    to: Annotated[
        str,
        typer.Option("--to", metavar="ALIAS", help=f"'{CANDIDATE}', or '{CHAMPION}' as well."),
    ] = CANDIDATE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would train, show and cost; no more.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Train without being asked.")] = False,
    result: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep what the large run measured (JSON or CSV)."),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Put a finished sweep's answer to the test before a large run, by rules given beforehand.

    Trains candidates and baselines at promotion.scale of the spec with fresh seeds, decides with
    reasons, and registers what passes. Ends with 0 (passed), 4 (not passed), 3 (stopped).

    Example: mixopt promote runs/quickstart --dry-run
    """
    if to not in {CANDIDATE, CHAMPION}:
        raise InputError(f"--to {to!r}: give '{CANDIDATE}' or '{CHAMPION}'")
    if result is not None and (dry_run or yes or to != CANDIDATE):
        raise InputError(
            "--result keeps what a large run measured, and neither trains nor moves an alias; give "
            "it without --dry-run, --yes and --to"
        )
    spec, folder = launch.runnable(sweep)
    with console.results_to(json) as write:
        if result is not None:
            write(_follow(sweep, result))
            return
        if spec.store.use == "memory":
            raise no_registry(spec)
        if dry_run:
            write(_dry(sweep, spec))
            return
        values = _promote(spec, folder, to=to, yes=yes)
        write(values)
    if not values["passed"]:
        raise typer.Exit(NOT_PASSED)


def _dry(sweep: Path, spec: Spec) -> dict[str, Any]:
    """What a promotion would do; nothing is written."""
    with launch.open_sweep(sweep, rules=spec.promotion) as opened:
        given: Given | None = None
        if spec.promotion is not None:
            runs = len(opened.store.observations())
            given = Given(spec.promotion.digest, runs)
        planned = promote.promotion_of(opened, make_strategy(spec), given)
        show_promotion.show_power(planned)
        return planned.summary()


def _promote(spec: Spec, folder: Path, *, to: str, yes: bool) -> dict[str, Any]:
    with (
        launch.new_sweep(spec, folder) as (sweep, searching),
        open_registry(sweep.spec, folder) as registry,
    ):
        planned = promote.promotion_of(sweep, searching)
        aliases = _aliases(registry, spec)
        show_promotion.show_power(planned)
        _ask(planned, yes=yes)
        try:
            with console.SweepProgress(planned.question.unit) as progress:
                status = promote.train(planned, progress)
        except KeyboardInterrupt:
            recorded.summarize(sweep, "stopped")
            console.say("Stopped; the same command goes on from there.")
            raise typer.Exit(130) from None
        if status.halt is not None:
            recorded.summarize(sweep, "stopped")
            console.say(f"The promotion stopped before its end: {status.halt}.")
            raise typer.Exit(HALTED)
        decision = promote.conclude_promotion(planned)
        promoted = artefact.Promoted(sweep, planned.outcome, decision)
        show_promotion.show_decision(decision)
        registered: artefact.Registered | None = None
        if decision.passed and registry is not None:
            registered = artefact.register(promoted, registry, aliases, to)
        text = artefact.make_card(promoted, registered=registered is not None)
        card = artefact.keep_card(sweep, text)
        sweep.store.attach(reports.write_report(sweep, planned.outcome))
        recorded.summarize(sweep, "finished", planned.outcome)
        show_promotion.show_registered(registered, decision, card, folder)
        if decision.passed and registry is None:
            console.say(str(no_registry(spec)))
    return {
        **decision.summary(),
        "power": planned.summary(),
        "card": str(card),
        "registered": None
        if registered is None
        else {
            "model": registered.version.name,
            "version": registered.version.number,
            "uri": registered.version.uri,
            "aliases": registered.aliases,
        },
    }


def _aliases(registry: Registry | None, spec: Spec) -> dict[str, str]:
    """Where the aliases are before anything is trained."""
    return {} if registry is None else artefact.aliases_of(registry, model_name(spec))


def _ask(planned: promote.Promotion, *, yes: bool) -> None:
    """Training costs: it begins with a yes, by option or on a terminal."""
    if yes or not planned.missing:
        return
    if not sys.stdin.isatty():
        raise InputError(
            f"{len(planned.missing)} runs are to be trained; say --yes (or --dry-run to see what "
            "they can show)"
        )
    if not typer.confirm(f"Train {len(planned.missing)} runs?", err=True):
        console.say("Nothing was trained.")
        raise typer.Exit(1)


def _follow(sweep: Path, file: Path) -> dict[str, Any]:
    large = follow.read_large(file)
    with launch.open_sweep(sweep) as opened, open_registry(opened.spec, opened.folder) as registry:
        if registry is None:
            raise no_registry(opened.spec)
        past, records = follow.follow(opened, registry, large)
    show_promotion.show_followed(past, records)
    return {"kept": past.to_dict(), "records": [one.to_dict() for one in records]}
