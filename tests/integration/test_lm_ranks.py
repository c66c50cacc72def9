"""Several processes train a pack as one would; one that dies is told of, and nothing is lost."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixopt import InputError
from mixopt.runs import Point, RunSpec, Scale
from mixopt.space import Mixture
from proxies import LanguageModelTrainer
from proxies.lm.ranks import Ranks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # every test starts torchrun

TEXT = {"birds": "robin heron finch crane stork ", "rocks": "basalt gneiss schist quartz marble "}
SCALE = Scale(params=20_000, tokens=4096)


def trainer(tmp_path: Path, **changes: Any) -> LanguageModelTrainer:
    domains = {}
    for name, words in TEXT.items():
        rng, folder = np.random.default_rng(len(name)), tmp_path / name
        folder.mkdir(exist_ok=True)
        for i in range(20):
            text = " ".join(rng.choice(words.split(), size=150))
            (folder / f"{i}.txt").write_text(text, encoding="utf-8")
        domains[name] = str(folder)
    settings = {"vocab": 280, "context": 32, "width": 32, "bigrams": 0, "batch": 5, "pack": 2}
    settings |= {"precision": "float32", "validation_fraction": 0.2, **changes}
    return LanguageModelTrainer(domains=domains, **settings)


def specs() -> list[RunSpec]:
    shares = ({"birds": 0.7, "rocks": 0.3}, {"birds": 0.2, "rocks": 0.8})
    return [RunSpec(Mixture.of(share), SCALE, seed=i) for i, share in enumerate(shares)]


def test_two_ranks_train_what_one_process_trains(tmp_path: Path) -> None:
    alone = trainer(tmp_path)
    alone.prepare(tmp_path / "cache")
    expected = alone.train(specs(), tmp_path / "cache")
    seen: list[tuple[str, int]] = []

    def report(spec: RunSpec, point: Point) -> None:
        seen.append((spec.run_id, point.tokens))

    # A batch of five sequences: two on one rank, three on the other.
    found = trainer(tmp_path, ranks=2).train(specs(), tmp_path / "cache", report)
    for one, two in zip(expected, found, strict=True):
        assert two.ok, two.error
        assert two.info["ranks"] == 2
        assert two.metrics == pytest.approx(one.metrics, rel=2e-3)
        assert two.info["train_loss_nats"] == pytest.approx(one.info["train_loss_nats"], rel=2e-3)
        assert two.tokens == one.tokens
        assert two.flops == one.flops
        assert [p.tokens for p in two.curve] == [p.tokens for p in one.curve]
    assert len(seen) == sum(len(o.curve) for o in found) > 0


def break_rank_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Rank 1 runs a statement at step 12."""
    fault = tmp_path / "fault"
    fault.mkdir()
    # Imported by every Python before anything else.
    (fault / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if os.environ.get('RANK') == '1':\n"
        "    import threading, time\n"
        "    def end():\n"
        "        while 'proxies.lm.train' not in sys.modules: time.sleep(.01)\n"
        "        from proxies.lm.ranks import Ranks\n"
        "        real, calls = Ranks.sum, []\n"
        "        def counted(self, values):\n"
        "            calls.append(1)\n"
        f"            if len(calls) > 12: {how}\n"
        "            return real(self, values)\n"
        "        Ranks.sum = counted\n"
        "    threading.Thread(target=end, daemon=True).start()\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(fault))


def test_a_rank_that_is_killed_is_told_of_and_the_run_goes_on_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trainer(tmp_path, ranks=2, checkpoint_seconds=0.0)
    whole.prepare(tmp_path / "cache")
    break_rank_1(tmp_path, monkeypatch, "os.kill(os.getpid(), 9)")
    (failed,) = whole.train(specs()[:1], tmp_path / "cache")
    assert not failed.ok
    told = "training on 2 ranks: rank 1: the command ended with exit code 137 (killed"
    assert told in failed.error
    monkeypatch.undo()
    (done,) = whole.train(specs()[:1], tmp_path / "cache")
    assert done.ok, done.error
    assert done.info["continued_from"] > 0
    (expected,) = trainer(tmp_path).train(specs()[:1], tmp_path / "fresh")
    assert done.metrics == pytest.approx(expected.metrics, rel=2e-3)


def test_the_error_of_a_run_has_the_last_lines_of_the_rank_that_failed_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = trainer(tmp_path, ranks=2)
    broken.prepare(tmp_path / "cache")
    break_rank_1(tmp_path, monkeypatch, "raise ArithmeticError('the abacus fell down')")
    (failed,) = broken.train(specs()[:1], tmp_path / "cache")
    first, _, later = failed.error.partition("\nrank 0: ")
    assert first.startswith("RuntimeError: training on 2 ranks: rank 1: the command ended with")
    assert "ArithmeticError: the abacus fell down" in first
    assert "torch.distributed.run" not in first + later


@pytest.mark.skipif(sys.platform != "linux", reason="names of threads come from /proc")
def test_no_thread_of_the_process_group_is_left_when_a_rank_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is left may want the interpreter while it shuts down, which aborts the rank."""
    fault, seen = tmp_path / "fault", tmp_path / "seen"
    fault.mkdir()
    seen.mkdir()
    (fault / "sitecustomize.py").write_text(
        "import os\n"
        "if rank := os.environ.get('RANK'):\n"
        "    import atexit, pathlib\n"
        "    import torch.distributed as dist\n"
        "    def note(when):\n"
        "        threads = pathlib.Path('/proc/self/task').glob('*/comm')\n"
        "        names = ''.join(thread.read_text() for thread in threads)\n"
        f"        pathlib.Path({str(seen)!r}, when + rank).write_text(names)\n"
        "    real = dist.destroy_process_group\n"
        "    def destroy():\n"
        "        note('before')\n"
        "        real()\n"
        "    dist.destroy_process_group = destroy\n"
        "    atexit.register(note, 'after')\n",
        encoding="utf-8",
    )
    whole = trainer(tmp_path, ranks=2)
    whole.prepare(tmp_path / "cache")
    monkeypatch.syspath_prepend(str(fault))
    (done,) = whole.train(specs()[:1], tmp_path / "cache")
    assert done.ok, done.error
    for rank in "01":
        assert "gloo" in (seen / f"before{rank}").read_text()
        assert "gloo" not in (seen / f"after{rank}").read_text()


def test_models_with_a_bigram_table_are_refused(tmp_path: Path) -> None:
    wrong = trainer(tmp_path, ranks=2, bigrams=512)
    wrong.prepare(tmp_path / "cache")
    with pytest.raises(InputError, match="set bigrams: 0, or ranks: 1"):
        wrong.train(specs(), tmp_path / "cache")
    with pytest.raises(InputError, match="ranks is 0"):
        trainer(tmp_path, ranks=0)


def test_shares_of_a_batch_are_disjoint_and_whole() -> None:
    for world in (1, 2, 3, 8):
        parts = [list(range(5))[Ranks(r, world).share(5)] for r in range(world)]
        assert [i for part in parts for i in part] == list(range(5))
    assert replace(Ranks(), rank=1).first is False
