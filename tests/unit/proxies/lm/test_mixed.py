"""Runs whose mixture changes on the way: what a mixer is told, and that a kill changes nothing."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import safetensors.torch
import torch

import proxies.lm.train as train_module
from mixopt.mixers import Needs, Recorded
from mixopt.mixers.periodic import Learned, Periodic
from mixopt.runs import MixerSpec, Observation, RunSpec, Scale, Schedule
from mixopt.space import Mixture
from proxies import LanguageModelTrainer
from proxies.lm import mixed
from proxies.lm.data import sequence_starts
from proxies.lm.evaluate import nats, scored_starts
from proxies.lm.functions import cross_entropy
from proxies.lm.gradients import Gradients, products, sequences_of_look
from proxies.lm.mixed import MixedPack
from proxies.lm.mixing import Member, mixed_of
from proxies.lm.model import PackedModel, Shape
from proxies.lm.recipe import derive
from proxies.lm.splits import training_end, unscored
from proxies.lm.steered import Sequences
from proxies.lm.steps import pack_loss

CPU = torch.device("cpu")
TINY = {"vocab": 300, "validation_fraction": 0.2, "context": 32, "width": 32, "bigrams": 512}
PLAIN = RunSpec(Mixture.of({"birds": 0.5, "rocks": 0.5}), Scale(20_000, 12_288))
METHODS = {
    "odm": {"every": 2},
    "ado": {"warmup": 3, "refit": 3, "every": 1},
    "aioli": {"every": 6, "rounds": 1, "probe_steps": 1},
    "doremi": {},
    "pike": {"every": 3},
    "fd": {"every": 5, "probe_steps": 2},
    "doge": {"scope": "sketch"},
}


def by(name: str, targets: dict[str, float] | None = None, **settings) -> RunSpec:
    return replace(PLAIN, mixer=MixerSpec(name, settings, targets=targets or {}))


@pytest.fixture(scope="module")
def make(text):
    def made(**config) -> LanguageModelTrainer:
        config = {"evaluation_tokens": 256, "precision": "float32"} | config
        return LanguageModelTrainer(domains=text, **(TINY | config))

    return made


@pytest.fixture(scope="module")
def trainer(make, cache) -> LanguageModelTrainer:
    trainer = make()
    trainer.prepare(cache)
    return trainer


@pytest.fixture(scope="module")
def setting(trainer, cache):
    corpus = trainer.corpus(cache)
    return trainer.setting(corpus, derive(PLAIN.scale, corpus.vocab, trainer.model_config), cache)


def train(trainer: LanguageModelTrainer, spec: RunSpec, cache) -> Observation:
    (seen,) = trainer.train([spec], cache)
    assert seen.ok, seen.error
    return seen


# -- runs ----------------------------------------------------------------------------------------


def test_a_mixer_that_changes_nothing_gives_the_run_without_it_to_the_bit(trainer, cache):
    ours = train(trainer, by("fixed", every=5), cache)
    theirs = train(trainer, PLAIN, cache)
    assert ours.metrics == theirs.metrics
    assert ours.curve == theirs.curve
    assert ours.tokens == theirs.tokens
    assert ours.flops == theirs.flops


class Power:
    """Has the process die before a step of the run itself, once."""

    def __init__(self, monkeypatch, step: int) -> None:
        self.left = 1
        original = MixedPack._one_step

        def one_step(run) -> None:
            if run.step == step and self.left:
                self.left -= 1
                raise KeyboardInterrupt
            original(run)

        monkeypatch.setattr(MixedPack, "_one_step", one_step)


@pytest.mark.parametrize("name", METHODS)
def test_a_run_that_is_killed_goes_on_as_if_it_had_not_been(make, cache, monkeypatch, name):
    spec = by(name, **METHODS[name])
    never = train(make(), spec, cache)
    for step in (4, 8):
        saving = make(checkpoint_seconds=0.0)
        with monkeypatch.context() as patch:
            power = Power(patch, step)
            with pytest.raises(KeyboardInterrupt):
                saving.train([spec], cache)
            again = train(saving, spec, cache)
        assert not power.left
        assert again.info["continued_from"] > 0
        assert again.metrics == never.metrics
        assert again.realised == never.realised
        assert again.info["mixer"] == never.info["mixer"]
        assert again.flops == never.flops
    kept = Recorded.of(never)
    assert kept is not None
    assert kept.history is not None
    assert kept.history.tokens[-1] == 12_288
    assert sum(line[-1] for line in kept.history.drawn.values()) == pytest.approx(1.0)
    assert never.info["mixer"]["skipped"] == 0
    assert not list(cache.glob("checkpoints/*/trunk*"))
    assert sum(never.tokens.values()) == 12_288


# -- packs ---------------------------------------------------------------------------------------


def beside(spec: RunSpec) -> list[RunSpec]:
    """Three runs by one mixer: other seeds, another start."""
    apart = Mixture.of({"birds": 0.8, "rocks": 0.2})
    return [spec, replace(spec, seed=1), replace(spec, seed=2, mixture=apart)]


@pytest.mark.parametrize("name", ["odm", "doremi", "pike", "fd", "doge"])
def test_a_run_of_a_pack_is_the_run_alone(trainer, cache, name):
    """Weights and all: what it was told, where its mixture went, what it cost."""
    specs = beside(by(name, **METHODS[name]))
    packed = trainer.train(specs, cache)
    assert [seen.info["pack"] for seen in packed] == [3, 3, 3]
    for spec, ours in zip(specs, packed, strict=True):
        theirs = train(trainer, spec, cache)
        assert theirs.info["pack"] == 1
        assert ours.metrics == theirs.metrics
        assert ours.flops == theirs.flops
        assert ours.info["mixer"] == theirs.info["mixer"]
        assert ours.realised == theirs.realised
    averages = [tuple(seen.info["mixer"]["time_average"].values()) for seen in packed]
    assert len(set(averages)) > 1


@pytest.mark.parametrize("name", ["doremi", "fd"])
def test_a_pack_that_is_killed_goes_on_as_if_it_had_not_been(make, cache, monkeypatch, name):
    specs = beside(by(name, **METHODS[name]))
    never = make().train(specs, cache)
    saving = make(checkpoint_seconds=0.0)
    with monkeypatch.context() as patch:
        Power(patch, 7)
        with pytest.raises(KeyboardInterrupt):
            saving.train(specs, cache)
    again = saving.train(specs, cache)
    for before, after in zip(never, again, strict=True):
        assert after.info["continued_from"] > 0
        assert after.metrics == before.metrics
        assert after.info["mixer"] == before.info["mixer"]
        assert after.realised == before.realised


def test_mixers_that_differ_are_not_packed(trainer, cache):
    specs = [by("odm", every=2), by("odm", every=3), replace(by("odm", every=2), seed=5)]
    assert [seen.info["pack"] for seen in trainer.train(specs, cache)] == [2, 1, 2]


@pytest.mark.parametrize("name", ["odm", "fd"])
def test_a_run_that_diverges_leaves_the_others_of_its_pack_alone(trainer, cache, monkeypatch, name):
    specs = beside(by(name, **METHODS[name]))
    alone = trainer.train([specs[0]], cache)[0]
    original = MixedPack._one_step

    def poisoned(pack) -> None:
        original(pack)
        if pack.step == 4:
            with torch.no_grad():
                pack.model.parameters["embedding"][1] = torch.nan

    monkeypatch.setattr(MixedPack, "_one_step", poisoned)
    first, broken, last = trainer.train(specs, cache)
    assert "diverged" in broken.error
    assert broken.info["tokens_done"] < 12_288
    assert first.metrics == alone.metrics
    assert first.info["mixer"]["skipped"] == last.info["mixer"]["skipped"] == 0
    assert last.ok


def test_mixers_that_fall_out_of_step_are_trained_apart(trainer, cache):
    """As those of one that plans by what it has seen."""
    specs = beside(by("tests.unit.proxies.lm.test_mixed:Hurried"))
    packed = trainer.train(specs, cache)
    assert [seen.info["pack"] for seen in packed] == [1, 1, 1]
    assert all(seen.ok for seen in packed)


@dataclass(frozen=True)
class Hurried(Periodic):
    """Periods as long as the seed says."""

    name: ClassVar[str] = "hurried"

    def needs(self) -> Needs:
        return Needs(frozenset({"train_loss"}), every=2)

    def length(self, setup, state) -> int:
        del state
        return 2 + setup.seed

    def learn(self, setup, state, seen) -> Learned:
        del setup, seen
        return Learned(np.array(state.weights), state.memory)


def test_what_a_method_costs_is_counted(trainer, cache):
    """6 N a token of a branch, 2 N of a look, and a whole run for a reference."""
    plain = train(trainer, PLAIN, cache).flops
    per_step = plain / 12
    spec = by("fd", {"birds": 1.0}, every=5, probe_steps=2)
    seen = train(trainer, spec, cache)
    work = seen.info["mixer"]["work"]
    look = seen.info["mixer"]["steering"]["birds"]["tokens"] * 2 / (6 * 1024)
    expected = plain + per_step * (work["branch_steps"] + look * work["heldout"])
    assert seen.flops == pytest.approx(expected)
    assert seen.info["mixer"]["cost_ratio"] == pytest.approx(expected / plain)
    weighed = train(trainer, by("doremi"), cache)
    beside = weighed.info["mixer"]["work"]["excess"] / 3  # a forward pass of each of these steps
    assert weighed.flops == pytest.approx(2 * plain + per_step * beside)


def test_the_reference_run_is_the_run_without_a_mixer_and_is_kept(
    make, cache, tmp_path, monkeypatch
):
    (tmp_path / "data").mkdir()
    for folder in cache.glob("corpus*"):
        (tmp_path / "data" / folder.name).symlink_to(folder)
    trainer, place = make(), tmp_path / "data"
    data = trainer.prepare(place).data
    spec = replace(by("doremi"), data=data)
    first = train(trainer, spec, place)
    reference = first.info["mixer"]["reference"]
    beside = replace(PLAIN, data=data)
    assert reference["run"] == beside.run_id
    files = trainer_setting(trainer, place).checkpoints
    assert files(beside, apart=True).folder != files(beside).folder  # it may be under way itself
    (kept,) = place.glob("checkpoints/reference-*/*.safetensors")
    monkeypatch.setattr(mixed, "reference_tensors", None)
    with pytest.raises(TypeError):  # it is asked for
        trainer.train_here([spec], place, lambda *_: None, None)
    monkeypatch.undo()
    monkeypatch.setattr(train_module.Pack, "_train", None)
    with pytest.raises(TypeError):  # what trains it is gone
        mixed.reference_tensors(trainer_setting(trainer, place), replace(PLAIN, data=data, seed=1))
    mixed.reference_tensors(trainer_setting(trainer, place), replace(PLAIN, data=data))
    monkeypatch.undo()
    whole = kept.read_bytes()
    other = PackedModel(Shape(400, 32, 2, 1, 32, 512), [0], CPU, torch.float32).tensors(0)
    for broken in (whole[:100], safetensors.torch.save(other)):  # cut off; of another tokenizer
        kept.write_bytes(broken)
        assert train(trainer, spec, place).metrics == first.metrics  # it is trained again
        assert len(kept.read_bytes()) == len(whole)


def trainer_setting(trainer, cache):
    corpus = trainer.corpus(cache)
    return trainer.setting(corpus, derive(PLAIN.scale, corpus.vocab, trainer.model_config), cache)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (by("moe"), "'gate_load'"),
        (by("no-such"), "unknown mixer 'no-such'"),
        (by("aioli", {"trees": 1.0}, every=6, rounds=1, probe_steps=1), "'trees', which is no"),
        (replace(by("odm"), mixture=Mixture.of({"birds": 0.5, "moss": 0.5})), "'moss'"),
        (
            replace(
                RunSpec.scheduled(
                    Schedule(
                        (
                            (4096, Mixture.of({"birds": 1.0, "rocks": 0.0})),
                            (12_288, Mixture.of({"birds": 0.5, "rocks": 0.5})),
                        )
                    ),
                    PLAIN.scale,
                ),
                mixer=MixerSpec("odm"),
            ),
            "schedule",
        ),
    ],
)
def test_what_cannot_be_mixed_fails_before_training_and_alone(trainer, cache, spec, message):
    refused, beside = trainer.train([spec, by("fixed", every=5)], cache)
    assert not refused.ok
    assert message in refused.error
    assert refused.flops == 0
    assert beside.ok


# -- splits --------------------------------------------------------------------------------------


def test_a_run_does_not_train_on_what_it_is_steered_by(setting):
    """And reads the sequences that are left in the order of a run without a mixer."""
    spec = by("fd", every=5, probe_steps=2)
    ready = mixed_of(setting, spec)
    assert [of.name for of in ready.targets] == ["birds", "rocks"]
    for of in ready.targets:
        stream = np.asarray(setting.corpus.train_tokens(of.name))
        assert of.ends is not None
        assert 256 <= len(stream) - of.ends < len(stream) // 5
        assert setting.corpus.token_bytes[stream[of.ends - 1]] == 0  # a document begins there
        tail = {tuple(stream[s : s + 33]) for s in range(of.ends, len(stream) - 32)}
        assert {tuple(row) for row in of.ids.tolist()} <= tail
    sequences = ready.batches._sequences[0]
    end = ready.targets[0].ends
    drawn = [sequences[k] for k in range(3 * sequences.count)]
    assert max(drawn) + 33 <= end
    stream = setting.corpus.train_tokens("birds")
    theirs = sequence_starts(len(stream), 32, PLAIN.seed, "birds")
    kept = [s for s in (next(theirs) for _ in range(4 * sequences.count)) if s + 33 <= end]
    assert drawn[: 2 * sequences.count] == kept[: 2 * sequences.count]
    assert sequences[5] == drawn[5]  # any of them again, in any order


def test_a_set_that_is_no_domain_is_steered_by_what_is_scored_nowhere():
    rng = np.random.default_rng(0)
    stream = rng.integers(1, 50, 6000)
    lengths = np.ones(50, dtype=np.int32)
    scored = [(16, 256), (32, 256)]
    taken = np.zeros(len(stream), dtype=bool)
    for context, tokens in scored:
        for start in scored_starts(len(stream), context, tokens):
            taken[start : start + context + 1] = True
    starts, shared = unscored(stream, lengths, scored, 16)
    assert shared  # one document
    assert len(starts) > 100
    assert not any(taken[s : s + 17].any() for s in starts)
    lengths[0] = 0
    stream[::40] = 0  # documents of 40 tokens, most of them scored nowhere
    apart, shared = unscored(stream, lengths, scored, 16)
    assert not shared
    document = np.arange(len(stream)) // 40
    document[::40] -= 1  # the mark ends a document
    inside = {d for s in apart for d in document[s : s + 17]}
    assert not inside & set(document[taken])
    nothing, _ = unscored(stream[:40], lengths, [(16, 4096)], 16)
    assert len(nothing) == 0


def test_targets_without_text_to_steer_by_are_refused_with_the_remedy(make, cache, text, tmp_path):
    folder = tmp_path / "moss"
    folder.mkdir()
    (folder / "a.txt").write_text("robin basalt heron flint " * 40)
    trainer = LanguageModelTrainer(
        domains=text, validation={"moss": str(folder)}, precision="float32", **TINY
    )
    (seen,) = trainer.train([by("fd", {"moss": 1.0}, every=5, probe_steps=2)], tmp_path)
    assert not seen.ok
    assert "lower evaluation_tokens" in seen.error
    lower = LanguageModelTrainer(
        domains=text,
        validation={"moss": str(folder)},
        precision="float32",
        evaluation_tokens=64,
        **TINY,
    )
    seen = train(lower, by("fd", {"moss": 1.0}, every=5, probe_steps=2), tmp_path)
    assert seen.info["mixer"]["steering"]["moss"]["shares_documents"]
    assert training_end(lower.corpus(tmp_path), "birds", 32, 10**9) > 0


# -- signals -------------------------------------------------------------------------------------


def test_losses_by_domain_are_means_over_the_tokens_of_the_segment(setting, trainer, cache):
    """Against the losses of the same sequences, taken from the model before a step."""
    ready = mixed_of(setting, by("softmax-loss", every=1))
    run = train_module.Run(PLAIN, ready.batches, setting.checkpoints(by("softmax-loss", every=1)))
    member = Member(run, ready, ready.session)
    here = MixedPack(setting, [member], 0, lambda *_: None)
    batches = member.batches
    for _ in range(3):
        segment = member.session.segment
        here._begin(segment, here.step)
        count = here._sequences(here.step, 1)
        which = batches.which(count).copy()
        drawing, ids = batches.drawing, torch.from_numpy(batches.take(count))
        (exact,) = nats(here.model, ids)
        batches.go_to(drawing)
        here._begin(segment, here.step)
        here._one_step()
        here._add_up()
        tokens, values = member.tally.sums[0], member.tally.signals(segment.measure)
        assert set(values) == {"train_loss"}
        for domain in (0, 1):
            rows = exact[torch.from_numpy(which == domain)]
            assert tokens[domain] == rows.numel()
            assert values["train_loss"][domain] == pytest.approx(float(rows.mean()), rel=1e-4)
        here._report(segment, here.step)


def test_weighed_losses_are_those_of_another_sampling():
    """The gradient of a weighed batch is the weighed sum of the gradients of its parts."""
    torch.manual_seed(0)
    x, head = torch.randn(1, 12, 8), torch.randn(1, 20, 8)
    targets, weights = torch.randint(0, 20, (1, 12)), torch.rand(1, 12)
    leaves = [x.requires_grad_(), head.requires_grad_()]
    each = torch.zeros(1, 12)
    loss = cross_entropy(x, head, targets, 80, each, weights)
    ours = torch.autograd.grad(loss.sum(), leaves)
    logits = (x @ head.transpose(1, 2))[0]
    plain = torch.nn.functional.cross_entropy(logits, targets[0], reduction="none")
    theirs = torch.autograd.grad((plain * weights[0]).mean(), leaves)
    assert loss.item() == pytest.approx((plain * weights[0]).mean().item(), rel=1e-5)
    torch.testing.assert_close(each[0], plain.detach(), rtol=1e-5, atol=1e-6)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.fixture
def model() -> PackedModel:
    made = PackedModel(Shape(40, 32, 2, 1, 8, 64), [3], CPU, torch.float32)
    draws = torch.Generator().manual_seed(0)
    with torch.no_grad():  # output projections are zero at the start, and so are gradients
        for tensor in made.parameters.values():
            tensor.add_(0.1 * torch.randn(tensor.shape, generator=draws))
    made.refresh()
    return made


def ids(*seeds: int, count: int = 4) -> list[torch.Tensor]:
    return [
        torch.randint(0, 40, (count, 9), generator=torch.Generator().manual_seed(s)) for s in seeds
    ]


def test_gradients_predict_what_a_small_step_does(model):
    """Along the head's gradient of one set the loss of another falls by their product."""
    one, other = ids(1, 2)
    gradients = Gradients(model, "head")
    (mine,), (theirs,) = gradients.of([one[None], other[None]])
    rate, head = 1e-2, model.parameters["head"]
    before = pack_loss(model, other[None]).item()
    with torch.no_grad():
        head.sub_(rate * mine.vector.view_as(head))
    after = pack_loss(model, other[None]).item()
    (row,) = products([mine], [theirs], np.inf)
    assert (before - after) / rate == pytest.approx(row[0], rel=0.05)
    assert all(leaf.grad is None for leaf in model.leaves.values())


def test_scopes_agree_where_they_must(model):
    sets = ids(1, 2, 3)
    grams = {}
    for scope in ("full", "last", "head", "sketch"):
        told = [of_run for (of_run,) in Gradients(model, scope).of([of[None] for of in sets])]
        grams[scope] = products(told, told, np.inf)
        if scope != "sketch":
            assert np.diag(grams[scope]) == pytest.approx([g.square for g in told], rel=1e-4)
    assert (np.diag(grams["full"]) > np.diag(grams["head"]) + np.diag(grams["last"])).all()
    size = np.sqrt(np.outer(np.diag(grams["full"]), np.diag(grams["full"])))
    assert (np.abs(grams["sketch"] - grams["full"]) < 6 * size / 64).all()
    assert not np.allclose(grams["sketch"], grams["full"], rtol=1e-6)
    clipped = products(told, told, 0.01)
    assert np.sqrt(np.diag(clipped)) == pytest.approx([0.01] * 3, rel=0.1)


@pytest.mark.parametrize("scope", ["full", "sketch"])
def test_sets_side_by_side_are_sets_one_by_one(scope):
    """Of two runs, sets of two sizes; and copies follow the model."""
    model = PackedModel(Shape(40, 32, 2, 1, 8, 64), [3, 4], CPU, torch.float32)
    draws = torch.Generator().manual_seed(0)
    gradients = Gradients(model, scope)
    for _ in range(2):
        with torch.no_grad():
            for tensor in model.parameters.values():
                tensor.add_(0.1 * torch.randn(tensor.shape, generator=draws))
        model.refresh()
        sets = [torch.stack(ids(s, s + 9)) for s in (1, 2, 3)] + [torch.stack(ids(5, 6, count=2))]
        together = gradients.of(sets)
        assert len(together) == 4
        for of_set, given in zip(together, sets, strict=True):
            ((one, other),) = gradients.of([given])
            for ours, theirs in zip(of_set, (one, other), strict=True):
                torch.testing.assert_close(ours.vector, theirs.vector)
                assert ours.square == pytest.approx(theirs.square)
                assert torch.equal(ours.rows, theirs.rows)
                torch.testing.assert_close(ours.of_rows, theirs.of_rows)


def test_noise_is_the_variance_of_one_sequence(model):
    """Against the covariance of single sequences' gradients, in parts of another size."""
    (many,) = ids(5, count=64)
    gradients = Gradients(model, "head")
    each = torch.stack(
        [one.vector for (one,) in gradients.of([row[None, None] for row in many])]
    ).double()
    trace = float(each.var(0).sum())
    square = float(each.mean(0).square().sum()) - trace / 64
    by_one, by_four = (gradients.noise([many[None]], parts)[0, 0] for parts in (64, 16))
    assert by_one == pytest.approx((square, trace), rel=1e-4)
    assert by_four[1] == pytest.approx(trace, rel=0.3)
    assert by_four[0] == pytest.approx(square, rel=0.3)


@pytest.mark.parametrize(
    ("every", "batch", "sets", "size"),
    [(1, 16, 2, 8), (1, 16, 7, 3), (20, 16, 8, 4), (900, 16, 8, 16)],
)
def test_a_look_takes_what_is_affordable(every, batch, sets, size):
    assert sequences_of_look(every, batch, sets) == size


def test_branches_of_a_period_start_from_one_point_and_leave_it_alone(setting, cache):
    spec = by("fd", every=5, probe_steps=3)
    ready = mixed_of(setting, spec)
    run = train_module.Run(spec, ready.batches, setting.checkpoints(spec))
    member = Member(run, ready, ready.session)
    here = MixedPack(setting, [member], 0, lambda *_: None)
    starts, orders = [], []
    original = here._begin

    def begin(segment, first) -> None:
        original(segment, first)
        starts.append({name: t.clone() for name, t in here.optimizers.state(0).items()})
        orders.append(member.batches._order.copy())

    here._begin = begin
    for _ in range(3):
        segment = member.session.segment
        assert segment is not None
        assert segment.branch
        here._kept = here._kept or here._here()
        here._branch(segment)
    for of in starts[1:]:
        assert of.keys() == starts[0].keys()
        for name, tensor in of.items():
            assert torch.equal(tensor, starts[0][name]), name
    counts = np.array([np.bincount(order) for order in orders])  # of 3 steps
    assert (counts - counts[0]).tolist() == [[0, 0], [2, -2], [-2, 2]]


def test_a_branch_that_reaches_beyond_the_end_trains_like_the_last_step(trainer, cache):
    seen = train(trainer, by("fd", every=8, probe_steps=30), cache)
    assert seen.info["mixer"]["work"]["branch_steps"] == 90
    assert all(np.isfinite(list(seen.metrics.values())))


def test_sequences_by_number_are_those_of_the_stream():
    theirs = sequence_starts(1000, 32, 7, "birds")
    ours = Sequences(1000, 32, 7, "birds", 1000)
    assert [ours[k] for k in range(100)] == [next(theirs) for _ in range(100)]
