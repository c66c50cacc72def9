"""What the executor on Ray refuses before Ray is started, and how a spec is sent elsewhere."""

import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from mixopt.app.commands.application import app
from mixopt.app.running import launch
from mixopt.app.spec.spec_file import parse_spec
from mixopt.errors import InputError, MixoptError, SpecError
from mixopt.execution import check_executor
from mixopt.lazy import load

SPEC: dict[str, Any] = {
    "version": 1,
    "name": "mine",
    "trainer": {"use": "mixopt.testing.trainers:FakeTrainer"},
    "scales": [{"params": 1000, "tokens": "10k"}],
    "objective": {"minimize": "loss/web"},
}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"runtime_env": {"pips": ["torch"]}}, "runtime_env has no key 'pips'; Ray knows .*pip"),
        ({"runtime_env": {"env_vars": {"A": 1}}}, "runtime_env: .*env_vars"),
        ({"runtime_env": {"pip": ["a"], "conda": "b"}}, "runtime_env: .*pip.*conda"),
        ({"retries": {"preempted": 3}}, "retries: unknown cause 'preempted'"),
        ({"retries": -1}, "retries is -1"),
        ({"gpus_per_pack": 2.5}, "gpus_per_pack is 2.5; above 1 give whole GPUs"),
        ({"per_scale": [{"params": "1B", "gpu": 1}]}, r"per_scale\[0\] has no setting 'gpu'"),
        ({"silence": 0}, "silence is 0"),
        ({"max_slots": 0}, "max_slots is 0"),
    ],
)
def test_what_breaks_a_rule_is_refused_before_ray_is_started(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_executor("ray", settings)
    with pytest.raises(InputError, match=message):
        load("mixopt.execution.ray:RayExecutor")("cache", **settings)


def test_all_settings_of_the_guide_are_taken() -> None:
    check_executor(
        "ray",
        {
            "memory_per_pack": "2G",
            "labels": {"ray.io/market-type": "spot"},
            "timeout": 600,
            "per_scale": [{"params": "20M", "gpus_per_pack": 1, "timeout": 3600}],
            "retries": {"crash": 2, "lost": 50},
            "max_slots": 64,
            "runtime_env": {"image_uri": "registry.example/mixopt:1"},
        },
    )


def test_a_secret_of_the_environment_is_not_in_the_message() -> None:
    env = {"env_vars": {"MY_TOKEN": "tok_0123456789abcdef", "OTHER": 3}}
    with pytest.raises(InputError) as refused:
        check_executor("ray", {"runtime_env": env})
    assert "tok_0123456789abcdef" not in str(refused.value)


def test_the_address_of_the_dashboard_is_no_address_to_run_at(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="which takes jobs: 'mixopt submit'"):
        load("mixopt.execution.ray:RayExecutor")(tmp_path, address="http://head:8265")


def test_an_address_where_nobody_answers_is_refused_before_data_is_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "spec.yaml"
    file.write_text(yaml.safe_dump(SPEC))
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        done = CliRunner().invoke(app, ["run", str(file), "--address", where])
    assert isinstance(done.exception, MixoptError)
    assert f"no Ray cluster answers at '{where}'" in str(done.exception)
    assert "Preparing" not in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["spec.yaml"]


def test_what_ray_says_of_a_job_is_not_shown_with_its_log() -> None:
    pattern = load("mixopt.execution.ray.jobs:_RAYS_OWN")
    said = (
        "2026-11-27 10:00:00,123\tINFO job_manager.py:581 -- Runtime env is setting up.\n"
        "Preparing the data of mine ...\n2026-11-27 10:00:01,000\tERROR job_manager.py:1 -- no\n"
    )
    assert pattern.sub("", said).splitlines()[0] == "Preparing the data of mine ..."
    assert "ERROR" in pattern.sub("", said)


def test_an_address_of_the_command_line_replaces_that_of_the_spec() -> None:
    spec = parse_spec({**SPEC, "execution": {"address": "old:1", "retries": 3}})
    assert launch.at_address(spec, None) is spec
    moved = launch.at_address(spec, "auto").execution
    assert moved.settings == {"address": "auto", "retries": 3}
    with pytest.raises(SpecError, match="'local' has no setting 'address'"):
        launch.at_address(parse_spec({**SPEC, "execution": {"use": "local"}}), "auto")


def test_a_job_server_that_does_not_answer_is_one_sentence() -> None:
    with pytest.raises(MixoptError, match=r"http://127\.0\.0\.1:1: .*[^.]; start the cluster"):
        load("mixopt.execution.ray.jobs:Jobs")("http://127.0.0.1:1")
