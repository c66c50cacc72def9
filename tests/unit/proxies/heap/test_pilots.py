"""Pilot samples: the same for the same seed, of the sets that were asked for, or of a user's."""

from pathlib import Path

import numpy as np
import pytest

from mixopt.errors import InputError
from mixopt.laws.transport.costs import TransportCosts
from mixopt.testing.trainers import FakeTrainer
from proxies import LanguageModelTrainer
from proxies.heap.pilots import DIMENSIONS, pilots_of, read_pilots

WORDS = {
    "birds": "robin heron finch wren egg nest wing",
    "rocks": "basalt gneiss schist quartz lava fold",
}


@pytest.fixture
def trainer(tmp_path: Path) -> LanguageModelTrainer:
    rng = np.random.default_rng(0)
    sources = {}
    for name, words in {**WORDS, "more_birds": WORDS["birds"]}.items():
        (tmp_path / name).mkdir()
        for i in range(8):
            text = " ".join(rng.choice(words.split(), 700))
            (tmp_path / name / f"{i}.txt").write_text(text, encoding="utf-8")
        sources[name] = str(tmp_path / name)
    held = {"more_birds": sources.pop("more_birds")}
    return LanguageModelTrainer(domains=sources, validation=held, vocab=280, context=32)


def test_the_domain_of_the_targets_words_is_nearer(trainer, tmp_path: Path) -> None:
    points, target = pilots_of(trainer, tmp_path, ["more_birds"], 12, seed=1)
    assert {name: rows.shape[0] for name, rows in points.items()} == {"birds": 12, "rocks": 12}
    assert target.shape[1] == points["birds"].shape[1] <= DIMENSIONS
    costs = TransportCosts.measure(points, target)
    assert costs.alone[0] < 0.5 * costs.alone[1]
    assert costs.gradient[0] < 0 < costs.gradient[1]
    again, _ = pilots_of(trainer, tmp_path, ["more_birds"], 12, seed=1)
    assert all((again[name] == points[name]).all() for name in points)


def test_what_has_no_text_is_refused(trainer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'birds2'.*did you mean 'birds'"):
        pilots_of(trainer, tmp_path, ["birds2"], 4, seed=0)
    with pytest.raises(InputError, match="--embeddings DIR"):
        pilots_of(FakeTrainer(), tmp_path, ["loss/web"], 4, seed=0)


def test_embeddings_of_a_user_are_read_and_what_is_missing_is_named(tmp_path: Path) -> None:
    for name, at in {"birds": 0.0, "rocks": 3.0, "target": 0.5}.items():
        np.save(tmp_path / f"{name}.npy", np.full((4, 2), at) + np.eye(4, 2))
    points, target = read_pilots(tmp_path, ("birds", "rocks"))
    assert list(points) == ["birds", "rocks"]
    assert target.shape == (4, 2)
    with pytest.raises(InputError, match=r"no .*wings.npy; give a .npy file"):
        read_pilots(tmp_path, ("birds", "wings"))
    (tmp_path / "wings.npy").write_text("text")
    with pytest.raises(InputError, match=r"wings.npy cannot be read"):
        read_pilots(tmp_path, ("birds", "wings"))
    np.save(tmp_path / "wings.npy", np.ones((4, 3)))
    points, target = read_pilots(tmp_path, ("birds", "wings"))
    with pytest.raises(InputError, match="'wings' have 3 dimensions, and those of the target 2"):
        TransportCosts.measure(points, target)
