"""Failed runs grouped by cause: what differs between runs alone is no cause of its own."""

from mixopt import Mixture, Observation, RunSpec, Scale
from mixopt.runs import Place
from mixopt.runs.failures import causes, has_diverged


def failed(error: str, seed: int = 0, host: str = "") -> Observation:
    spec = RunSpec(Mixture.of({"web": 0.5, "code": 0.5}), Scale(10, 20), seed)
    return Observation.failure(spec, error, place=Place(host) if host else None)


def test_reasons_that_differ_in_paths_numbers_and_ids_are_one_cause() -> None:
    lost = [
        failed(f"OSError: [Errno 5] Input/output error: '/shared/c/{i}/trunk-{i:09d}.st'", i, host)
        for i, host in enumerate(["n1", "n1", "n2"])
    ]
    other = failed("ValueError: pack ab12cd34ef has 3 runs", 7)
    again = failed("ValueError: pack 99aa88bb77 has 12 runs", 8)
    fine = Observation.of(failed("").spec, {"loss": 1.0})
    grouped = causes([other, *lost, fine, again])
    assert [len(c.runs) for c in grouped] == [3, 2]
    assert grouped[0].words == lost[0].error
    assert grouped[0].hosts == {"n1": 2, "n2": 1}
    assert grouped[1].words == other.error
    assert grouped[1].hosts == {}


def test_different_words_are_different_causes() -> None:
    errors = ["no domain 'webb'", "no domain 'cod'", "no memory"]
    assert len(causes([failed(e, i) for i, e in enumerate(errors)])) == 3
    assert causes([failed("")])[0].words == "no reason was given"


def test_divergence_is_told_by_what_trainers_say() -> None:
    spec = failed("").spec
    assert has_diverged(Observation.of(spec, {"loss": float("nan")}))
    step = "the loss is no number at step 7 of 20: the run diverged"
    assert has_diverged(failed(step))
    assert not has_diverged(failed("OSError: the run diverged's file is lost"))
    assert not has_diverged(Observation.of(spec, {"loss": 1.0}))
    grouped = causes([failed(step), failed(step.replace("7", "9"), 1)])
    assert len(grouped) == 1
    assert grouped[0].diverged
    assert grouped[0].to_dict()["runs"] == 2
