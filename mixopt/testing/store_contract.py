"""What every store must do. Inherit `StoreContract` in a test module and say how to make yours."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mixopt.errors import InputError
from mixopt.ports import Store
from mixopt.runs import Kind, Observation, Place, Point, Realised, RunSpec, Scale
from mixopt.runs.kinds import DESIGN, PROPOSAL
from mixopt.space import Mixture


def example_spec(seed: int = 0, **changes: Any) -> RunSpec:
    """A run spec with nothing left at its default."""
    fields: dict[str, Any] = {
        "mixture": Mixture.of({"web": 0.1 + 0.2, "c++": 0.3, "a/b": 0.4}),
        "scale": Scale(12_345, 67_890),
        "seed": seed,
        "trainer": "some.module:Trainer",
        "config": {"lr": 0.1, "nested": {"list": [1, None, True], "text": "Zeichen: äß✓"}},
        "data": "abc",
        "kind": DESIGN,
    }
    return RunSpec(**{**fields, **changes})


def example_observation(spec: RunSpec) -> Observation:
    """An observation with nothing left at its default but what a store adds itself."""
    return Observation(
        spec,
        metrics={"loss/c++": 1 / 3, "loss/web [en]": 2.0 / 7.0},
        curve=(Point(100, {"loss/c++": 3.5}), Point(67_890, {"loss/c++": 1 / 3})),
        flops=6.1e15,
        seconds=12.25,
        realised=Realised(
            ((30_000, {"web": 20_000, "c++": 10_000}), (67_890, {"web": 367, "a/b": 37_523})), 640
        ),
        info={"note": "kept", "numbers": [0.1, 2]},
        place=Place("node-7.example", 13.5, 0.25),
    )


def big_spec(domains: int = 1000) -> RunSpec:
    """A run over very many domains."""
    names = tuple(f"domain-with-a-long-name/{i:04d}" for i in range(domains))
    return example_spec(mixture=Mixture(names, (1.0 / domains,) * domains))


class StoreContract:
    """Inherit it, and override `make`; and `reopen`, if your store outlives its process."""

    def make(self, folder: Path, name: str = "sweep") -> Any:
        """A store in `folder` for the sweep `name`, new if it is not there.

        Raises:
            NotImplementedError: not overridden.
        """
        raise NotImplementedError

    def reopen(self, store: Any, folder: Path, name: str = "sweep") -> Any:  # noqa: ARG002
        """The same sweep as another process would see it; `store` itself if it does not last."""
        return store

    def test_is_a_store(self, tmp_path: Path) -> None:
        """It has the methods of the port."""
        assert isinstance(self.make(tmp_path), Store)

    def test_a_run_is_pending_until_it_is_closed(self, tmp_path: Path) -> None:
        """Open, reopen, close: pending, still pending, observed."""
        store, spec = self.make(tmp_path), example_spec()
        store.open(spec)
        store = self.reopen(store, tmp_path)
        assert store.pending() == [spec]
        assert store.observations() == []
        store.close(example_observation(spec))
        store = self.reopen(store, tmp_path)
        assert store.pending() == []
        assert [o.run_id for o in store.observations()] == [spec.run_id]

    def test_everything_comes_back_exactly(self, tmp_path: Path) -> None:
        """Specs and observations, kinds too, are equal to what was written."""
        store = self.make(tmp_path)
        seen = [
            example_observation(example_spec(0)),
            Observation.failure(
                example_spec(1, kind=Kind.confirmation("natural")), "the worker died"
            ),
            example_observation(big_spec()),
        ]
        for observation in seen:
            store.open(observation.spec)
            store.close(observation)
        back = self.reopen(store, tmp_path).observations()
        assert back == seen
        assert [o.to_dict() for o in back] == [o.to_dict() for o in seen]
        assert [o.run_id for o in back] == [o.run_id for o in seen]

    def test_long_pending_specs_come_back(self, tmp_path: Path) -> None:
        """A run over 1,000 domains can be submitted again after a crash."""
        store = self.make(tmp_path)
        store.open(big_spec())
        assert self.reopen(store, tmp_path).pending() == [big_spec()]

    def test_opening_twice_changes_nothing(self, tmp_path: Path) -> None:
        """One run, whatever the kind of the second opening."""
        store = self.make(tmp_path)
        store.open(example_spec(kind=DESIGN))
        store.open(example_spec(kind=PROPOSAL))
        store = self.reopen(store, tmp_path)
        store.open(example_spec(kind=PROPOSAL))
        assert [s.kind for s in self.reopen(store, tmp_path).pending()] == [DESIGN]

    def test_the_first_observation_stays(self, tmp_path: Path) -> None:
        """A second result of the same run is ignored, also after a restart."""
        store, spec = self.make(tmp_path), example_spec()
        first = example_observation(spec)
        store.open(spec)
        store.close(first)
        store.close(Observation.failure(spec, "late"))
        store = self.reopen(store, tmp_path)
        store.close(Observation.failure(spec, "later"))
        assert self.reopen(store, tmp_path).observations() == [first]

    def test_a_failed_run_is_trained_again_and_its_failure_stays(self, tmp_path: Path) -> None:
        """Twice: it is open in its old place, and the next observation has both attempts."""
        store, specs = self.make(tmp_path), [example_spec(seed) for seed in range(3)]
        for spec in specs:
            store.open(spec)
        place = Place("node-1", 4.0, 2.0)
        lost = Observation.failure(specs[0], "the disk", flops=5.0, seconds=3.0, place=place)
        store.close(lost)
        store.close(example_observation(specs[1]))
        for error in ("the disk", "the network"):
            store.retry(specs[0].run_id)
            store = self.reopen(store, tmp_path)
            assert [s.seed for s in store.pending()] == [0, 2]
            assert [o.spec.seed for o in store.observations()] == [1]
            assert store.attempts()[specs[0].run_id][-1].error == error
            store.retry(specs[0].run_id)  # it is open: nothing changes
            if error == "the disk":
                store.close(Observation.failure(specs[0], "the network", attempts=()))
                store = self.reopen(store, tmp_path)
        store.open(specs[0])  # it goes out again
        seen = example_observation(specs[0])
        store.close(seen)
        store.close(Observation.failure(specs[0], "late"))
        store = self.reopen(store, tmp_path)
        back = store.observations()[0]
        assert [a.error for a in back.attempts] == ["the disk", "the network"]
        first = back.attempts[0]
        assert (first.flops, first.seconds, first.place) == (5.0, 3.0, place)
        assert first.until > 1.7e9
        assert back == replace(seen, attempts=back.attempts)
        assert store.attempts() == {}

    def test_what_succeeded_or_is_unknown_is_not_trained_again(self, tmp_path: Path) -> None:
        """Both are refused by their id."""
        store, spec = self.make(tmp_path), example_spec()
        with pytest.raises(InputError, match=spec.run_id):
            store.retry(spec.run_id)
        store.close(example_observation(spec))
        with pytest.raises(InputError, match="succeeded"):
            store.retry(spec.run_id)
        assert len(store.observations()) == 1

    def test_a_very_long_reason_can_be_tried_again(self, tmp_path: Path) -> None:
        """What does not fit into the record of a run comes back whole."""
        store, spec = self.make(tmp_path), example_spec()
        noise = " ".join(f"{(i * 2654435761) % 4294967296:x}" for i in range(60_000))
        store.close(Observation.failure(spec, noise))
        store.retry(spec.run_id)
        store = self.reopen(store, tmp_path)
        assert store.attempts()[spec.run_id][0].error == noise
        store.close(example_observation(spec))
        assert self.reopen(store, tmp_path).observations()[0].attempts[0].error == noise

    def test_closing_without_opening_keeps_the_run(self, tmp_path: Path) -> None:
        """A result that was made elsewhere is recorded."""
        store = self.make(tmp_path)
        store.close(example_observation(example_spec()))
        assert len(self.reopen(store, tmp_path).observations()) == 1

    def test_order_is_that_of_opening(self, tmp_path: Path) -> None:
        """Not that of closing; restarts do not change it."""
        store = self.make(tmp_path)
        specs = [example_spec(seed) for seed in range(4)]
        for spec in specs[:3]:
            store.open(spec)
        for spec in (specs[2], specs[0]):
            store.close(example_observation(spec))
        store = self.reopen(store, tmp_path)
        store.open(specs[3])
        store.close(example_observation(specs[3]))
        store = self.reopen(store, tmp_path)
        assert [o.spec.seed for o in store.observations()] == [0, 2, 3]
        assert [s.seed for s in store.pending()] == [1]

    def test_annotations_come_back_and_are_replaced(self, tmp_path: Path) -> None:
        """Short ones, long ones, very long ones; the newest value of a name counts."""
        store = self.make(tmp_path)
        noise = [((i * 2654435761) % 4294967296) / 7 for i in range(60_000)]
        store.annotate({"spec": {"a": [1, None, "x"]}, "law": "y" * 50_000, "table": noise})
        store.annotate({"spec": {"a": 2}, "law": ["short now"]})
        back = self.reopen(store, tmp_path).annotations()
        assert back == {"spec": {"a": 2}, "law": ["short now"], "table": noise}
        assert json.dumps(back)

    def test_annotations_must_be_json(self, tmp_path: Path) -> None:
        """The message names the annotation."""
        with pytest.raises(InputError, match="law"):
            self.make(tmp_path).annotate({"law": object()})

    def test_releasing_twice_is_fine(self, tmp_path: Path) -> None:
        """What was written stays, where the store outlives its process."""
        store = self.make(tmp_path)
        store.open(example_spec())
        store.release()
        store.release()

    def test_files_are_copied(self, tmp_path: Path) -> None:
        """What was attached may be deleted afterwards."""
        store = self.make(tmp_path)
        report = tmp_path / "report.html"
        report.write_text("<p>mixture</p>")
        store.attach(report)
        report.unlink()
        assert self.attached(store, "report.html") == b"<p>mixture</p>"

    def attached(self, store: Any, name: str) -> bytes:
        """The content of an attached file."""
        content: bytes = store.files[name]
        return content

    def test_sweeps_do_not_mix(self, tmp_path: Path) -> None:
        """Two names in one place are two sweeps."""
        one, other = self.make(tmp_path, "one"), self.make(tmp_path, "other")
        one.open(example_spec())
        one.annotate({"spec": 1})
        assert self.reopen(other, tmp_path, "other").pending() == []
        assert other.annotations() == {}
