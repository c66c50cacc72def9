"""The rules of promotion in the store: given once, hashed, and never moved after the first run."""

from collections.abc import Mapping
from typing import Any

from mixopt.app.spec.promotion_spec import PromotionSpec
from mixopt.errors import StoreError
from mixopt.evidence.rules import Given, digest_of

RULES = "rules"
"""The annotation that holds the rules, their digest, and how many runs there were."""


def check_posts(kept: Mapping[str, Any], spec: PromotionSpec | None, name: str) -> None:
    """Refuse rules that differ from those that a study with runs has.

    Args:
        kept: annotations of the store.
        spec: the rules of today's spec.
        name: of the sweep.

    Raises:
        StoreError: they differ; the message says in what.
    """
    given = kept.get(RULES)
    if given is None:
        return
    before = PromotionSpec.model_validate(given["rules"])
    if spec is not None and spec.shown == before.shown:
        return
    if spec is None:
        told = "the spec has no section 'promotion' any more"
    else:
        old, new = before.shown, spec.shown
        changed = [k for k in new if old.get(k) != new[k]]
        told = ", ".join(f"promotion.{k} ({old.get(k)} before, {new[k]} now)" for k in changed)
    raise StoreError(
        f"the rules of promotion of the sweep {name!r} ({given['digest']}) were given and may not "
        f"change once there are runs: {told}. Restore them; or give the changed spec another name, "
        f"where 'warm_start: [runs/{name}]' lets 'auto' and 'ladder' learn from these runs"
    )


def posts(kept: Mapping[str, Any], spec: PromotionSpec | None, runs: int) -> dict[str, Any]:
    """What is to be annotated: the rules, where they are new.

    Args:
        kept: annotations of the store.
        spec: the rules of today's spec, checked by `check_posts`.
        runs: how many the store holds.
    """
    if runs and kept.get(RULES) is not None:
        return {}
    if spec is None:
        return {RULES: None} if kept.get(RULES) is not None else {}
    return {RULES: {"rules": spec.shown, "digest": spec.digest, "after": runs}}


def given_rules(kept: Mapping[str, Any], name: str) -> Given:
    """When the rules in the store were given.

    Raises:
        StoreError: there are none, or somebody edited them there.
    """
    values = kept.get(RULES)
    if values is None:
        raise StoreError(
            f"the sweep {name!r} has no rules of promotion; write a section 'promotion' into its "
            "spec.yaml (scale, gain, seeds: see docs/guide/promotion.md), and name that file in "
            "place of the folder. Rules that are given now, after results were seen, are marked as "
            "such in every decision; in the next study, write them before the first run"
        )
    if digest_of(values["rules"]) != values["digest"]:
        raise StoreError(
            f"the rules of promotion of {name!r} were edited in the store: they are not those of "
            f"digest {values['digest']}; restore them from the spec or the store's backup"
        )
    return Given(values["digest"], int(values["after"]))
