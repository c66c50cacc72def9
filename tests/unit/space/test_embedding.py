"""Older runs after domains were added, removed, split and merged."""

import numpy as np
import pytest

from mixopt import Domain, InputError, MixtureSpace, Tie
from mixopt.space import Changes

RUNS = np.array([[0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [1.0, 0.0, 0.0]])
OLD = ["web", "code", "wiki"]


def test_added_domains_weigh_nothing_and_order_does_not_matter() -> None:
    found = MixtureSpace(["wiki", "math", "web", "code"]).embed(RUNS, OLD)
    np.testing.assert_allclose(found.require_all()[:, [2, 3, 0]], RUNS)
    assert (found.W[:, 1] == 0).all()


def test_removed_domains_refuse_the_runs_that_used_them() -> None:
    found = MixtureSpace(["web", "code"]).embed(RUNS, OLD)
    assert found.kept.tolist() == [0, 2]
    assert found.refused == {1: "it holds 0.5 of 'wiki', which was removed"}
    with pytest.raises(InputError, match=r"run 1 cannot be expressed.*'wiki'"):
        found.require_all()


def test_a_split_needs_a_ratio() -> None:
    changes = Changes(split={"code": ["py", "js"]})
    unknown = MixtureSpace(["web", "py", "js", "wiki"]).embed(RUNS, OLD, changes)
    assert unknown.kept.tolist() == [1, 2]
    assert "no known ratio" in unknown.refused[0]
    tokens = MixtureSpace({"web": 1, "py": 1, "js": 3, "wiki": 1}).embed(RUNS, OLD, changes)
    np.testing.assert_allclose(tokens.W[0], [0.5, 0.125, 0.375, 0])
    tie = Tie("code", {"py": 0.8, "js": 0.2})
    tied = MixtureSpace(["web", "py", "js", "wiki"], ties=[tie]).embed(RUNS, OLD, changes)
    np.testing.assert_allclose(tied.W[0], [0.5, 0.4, 0.1, 0])
    given = Changes(split={"code": {"py": 1, "js": 1}})
    exact = MixtureSpace(["web", "py", "js", "wiki"]).embed(RUNS, OLD, given)
    np.testing.assert_allclose(exact.W[0], [0.5, 0.25, 0.25, 0])


def test_a_split_is_seen_by_its_parent() -> None:
    domains = [
        Domain("web", 1),
        Domain("py", 1, parent="code"),
        Domain("js", 1, parent="code"),
        Domain("wiki", 1),
    ]
    found = MixtureSpace(domains).embed(RUNS, OLD)
    np.testing.assert_allclose(found.require_all()[0], [0.5, 0.25, 0.25, 0])


def test_a_merge_needs_the_natural_ratio() -> None:
    old = [Domain("web", 10), Domain("py", 1), Domain("js", 3)]
    runs = [[0.5, 0.125, 0.375], [0.5, 0.4, 0.1], [1.0, 0.0, 0.0]]
    changes = Changes(merged={"code": ["py", "js"]})
    found = MixtureSpace(["web", "code"]).embed(runs, old, changes)
    np.testing.assert_allclose(found.W, [[0.5, 0.5], [1, 0]])
    assert found.kept.tolist() == [0, 2]
    assert "0.55 away from their natural ratio 0.25 : 0.75" in found.refused[1]
    blind = MixtureSpace(["web", "code"]).embed(runs, ["web", "py", "js"], changes)
    assert blind.kept.tolist() == [2]
    assert "give their tokens" in blind.refused[0]


def test_one_domain_renamed_is_a_merge_of_one() -> None:
    changes = Changes(merged={"text": ["web"]})
    found = MixtureSpace(["text", "code", "wiki"]).embed(RUNS, OLD, changes)
    np.testing.assert_allclose(found.require_all(), RUNS)


def test_splitting_and_merging_back_gives_the_same_runs() -> None:
    whole = MixtureSpace({"web": 4, "code": 8, "wiki": 1})
    parts = MixtureSpace({"web": 4, "py": 2, "js": 6, "wiki": 1})
    there = parts.embed(RUNS, whole, Changes(split={"code": ["py", "js"]})).require_all()
    back = whole.embed(there, parts, Changes(merged={"code": ["py", "js"]})).require_all()
    np.testing.assert_allclose(back, RUNS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (Changes(split={"nothing": ["web"]}), "'nothing' is no old domain"),
        (Changes(split={"code": ["nothing"]}), "'nothing' is no new domain"),
        (Changes(merged={"nothing": ["web"]}), "'nothing' is no new domain"),
        (Changes(merged={"web": ["nothing"]}), "'nothing' is no old domain"),
    ],
)
def test_changes_of_unknown_domains_are_refused(changes: Changes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        MixtureSpace(OLD).embed(RUNS, OLD, changes)


def test_mixtures_must_fit_the_old_domains() -> None:
    with pytest.raises(InputError, match="3 weights for 2 old domains"):
        MixtureSpace(OLD).embed(RUNS, ["web", "code"])
