"""Names from specs and data never lead out of the folders that they belong to."""

from pathlib import Path

import numpy as np
import pytest
from sandbox import mixopt, write

from mixopt.errors import SpecError
from mixopt.lazy import load
from mixopt.runs import RunSpec, Scale
from mixopt.space import Mixture

HOSTILE = ("../../up", "/abs/olute", "..")
NAMES = ("..", "../up", "/etc/x", "a/b", ".hidden", "a b", "", "a\nb", "-rf")


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_a_sweeps_name_is_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="name"):
        load("mixopt.app.spec.spec_file:read_spec")(write(tmp_path, name=name))


@pytest.mark.slow
def test_a_sweep_over_domains_named_like_paths_stays_in_its_folder(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b" / "c"
    inner.mkdir(parents=True)
    values = dict(zip(HOSTILE, (1.0, 2.0, 1.5), strict=True))
    config = {"values": values, "noise": 0.002}
    spec = {"use": "mixopt.testing.trainers:FakeTrainer", "config": config}
    metrics = [f"loss/{domain}" for domain in HOSTILE]
    write(
        inner,
        trainer=spec,
        objective={"minimize": metrics},
        execution={"use": "local"},
        store={"use": "memory"},
    )
    mixopt("run", "spec.yaml", cwd=inner)
    assert (inner / "runs/tiny/report.html").is_file()
    outside = {name for name in files(tmp_path) if not name.startswith("a/b/c/")}
    assert outside == set()
    assert not Path("/abs").exists()


@pytest.mark.slow
def test_a_corpus_and_checkpoints_of_domains_named_like_paths_stay_where_they_belong(
    tmp_path: Path,
) -> None:
    texts, inner = tmp_path / "texts", tmp_path / "a" / "b" / "cache"
    domains = {}
    rng = np.random.default_rng(0)
    for number, name in enumerate(HOSTILE):
        folder = texts / str(number)
        folder.mkdir(parents=True)
        for i in range(12):
            words = rng.choice(["robin", "gneiss", "quartz", "heron", "finch"], size=120)
            (folder / f"{i}.txt").write_text(" ".join(words), encoding="utf-8")
        domains[name] = str(folder)
    trainer = load("proxies:LanguageModelTrainer")(
        domains=domains, vocab=280, context=32, validation_fraction=0.3, width=32, bigrams=0
    )
    info = trainer.prepare(inner)
    assert {d.name for d in info.domains} == set(HOSTILE)
    mixture = Mixture.of(dict.fromkeys(HOSTILE, 1 / 3), renormalize=True)
    (seen,) = trainer.train([RunSpec(mixture, Scale(20_000, 2048), data=info.data)], inner)
    assert seen.ok, seen.error
    outside = {n for n in files(tmp_path) if not n.startswith(("texts/", "a/b/cache/"))}
    assert outside == set()
