"""The installed Ray accepts the cluster and job files."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from restorekit.config import load_params

ROOT = Path(__file__).parents[2]
FILES = ROOT / "pipelines" / "cluster"


def read(name: str) -> Any:
    return yaml.safe_load((FILES / name).read_text())


def ray_start(arguments: list[str]) -> dict[str, Any]:
    """The parsed arguments of `ray start`; an unknown argument raises."""
    from ray.scripts.scripts import start

    return start.make_context("start", arguments).params


def kuberay_clusters() -> dict[str, Any]:
    return {
        "kuberay-cluster.yaml": read("kuberay-cluster.yaml")["spec"],
        "kuberay-train.yaml": read("kuberay-train.yaml")["spec"]["rayClusterSpec"],
    }


def test_ray_up_accepts_the_virtual_machines() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(read("vms.yaml"))
    validate_config(config)
    nodes = config["available_node_types"]
    assert (nodes["gpu"]["resources"]["GPU"], nodes["gpu8"]["resources"]["GPU"]) == (1, 8)
    assert nodes["gpu"]["max_workers"] + nodes["gpu8"]["max_workers"] == config["max_workers"]
    for role in ("head", "worker"):
        command = shlex.split(config[f"{role}_start_ray_commands"][-1])
        assert command[:2] == ["ray", "start"]
        assert ray_start(command[2:])["head"] == (role == "head")


@pytest.mark.parametrize("name", ["kuberay-cluster.yaml", "kuberay-train.yaml"])
def test_a_cluster_in_kubernetes_meets_the_operators_requirements(name: str) -> None:
    import ray

    spec = kuberay_clusters()[name]
    assert spec["rayVersion"] == ray.__version__
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert container["image"] == read("vms.yaml")["docker"]["image"]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        volumes = {volume["name"] for volume in group["template"]["spec"].get("volumes", ())}
        assert {mount["name"] for mount in container.get("volumeMounts", ())} == volumes
        ray_start([f"--{option}={value}" for option, value in group["rayStartParams"].items()])
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    assert {port["name"] for port in groups[0]["template"]["spec"]["containers"][0]["ports"]} == {
        "gcs-server", "dashboard", "client",
    }  # fmt: skip
    for worker in spec["workerGroupSpecs"]:
        assert worker["minReplicas"] <= worker["replicas"] <= worker["maxReplicas"]
    limits = [one["template"]["spec"]["containers"][0]["resources"]["limits"] for one in spec["workerGroupSpecs"]]
    assert [one["nvidia.com/gpu"] for one in limits] == ["1", "8"]


def test_the_job_and_the_permanent_cluster_have_the_same_nodes() -> None:
    one, other = kuberay_clusters().values()
    assert one == other


def test_jobs_name_existing_stages_and_runs() -> None:
    from ray.runtime_env import RuntimeEnv

    job = read("kuberay-train.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    python, dash_m, module, option, run = shlex.split(job["spec"]["entrypoint"])
    assert (python, dash_m, option) == ("python", "-m", "--run")
    assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
    assert run in load_params(ROOT / "params.yaml").runs
    environments = [read("job.yaml"), yaml.safe_load(job["spec"]["runtimeEnvYAML"])]
    for environment in environments:
        RuntimeEnv(env_vars=environment["env_vars"])
        assert environment["env_vars"].keys() == {"RESTOREKIT_ROOT", "MLFLOW_TRACKING_URI"}


def test_ray_knows_the_options_of_submit() -> None:
    from ray.dashboard.modules.job.cli import submit

    text = (FILES / "submit.sh").read_text()
    last = text.splitlines()[-1].replace('"$@"', "--run dmgn-reflection").replace("$environment", "job.yaml")
    command = shlex.split(last)
    assert command[:4] == ["exec", "ray", "job", "submit"]
    parsed = submit.make_context("submit", command[4:]).params
    assert (parsed["working_dir"], parsed["runtime_env"]) == (".", "job.yaml")
    assert parsed["entrypoint"][:2] == ("python", "-m")
    stages = [line.split()[2] for line in text.splitlines() if line.startswith("#   ")]
    assert stages == ["synthesize", "train", "evaluate"]
    assert all((ROOT / "pipelines" / f"{stage}.py").is_file() for stage in stages)
