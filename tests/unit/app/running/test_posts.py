"""Rules of promotion are given once."""

from typing import Any

import pytest

from mixopt.app.running.posts import RULES, given_rules
from mixopt.app.running.record import changes_of, claim
from mixopt.app.spec.spec_file import parse_spec
from mixopt.app.spec.values import Spec
from mixopt.errors import SpecError, StoreError
from mixopt.evidence.rules import Given
from mixopt.execution.local import MemoryStore
from mixopt.ports import TrainerInfo
from mixopt.runs.objective import Guard
from mixopt.space import Domain
from mixopt.testing.store_contract import example_spec

INFO = TrainerInfo((Domain("web"), Domain("code")), ("loss",), "nats", "abc")
SCALE = {"params": 2000, "tokens": "2k"}


def spec(**rules: Any) -> Spec:
    values = {
        "version": 1,
        "name": "study",
        "trainer": {"use": "mixopt.testing.trainers:FakeTrainer"},
        "scales": [{"params": 1000, "tokens": 1000}],
        "objective": {"minimize": "loss", "guards": {"code": {"tolerance": 0.1}}},
    }
    return parse_spec(values | ({"promotion": rules} if rules else {}))


def claimed(made: Spec, store: MemoryStore | None = None) -> MemoryStore:
    store = store or MemoryStore()
    claim(store, made, INFO, {})
    return store


def test_rules_stand_in_the_store_before_the_first_run_and_may_change_until_then() -> None:
    store = claimed(spec(scale=SCALE))
    first = given_rules(store.annotations(), "study")
    assert first == Given(spec(scale=SCALE).promotion.digest, 0)  # type: ignore[union-attr]
    claimed(spec(scale=SCALE, gain=0.1), store)
    assert given_rules(store.annotations(), "study").digest != first.digest
    claimed(spec(), store)
    with pytest.raises(StoreError, match="has no rules of promotion; write a section"):
        given_rules(store.annotations(), "study")


def test_after_the_first_run_they_stay() -> None:
    store = claimed(spec(scale=SCALE, gain=0.1, budget=1e9))
    store.open(example_spec())
    before = store.annotations()
    with pytest.raises(StoreError, match=r"promotion.gain \(0.1 before, 0.0 now\)\. Restore them"):
        claimed(spec(scale=SCALE), store)
    with pytest.raises(StoreError, match="no section 'promotion' any more"):
        claimed(spec(), store)
    assert store.annotations() == before
    claimed(spec(scale=SCALE, gain=0.1, budget=2e9), store)  # what it may cost judges nothing
    assert given_rules(store.annotations(), "study").after == 0


def test_rules_that_come_late_say_so_and_stay_too() -> None:
    store = claimed(spec())
    store.open(example_spec())
    claimed(spec(scale=SCALE), store)
    assert given_rules(store.annotations(), "study").after == 1
    assert changes_of(store) == ()  # how runs are read has not changed
    store.open(example_spec(1))
    claimed(spec(scale=SCALE), store)
    assert given_rules(store.annotations(), "study").after == 1
    with pytest.raises(StoreError, match=r"promotion.seeds \(3 before, 2 now\)"):
        claimed(spec(scale=SCALE, seeds=2), store)


def test_rules_that_were_edited_in_the_store_are_no_rules() -> None:
    store = claimed(spec(scale=SCALE, gain=0.1))
    kept = store.annotations()[RULES]
    store.annotate({RULES: {**kept, "rules": {**kept["rules"], "gain": 0.0}}})
    with pytest.raises(StoreError, match="were edited in the store"):
        given_rules(store.annotations(), "study")


def test_what_a_spec_may_ask() -> None:
    made = spec(scale=SCALE, guards={"loss": {"tolerance": 0.2}}, metric="loss").promotion
    assert made is not None
    rules = made.make((Guard("code", 0.1), Guard("loss")))
    assert rules.guards == (Guard("code", 0.1), Guard("loss", 0.2))
    assert (rules.metric, rules.seeds, rules.budget) == ("loss", 3, float("inf"))


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"gain": 1.0}, "promotion.scale"),
        ({"scale": {"params": 2000, "tokens": 900}}, "is below the last of scales"),
        ({"scale": SCALE, "seeds": 1}, "promotion.seeds"),
        ({"scale": SCALE, "gain": -1.0}, "promotion.gain"),
        ({"scale": SCALE, "transfer": 1.5}, "promotion.transfer"),
        ({"scale": SCALE, "against": ["natural", "natural"]}, "named twice"),
        ({"scale": SCALE, "budget": 0.0}, "promotion.budget"),
        ({"scale": SCALE, "seed": 4}, "did you mean 'seeds'"),
    ],
)
def test_what_it_may_not(rules: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec(**rules)
    assert told in str(caught.value)
