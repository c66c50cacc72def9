"""The order of blocks: every prefix within one block, the same everywhere, from anywhere."""

import hashlib
import json
from collections import Counter
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt import InputError
from mixopt.export.blocks import PARTS, BlockOrder, mixed, permuted

NAMES = tuple("abcdefgh")


@st.composite
def orders(draw):
    """Orders of up to 8 domains and 3 stages, with shares of 0, 1 and 1e-9 among them."""
    m = draw(st.integers(1, len(NAMES)))
    stages, end = [], 0
    for _ in range(draw(st.integers(1, 3))):
        end += draw(st.integers(1, 60))
        edges = st.one_of(st.integers(0, PARTS), st.sampled_from([0, 1, PARTS - 1, PARTS]))
        cuts = sorted(draw(st.lists(edges, min_size=m - 1, max_size=m - 1)))
        stages.append((end, tuple(b - a for a, b in pairwise([0, *cuts, PARTS]))))
    sizes = tuple(draw(st.lists(st.integers(0, 9), min_size=m, max_size=m)))
    short = draw(st.integers(0, 9))
    return BlockOrder(NAMES[:m], tuple(stages), 10, 10 * end - short, sizes, draw(st.integers()))


@given(orders())
def test_every_prefix_holds_every_domain_within_one_block(order):
    drawn, due = Counter(), dict.fromkeys(order.domains, 0)
    stage = 0
    for number, block in enumerate(order, start=1):
        while order.stages[stage][0] < number:
            stage += 1
        drawn[block.domain] += 1
        for name, parts in zip(order.domains, order.stages[stage][1], strict=True):
            due[name] += parts
            assert abs(drawn[name] * PARTS - due[name]) < PARTS
    assert drawn.total() == len(order)
    assert order.counts() == {name: drawn[name] for name in order.domains}


@given(orders())
def test_blocks_sum_to_the_run_and_every_pass_reads_each_once(order):
    tokens, read = Counter(), {name: [] for name in order.domains}
    for block in order:
        tokens[block.domain] += block.tokens
        read[block.domain].append((block.epoch, block.index))
    assert tokens.total() == order.tokens
    assert order.token_counts() == {name: tokens[name] for name in order.domains}
    for name, size in zip(order.domains, order.available, strict=True):
        if size:
            for epoch in range(len(read[name]) // size):
                part = read[name][epoch * size : (epoch + 1) * size]
                assert sorted(part) == [(epoch, i) for i in range(size)]
        else:
            assert read[name] == [(0, i) for i in range(len(read[name]))]


@given(orders(), st.integers(0, 100))
def test_a_run_that_resumes_reads_what_is_left(order, start):
    assert list(order.blocks(start)) == list(order)[start:]


def test_the_order_is_the_same_on_every_machine():
    first = (500_000_000, 300_000_000, 200_000_000)
    second = (333_333_333, 333_333_334, 333_333_333)
    names, stages = ("web", "code", "math"), ((700, first), (1000, second))
    order = BlockOrder(names, stages, 4096, 1000 * 4096, (97, 0, 13), seed=2026)
    text = json.dumps([vars(block) for block in order]).encode()
    assert hashlib.sha256(text).hexdigest() == (
        "445dbaf0f2f34e03a7f31a080c4b10c585522b47d8b86bb3e080eba56e55beae"
    )


def test_seeds_change_ties_and_the_order_within_a_domain():
    def order(seed):
        thirds = (333_333_333, 333_333_333, 333_333_334)
        return BlockOrder(("a", "b", "c"), ((300, thirds),), 1, 300, (100, 100, 100), seed)

    one, other = list(order(1)), list(order(2))
    assert [b.domain for b in one] != [b.domain for b in other]
    assert [b.index for b in one if b.domain == "a"] != [b.index for b in other if b.domain == "a"]


def test_an_iterator_keeps_no_list_of_blocks():
    parts = (600_000_000, 399_999_999, 1)
    order = BlockOrder(("a", "b", "c"), ((10**12, parts),), 1, 10**12, (10**11, 0, 10**3))
    assert len(list(islice(order, 50))) == 50  # of a million million


@given(st.integers(1, 500), st.integers(0, 2**64 - 1))
def test_a_permutation_reaches_every_place_once(size, key):
    assert sorted(permuted(i, size, key) for i in range(size)) == list(range(size))


def test_mixing_is_that_of_splitmix64():
    # The first outputs of the generator with seed 0, from its published reference.
    assert mixed(0, 0) == 0xE220A8397B1DCDAF
    assert mixed(1, 0) == 0x6E789E6AA1B965F4


@pytest.mark.parametrize(
    ("stages", "tokens", "message"),
    [
        (((5, (PARTS,)), (5, (PARTS,))), 50, "one holds no block"),
        (((5, (PARTS - 1,)),), 50, "sum to 1000000000"),
        (((5, (PARTS,)),), 51, "51 tokens are not 5 blocks of 10"),
        (((5, (PARTS,)),), 40, "40 tokens are not 5 blocks of 10"),
    ],
)
def test_an_order_that_is_none_is_refused(stages, tokens, message):
    with pytest.raises(InputError, match=message):
        BlockOrder(("a",), stages, 10, tokens)
