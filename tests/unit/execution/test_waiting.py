"""Packs from a queue with an index are those that looking through all of it would give."""

import math
from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt import MixtureSpace, RunSpec, Scale
from mixopt.execution.waiting import Waiting, pack_sizes

SPACE = MixtureSpace(["web", "code"])
SCALES = (Scale(1000, 1000), Scale(1000, 4000))


def spec(seed: int, scale: int, rate: float) -> RunSpec:
    return RunSpec(SPACE.natural, SCALES[scale], seed=seed, config={"rate": rate, "more": [1]})


def packed(queue: deque[RunSpec], free: int, slots: int, most: int) -> list[RunSpec]:
    """By the definition: the first run and those like it, as few as keeps all slots busy."""
    first = queue[0]
    same = [s for s in queue if s.scale == first.scale and s.config == first.config]
    later = math.ceil(max(len(same) - free * most, 0) / (slots * most))
    return same[: math.ceil(len(same) / (free + slots * later))]


@given(st.data(), st.integers(1, 4), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_packs_are_those_of_a_plain_queue(data: st.DataObject, slots: int, most: int) -> None:
    waiting, plain, n = Waiting(), deque[RunSpec](), 0
    for _ in range(data.draw(st.integers(1, 6))):
        for _ in range(data.draw(st.integers(0, 12))):
            new = spec(n, data.draw(st.integers(0, 1)), data.draw(st.sampled_from([0.1, 0.2])))
            waiting.add(new)
            plain.append(new)
            n += 1
        assert list(waiting) == list(plain)
        for _ in range(data.draw(st.integers(0, 4))):
            if not plain:
                break
            free = data.draw(st.integers(1, slots))
            assert waiting.scale == plain[0].scale
            pack = packed(plain, free, slots, most)
            assert list(waiting.take(free, slots, most)) == pack
            assert len(pack) <= most
            plain = deque(s for s in plain if s not in pack)
    assert len(waiting) == len(plain)


OTHERS = [spec(0, 0, float(number)) for number in range(4)]


@given(st.lists(st.integers(1, 30), max_size=4), st.integers(1, 5), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_packs_are_counted_as_they_go_out(groups: list[int], slots: int, most: int) -> None:
    waiting = Waiting()
    for number, size in enumerate(groups):
        for _ in range(size):
            waiting.add(OTHERS[number])
    sent: list[int] = []
    while waiting:
        sent.append(len(waiting.take(max(slots - len(sent), 1), slots, most)))
    assert pack_sizes(groups, slots, most) == sent
