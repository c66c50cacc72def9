"""A cluster of several machines, as Ray's own test cluster has them on this one: where packs go."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from programs import last_line

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(240)]

CLUSTER = """
    import json, logging, os, time
    from pathlib import Path
    from ray.cluster_utils import Cluster
    from mixopt.execution.ray import RayExecutor
    from mixopt.testing.executor_contract import drain, fake_spec, observations
    small = {"object_store_memory": 100_000_000}
    head = {"num_cpus": 0, "include_dashboard": False, **small}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    said = []
    class Keep(logging.Handler):
        def emit(self, record):
            said.append(record.getMessage())
    logging.getLogger("mixopt").addHandler(Keep())
"""


def on_cluster(folder: Path, program: str) -> Any:
    """What a program prints last, as JSON; `cluster` is there with a head that has no CPUs."""
    return last_line(folder, textwrap.dedent(CLUSTER) + textwrap.dedent(program))


def test_packs_go_where_their_needs_are_met_and_slots_follow_the_cluster(tmp_path: Path) -> None:
    seen = on_cluster(
        tmp_path,
        """
        cluster.add_node(num_cpus=1, labels={"market": "spot"}, **small)
        big = cluster.add_node(num_cpus=2, resources={"disk": 1}, **small)
        executor = RayExecutor("cache", address=cluster.address, silence=3.0, timeout=120.0,
            per_scale=[{"params": 10_000, "cpus_per_pack": 2, "resources": {"disk": 1}}])
        slots = [executor.slots]
        cluster.add_node(num_cpus=3, labels={"market": "spot"}, **small)
        ended = time.monotonic() + 60
        while executor.slots == slots[0] and time.monotonic() < ended:  # asked every few seconds
            time.sleep(0.2)
        slots.append(executor.slots)
        # Large runs fit one node alone, which goes away while it trains, for want of any other.
        from dataclasses import replace
        from mixopt.runs import Scale
        large = [replace(fake_spec(seed), scale=Scale(10_000, 10_000)) for seed in range(2)]
        executor.submit(large[:1], {"sleep": 12.0})
        while not executor._running or not any(w.began for w in executor._running.values()):
            executor.wait(0.5)
        cluster.remove_node(big, allow_graceful=False)
        ended = time.monotonic() + 90
        while time.monotonic() < ended and not any("wait since" in s for s in said):
            executor.wait(0.5)
        cluster.add_node(num_cpus=2, resources={"disk": 1}, **small)
        back = observations(drain(executor, 1, 90))
        executor.close()
        spot = RayExecutor("cache", address=cluster.address, labels={"market": "spot"})
        slots.append(spot.slots)
        spot.close()
        print(json.dumps([slots, [o.ok for o in back], said]))
        cluster.shutdown()
        """,
    )
    slots, back, said = seen
    assert slots == [3, 6, 4]
    assert back == [True]
    assert any("(lost:" in text and "starts again" in text for text in said)
    assert any("wait since" in text and "1 disk" in text for text in said)


def test_each_kind_of_machine_gets_packs_of_its_size(tmp_path: Path) -> None:
    """A trainer that prefers as many runs as its machine says; two kinds of accelerators."""
    (tmp_path / "sized.py").write_text(
        textwrap.dedent(
            """
            import os
            from mixopt.ports import Capabilities
            from mixopt.testing.trainers import FakeTrainer
            class Sized(FakeTrainer):
                capabilities = Capabilities(packs=True)
                def preferred_pack(self, scale, cache):
                    import ray
                    mine = ray.get_runtime_context().get_node_id()
                    (node,) = [n for n in ray.nodes() if n["NodeID"] == mine]
                    return 8 if "accelerator_type:H100" in node["Resources"] else 2
            """
        )
    )
    sizes = on_cluster(
        tmp_path,
        """
        import sys
        sys.path.insert(0, "")
        from dataclasses import replace
        from mixopt.app.running import launch
        from mixopt.execution.sweep import run_sweep
        from mixopt.runs import Scale
        cluster.add_node(num_cpus=1, num_gpus=2, resources={"accelerator_type:H100": 1}, **small)
        cluster.add_node(num_cpus=1, num_gpus=1, resources={"accelerator_type:L4": 1}, **small)
        executor = RayExecutor("cache", address=cluster.address, cpus_per_pack=0, gpus_per_pack=1)
        ask = lambda: executor.pack_size("sized:Sized", ({}, {}), Scale(1000, 10_000))
        sizes, hosts = [], []
        for seed in range(3):
            sizes.append(ask())
            executor.submit([replace(fake_spec(seed), trainer="sized:Sized")], {})
        kinds = sorted(w.kind for w in executor._running.values())
        back = observations(drain(executor, 3))
        print(json.dumps([sorted(sizes), kinds, [o.error for o in back]]))
        executor.close()
        cluster.shutdown()
        """,
    )
    assert sizes == [[2, 8, 8], ["H100", "H100", "L4"], ["", "", ""]]


def test_ranks_on_two_machines_train_what_one_process_trains(tmp_path: Path) -> None:
    """And a rank that cannot go on ends the attempt on both."""
    for name, words in {"birds": "robin heron finch ", "rocks": "basalt gneiss schist "}.items():
        (tmp_path / name).mkdir()
        rng = np.random.default_rng(len(name))
        for i in range(20):
            text = " ".join(rng.choice(words.split(), size=150))
            (tmp_path / name / f"{i}.txt").write_text(text, encoding="utf-8")
    one, two, failed = on_cluster(
        tmp_path,
        """
        from mixopt.runs import RunSpec, Scale
        from mixopt.space import Mixture
        from proxies import LanguageModelTrainer
        folder = Path.cwd()
        config = {"domains": {n: str(folder / n) for n in ("birds", "rocks")}, "vocab": 280,
            "context": 32, "width": 32, "bigrams": 0, "batch": 4, "precision": "float32",
            "validation_fraction": 0.2}
        trainer = LanguageModelTrainer(**config)
        data = trainer.prepare(folder / "cache").data
        spec = RunSpec(Mixture.of({"birds": 0.7, "rocks": 0.3}), Scale(20_000, 4096), 0,
            "proxies:LanguageModelTrainer", config, data)
        (alone,) = trainer.train([spec], folder / "cache")
        for _ in range(2):
            cluster.add_node(num_cpus=1, **small)
        executor = RayExecutor("cache", address=cluster.address, nodes_per_pack=2, timeout=150)
        assert executor.slots == 1
        executor.submit([spec], {"checkpoint_seconds": 1e6})
        (both,) = observations(drain(executor, 1, 160))
        bad = RunSpec(spec.mixture, spec.scale, 0, spec.trainer, {**config, "bigrams": 64}, data)
        executor.submit([bad])
        (refused,) = observations(drain(executor, 1, 60))
        executor.close()
        print(json.dumps([alone.metrics, [both.error, both.metrics, both.info.get("ranks")],
            refused.error]))
        cluster.shutdown()
        """,
    )
    assert two[0] == ""
    assert two[1] == pytest.approx(one, rel=2e-3)
    assert two[2] == 2
    assert "ranks is 2" in failed
