"""The files that start clusters are what Ray, KubeRay and Slurm accept, and agree with the docs."""

import json
import re
import shlex
import subprocess
import sysconfig
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from mixopt.lazy import load

ROOT = Path(__file__).parent.parent
CLUSTER = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text(encoding="utf-8"))
JOB = yaml.safe_load((ROOT / "deploy" / "rayjob.yaml").read_text(encoding="utf-8"))
SLURM = (ROOT / "deploy" / "ray_on_slurm.sh").read_text(encoding="utf-8")

# Fields of KubeRay 1.5 (ray-project.github.io/kuberay/reference/api): object to what it may hold.
RAY_JOB = {
    *("activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionStrategy"),
    *("entrypoint", "entrypointNumCpus", "entrypointNumGpus", "entrypointResources", "jobId"),
    *("managedBy", "metadata", "preRunningDeadlineSeconds", "rayClusterSpec", "runtimeEnvYAML"),
    *("shutdownAfterJobFinishes", "submissionMode", "submitterConfig", "submitterPodTemplate"),
    *("suspend", "ttlSecondsAfterFinished"),
}
RAY_CLUSTER = {
    *("authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions"),
    *("headGroupSpec", "headServiceAnnotations", "managedBy", "rayVersion", "suspend"),
    *("upgradeStrategy", "workerGroupSpecs"),
}
HEAD = {"enableIngress", "headService", "labels", "rayStartParams", "resources", "serviceType"}
WORKER = {
    *("groupName", "idleTimeoutSeconds", "labels", "maxReplicas", "minReplicas", "numOfHosts"),
    *("rayStartParams", "replicas", "resources", "scaleStrategy", "suspend"),
}
AUTOSCALER = {
    *("env", "envFrom", "idleTimeoutSeconds", "image", "imagePullPolicy", "resources"),
    *("securityContext", "upscalingMode", "version", "volumeMounts"),
}
MODES = {"K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode"}


def test_the_cluster_file_satisfies_rays_own_schema() -> None:
    ray = find_spec("ray")
    if ray is None or ray.origin is None:
        pytest.skip("Ray comes with the extra 'ray'")
    schema = Path(ray.origin).parent / "autoscaler" / "ray-schema.json"
    jsonschema.validate(CLUSTER, json.loads(schema.read_text(encoding="utf-8")))


def test_its_parts_agree() -> None:
    types = CLUSTER["available_node_types"]
    assert CLUSTER["head_node_type"] in types
    workers = [kind for name, kind in types.items() if name != CLUSTER["head_node_type"]]
    assert sum(kind["max_workers"] for kind in workers) == CLUSTER["max_workers"]
    assert any("constraints.txt" in command for command in CLUSTER["setup_commands"])
    spot = {
        kind["node_config"].get("InstanceMarketOptions", {}).get("MarketType") for kind in workers
    }
    assert spot == {kind["labels"]["ray.io/market-type"] for kind in workers} == {"spot"}
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert "RAY_AUTH_MODE=token" in CLUSTER[commands][-1]
    assert "--dashboard-host=127.0.0.1" in CLUSTER["head_start_ray_commands"][-1]


@pytest.mark.parametrize("command", ["head_start_ray_commands", "worker_start_ray_commands"])
def test_ray_start_knows_the_options(command: str) -> None:
    *_, start = CLUSTER[command][-1].partition("ray start")
    assert {word.partition("=")[0] for word in shlex.split(start)} <= options_of("scripts")


def options_of(script: str) -> set[str]:
    """Every option in a module of Ray's commands; importing them takes seconds."""
    ray = find_spec("ray")
    assert ray is not None
    assert ray.origin is not None
    text = (Path(ray.origin).parent / "scripts" / f"{script}.py").read_text(encoding="utf-8")
    return set(re.findall(r'"(--[a-z][a-z-]*)"', text))


def pods() -> list[tuple[str, Any]]:
    cluster = JOB["spec"]["rayClusterSpec"]
    workers = [(w["groupName"], w["template"]["spec"]) for w in cluster["workerGroupSpecs"]]
    return [("head", cluster["headGroupSpec"]["template"]["spec"]), *workers]


def test_the_job_of_kuberay_has_fields_that_it_knows() -> None:
    spec, cluster = JOB["spec"], JOB["spec"]["rayClusterSpec"]
    assert (JOB["apiVersion"], JOB["kind"]) == ("ray.io/v1", "RayJob")
    assert len(JOB["metadata"]["name"]) <= 47  # KubeRay refuses longer ones
    assert set(spec) <= RAY_JOB
    assert set(cluster) <= RAY_CLUSTER
    assert set(cluster["headGroupSpec"]) <= HEAD | {"template"}
    assert all(set(w) <= WORKER | {"template"} for w in cluster["workerGroupSpecs"])
    assert set(cluster["autoscalerOptions"]) <= AUTOSCALER
    assert spec["submissionMode"] in MODES
    assert cluster["authOptions"] == {"mode": "token"}
    assert all(
        w["minReplicas"] <= w["replicas"] <= w["maxReplicas"] for w in cluster["workerGroupSpecs"]
    )
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert all(isinstance(v, str) for g in groups for v in g["rayStartParams"].values())


def test_what_lasts_is_on_the_shared_claim() -> None:
    words = shlex.split(JOB["spec"]["entrypoint"].partition("exec ")[2])
    assert words[words.index("--out") + 1].startswith("/shared/")
    environment = yaml.safe_load(JOB["spec"]["runtimeEnvYAML"])
    load("ray.runtime_env:RuntimeEnv")(**environment)
    assert environment["env_vars"]["MIXOPT_RUNS"] == "/shared/runs"
    for _, pod in pods():
        (container,) = pod["containers"]
        assert container["resources"]["limits"] == container["resources"]["requests"]
        assert [m["mountPath"] for m in container["volumeMounts"]] == ["/shared"]
        assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "mixopt-shared"}


def test_the_slurm_script_is_bash_and_starts_ray_as_ray_takes_it() -> None:
    subprocess.run(["bash", "-n"], input=SLURM, text=True, check=True)
    *_, run = SLURM.partition("ray symmetric-run ")
    own, _, command = run.partition(" -- ")
    options = set(re.findall(r"--[a-z-]+", own))
    assert options <= options_of("symmetric_run") | options_of("scripts")
    assert {"--address", "--min-nodes"} <= options & options_of("symmetric_run")
    assert not options & {"--include-dashboard", "--port"}  # which workers refuse
    assert command.startswith('python -m mixopt run "$spec" --out "$out" --address')


def test_the_slurm_script_starts_the_sweep_on_the_nodes_of_its_job(tmp_path: Path) -> None:
    """With stand-ins for Slurm's and Ray's commands, which write down how they are called."""
    stands_in = {
        "scontrol": "printf 'n07\\nn08\\n'",
        "srun": 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
        "ray": 'printf "%s\\n" "$RAY_AUTH_MODE" ${#RAY_AUTH_TOKEN} "${RAY_ADDRESS-none}" "$@"',
    }
    for name, body in stands_in.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    env = {
        **{"PATH": f"{tmp_path}:/usr/bin:/bin", "RAY_ADDRESS": "other:1"},
        **{"SLURM_JOB_ID": "41007", "SLURM_JOB_NODELIST": "n[07-08]"},
        **{"SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_ON_NODE": "64", "SLURM_GPUS_ON_NODE": "4"},
    }
    command = ["bash", str(ROOT / "deploy/ray_on_slurm.sh"), "my spec.yaml", "/shared/$x"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=120)
    mode, length, address, *words = done.stdout.splitlines()
    assert (mode, length, address) == ("token", "64", "none")
    assert words == [
        *("symmetric-run", "--address", "n07:21007", "--min-nodes", "2"),
        *("--num-cpus=64", "--num-gpus=4", "--", "python", "-m", "mixopt", "run"),
        *("my spec.yaml", "--out", "/shared/$x", "--address", "n07:21007"),
    ]
    short = subprocess.run(command[:3], env=env, capture_output=True, text=True, check=False)
    assert short.returncode != 0
    assert "give the folder of the sweep" in short.stderr


IMAGES = {"cpu": "Dockerfile", "cuda": "Dockerfile.cuda"}


def instructions(tag: str) -> list[tuple[str, str]]:
    """Instruction and argument, lines that go on joined."""
    text = (ROOT / "deploy" / IMAGES[tag]).read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [
        (word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line)
    ]


@pytest.mark.parametrize("tag", IMAGES)
def test_images_are_linted(tag: str) -> None:
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    if not hadolint.is_file():
        pytest.skip("hadolint comes with the extra 'dev'")
    subprocess.run([hadolint, ROOT / "deploy" / IMAGES[tag]], check=True, timeout=120)


@pytest.mark.parametrize("tag", IMAGES)
def test_images_copy_and_install_what_there_is(tag: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    copied = set()
    for word, rest in instructions(tag):
        if word == "COPY" and not rest.startswith("--from"):
            *sources, _ = rest.split()
            copied |= set(sources)
    assert [s for s in copied if not (ROOT / s).exists()] == []
    assert {f"!{source.partition('/')[0]}" for source in copied} <= set(allowed)
    assert {*project["license-files"], project["readme"], "constraints.txt"} <= copied
    runs = " ".join(rest for word, rest in instructions(tag) if word == "RUN")
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", runs)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])


def test_images_of_a_cluster_have_one_python_one_ray_and_no_root() -> None:
    bases = {
        rest.split()[0] for tag in IMAGES for word, rest in instructions(tag) if word == "FROM"
    }
    (base,) = bases
    python = re.search(r"python:(3\.\d+)", base)
    assert python is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"Programming Language :: Python :: {python[1]}" in project["classifiers"]
    ray = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert ray is not None
    assert JOB["spec"]["rayClusterSpec"]["rayVersion"] == ray[1]
    for tag in IMAGES:
        assert ("USER", "1000") in instructions(tag)
        assert dict(instructions(tag))["CMD"] == '["mixopt", "--help"]'


def test_every_pod_takes_the_image_that_suits_it() -> None:
    for name, pod in pods():
        (container,) = pod["containers"]
        tag = "cuda" if "nvidia.com/gpu" in container["resources"]["limits"] else "cpu"
        assert container["image"] == f"registry.example/mixopt:{tag}", name


def test_the_cluster_of_images_satisfies_rays_own_schema() -> None:
    ray = find_spec("ray")
    if ray is None or ray.origin is None:
        pytest.skip("Ray comes with the extra 'ray'")
    page = (ROOT / "docs" / "guide" / "clusters.md").read_text(encoding="utf-8")
    (block,) = [b for b in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "docker:" in b]
    schema = Path(ray.origin).parent / "autoscaler" / "ray-schema.json"
    types = json.loads(json.dumps(CLUSTER["available_node_types"]))
    types["gpu"]["docker"] = {"worker_image": "registry.example/mixopt:cuda"}
    whole = {**CLUSTER, **yaml.safe_load(block), "available_node_types": types}
    jsonschema.validate(whole, json.loads(schema.read_text(encoding="utf-8")))
