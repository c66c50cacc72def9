"""A part of a store, as a store."""

from mixopt.execution.local import MemoryStore
from mixopt.execution.part import Part
from mixopt.execution.sweep import BATCH
from mixopt.ports import Store
from mixopt.testing.store_contract import example_observation, example_spec


def test_a_loop_sees_its_part_and_writes_to_the_whole() -> None:
    whole = MemoryStore()
    mine, other, late = example_spec(1), example_spec(2), example_spec(3)
    for spec in (mine, other):
        whole.open(spec)
    whole.close(example_observation(other))
    whole.annotate({BATCH: [other.to_dict()], "fact": 1})
    part = Part(whole, {mine.run_id, late.run_id}, "promotion", (BATCH,))
    assert isinstance(part, Store)
    assert part.observations() == []
    assert part.pending() == [mine]
    part.open(late)
    part.close(example_observation(late))
    assert [o.spec for o in part.observations()] == [late]
    assert whole.pending() == [mine]
    part.release()
    assert [o.run_id for o in whole.observations()] == [other.run_id, late.run_id]


def test_what_it_has_chosen_is_kept_apart() -> None:
    whole = MemoryStore()
    whole.annotate({BATCH: ["theirs"], "fact": 1})
    part = Part(whole, (), "promotion", (BATCH,))
    assert BATCH not in part.annotations()
    part.annotate({BATCH: ["ours"], "fact": 2})
    assert part.annotations()[BATCH] == ["ours"]
    assert whole.annotations()[BATCH] == ["theirs"]
    assert whole.annotations()["fact"] == part.annotations()["fact"] == 2
    again = Part(whole, (), "promotion", (BATCH,))
    assert again.annotations()[BATCH] == ["ours"]
