"""What a strategy asks of trainer, space and the rest of its spec: refused before training."""

from collections.abc import Mapping
from pathlib import Path

from mixopt import designs
from mixopt.app.running.checks import at, check_scale, make_trainer
from mixopt.app.spec.values import Spec
from mixopt.errors import SpecError
from mixopt.mixers import refused
from mixopt.ports import Trainer, capabilities_of
from mixopt.runs.knobs import set_knobs
from mixopt.space import MixtureSpace
from mixopt.strategies import CheckingQuestion, Injecting, Mixes, Problem, Strategy, traits_of

_NODES = "nodes_per_pack"


def check_demands(spec: Spec, recipe: Strategy, trainer: Trainer) -> None:
    """Refuse what can be refused before any data is prepared.

    Raises:
        SpecError: the strategy, the trainer and the rest of the spec do not go together.
    """
    check_knobs(spec, recipe)
    check_able(spec, recipe, trainer)
    check_mixers(recipe, trainer)
    check_warm_start(spec, recipe)
    check_nodes(spec, trainer)
    check_reliability(spec, recipe)
    check_budget(spec)
    if isinstance(recipe, CheckingQuestion):
        objective, config = spec.make_objective(), spec.trainer.config
        at("strategy", lambda: recipe.check_question(objective, config))


def check_reliability(spec: Spec, recipe: Strategy) -> None:
    """Refuse weights by reliability where nothing is run twice.

    Raises:
        SpecError: see above.
    """
    asked = spec.objective.reliability
    if asked != "ignore" and not traits_of(recipe).repeats:
        raise SpecError(
            f"is {asked!r}, and the strategy {spec.strategy.use!r} runs no "
            "mixture twice, so that no noise is known; use the strategy 'auto' with 'repeats: 4', "
            "or leave it out",
            "objective.reliability",
        )


def check_budget(spec: Spec) -> None:
    """Refuse guards against UniMax without the budget that it is made of.

    Raises:
        SpecError: see above.
    """
    for metric, guard in spec.objective.guards.items():
        if guard.baseline == "unimax" and spec.space.budget is None:
            raise SpecError(
                "the baseline 'unimax' needs space.budget and the tokens of every domain; give "
                "the budget, or choose another baseline",
                f"objective.guards.{metric}.baseline",
            )


def check_knobs(spec: Spec, recipe: Strategy) -> None:
    """Refuse knobs that nobody would turn.

    Raises:
        SpecError: see above.
    """
    middle = {knob.name: knob.middle for knob in spec.make_knobs()}
    if middle:
        try:
            make_trainer(spec, set_knobs(spec.trainer.config, middle))
        except SpecError as error:
            raise SpecError(error.message, "knobs") from error
    if spec.knobs and not traits_of(recipe).knobs:
        raise SpecError(
            f"strategy {spec.strategy.use!r} searches mixtures alone; use 'joint', or set "
            f"{', '.join(spec.knobs)} in trainer.config",
            "knobs",
        )


def check_warm_start(spec: Spec, recipe: Strategy) -> None:
    """Refuse earlier studies that the strategy would not look at.

    Raises:
        SpecError: see above.
    """
    if spec.warm_start and not traits_of(recipe).earlier:
        raise SpecError(
            f"strategy {spec.strategy.use!r} learns nothing from earlier studies; use 'auto' or "
            "'ladder', or leave 'warm_start' out",
            "warm_start",
        )


def check_able(spec: Spec, recipe: Strategy, trainer: Trainer) -> None:
    """Refuse a strategy whose runs the trainer cannot train: schedules, injections.

    Raises:
        SpecError: see above.
    """
    asks, able = traits_of(recipe), capabilities_of(trainer)
    refused_runs = {
        "schedules": (asks.schedules and not able.schedules, "whose mixture changes on the way"),
        "injects": (asks.injections and not able.injects, "that inject texts"),
    }
    for declared, (is_refused, runs) in refused_runs.items():
        if is_refused:
            raise SpecError(
                f"strategy {spec.strategy.use!r} asks for runs {runs}, and trainer "
                f"{spec.trainer.use} does not declare {declared}; take another strategy, or a "
                "trainer that does (proxies:LanguageModelTrainer)",
                "strategy",
            )


def check_doses(spec: Spec, recipe: Strategy, problem: Problem, cache: Path) -> None:
    """Refuse a strategy one of whose runs injects more than a run may have.

    Raises:
        SpecError: see above.
    """
    if isinstance(recipe, Injecting):
        fullest = make_trainer(spec, recipe.fullest(problem), {})
        check_scale(fullest, min(problem.scales), cache)


def check_mixers(recipe: Strategy, trainer: Trainer) -> None:
    """Refuse a strategy whose mixers need what the trainer does not measure, by name.

    Raises:
        SpecError: see above.
    """
    if not isinstance(recipe, Mixes):
        return
    offered = capabilities_of(trainer).mixing
    for name, needs in recipe.needs().items():
        reason = refused(needs, offered, f"mixer {name!r}")
        if reason:
            raise SpecError(reason, "strategy")


def check_nodes(spec: Spec, trainer: Trainer) -> None:
    """Refuse packs over several machines for a trainer that trains on one.

    Raises:
        SpecError: see above.
    """
    settings = spec.execution.settings
    larger = settings.get("per_scale") or ()
    asked = [settings.get(_NODES), *(e.get(_NODES) for e in larger if isinstance(e, Mapping))]
    most = max((n for n in asked if isinstance(n, int)), default=1)
    if most > 1 and not capabilities_of(trainer).nodes:
        raise SpecError(
            f"a pack is to be trained on {most} machines, and trainer {spec.trainer.use} trains on "
            "one; leave nodes_per_pack out, or take a trainer that declares nodes",
            "execution",
        )


def check_guards(spec: Spec, space: MixtureSpace) -> None:
    """Refuse guards against a baseline that this space does not have.

    Raises:
        SpecError: see above.
    """
    if not spec.objective.guards:
        return
    known = designs.baselines(space)
    for metric, guard in spec.objective.guards.items():
        if guard.baseline not in known:
            raise SpecError(
                f"the baseline {guard.baseline!r} is not there: it equals another in this space, "
                "or needs space.budget and the tokens of every domain; choose one of "
                f"{', '.join(known)}",
                f"objective.guards.{metric}.baseline",
            )
