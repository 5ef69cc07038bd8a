"""Trains on two nodes, kills one within an epoch, lets another join, and checks that each sample is read exactly once.

python -m pipelines.cluster.two_nodes --run dmgn-reflection --steps 30

Needs root and `ip` (iproute2). Network namespaces on a bridge stand for machines: `head` with the driver, and two nodes
with their own addresses and one worker each. After at most a third of the steps the second node is killed with all its
processes and its network, and then a new one joins. The state has its own temporary folder; the run is not touched.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL

from pipelines.train import make_job
from restorekit.cluster import ray_cluster
from restorekit.config import TrainConfig, load_params
from restorekit.distributed.ray_train import fit
from restorekit.distributed.trace import read_trace, samples_of_epochs
from restorekit.entry import run_entry
from restorekit.errors import RestorekitError
from restorekit.paths import working_root
from restorekit.shards.mixture import MixedReader
from restorekit.shards.plan import begin_epoch
from restorekit.training.job import Job

PORT = 6379
PATIENCE_S = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, help="a key of `runs` in params.yaml whose shards exist")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--elastic", action="store_true", help="go on with the remaining node until another joins")
    parser.add_argument("--driver", type=Path, help=argparse.SUPPRESS)  # the state, for its own driver
    options = parser.parse_args()
    if options.driver is None:
        with tempfile.TemporaryDirectory(prefix="two-nodes-") as folder:
            lose_a_node(options.run, options.steps, options.elastic, Path(folder) / "state")
    else:
        with ray_cluster():
            fit(trial_job(options.run, options.steps, options.elastic, options.driver))


def trial_job(run: str, steps: int, elastic: bool, state: Path) -> Job:
    """The job of a run with two workers, few steps and a trace."""
    params = load_params(Path("params.yaml"))
    job, _ = make_job(run, params, working_root().with_areas(params.areas))
    changed = {
        "steps": steps, "num_workers": (1, 2) if elastic else 2, "resize_every_s": 5.0, "trace": True,
        "threads_per_worker": 1, "loader_workers": 0, "checkpoint_every": 2, "log_every": 1, "warmup_steps": 0,
    }  # fmt: skip
    return replace(job, config=TrainConfig.model_validate(job.config.model_dump() | changed), state=state)


def lose_a_node(run: str, steps: int, elastic: bool, state: Path) -> None:
    """Starts the nodes and the driver, kills a node, lets another join, and checks the trace."""
    job = trial_job(run, steps, elastic, state)
    with ExitStack() as held:
        network = held.enter_context(bridge())
        head, first, second = (held.enter_context(network.machine(name)) for name in ("head", "first", "second"))
        head.start_ray("--head", "--port", str(PORT), "--num-cpus", "0", "--include-dashboard", "false")
        for node in (first, second):
            node.start_ray("--address", f"{head.address}:{PORT}", "--num-cpus", "1")
        arguments = ["--run", run, "--steps", str(steps), "--driver", str(state), *(["--elastic"] if elastic else [])]
        driver = head.run(
            [sys.executable, "-m", "pipelines.cluster.two_nodes", *arguments],
            RAY_ADDRESS=f"{head.address}:{PORT}",
        )
        reached = wait_for_step(state, middle_of_an_epoch(job), driver)
        print(f"step {reached}: {second.name} ({second.address}) is killed", flush=True)
        second.kill()
        if elastic:
            print(f"step {wait_for_step(state, reached + 3, driver)}: {first.name} goes on alone", flush=True)
        third = held.enter_context(network.machine("third"))
        third.start_ray("--address", f"{head.address}:{PORT}", "--num-cpus", "1")
        if driver.wait() != 0:
            raise RestorekitError(f"the training ended with status {driver.returncode}")
    check_trace(job)


def middle_of_an_epoch(job: Job) -> int:
    """A step inside an epoch, within the first third of the steps."""
    config = job.config
    known = MixedReader(job.train_shards, job.seed).num_samples
    epoch = begin_epoch(0, known, config.global_batch)
    return min(epoch.num_steps // 2, config.steps // 3)


def wait_for_step(state: Path, step: int, driver: "subprocess.Popen[bytes]") -> int:
    """The newest step of the trace, once it is `step` or later; raises RestorekitError where the driver ends first."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_S and driver.poll() is None:
        made = [one.step for one in read_trace(state)] if any(state.glob("trace/*")) else []
        if made and max(made) >= step:
            return max(made)
        time.sleep(0.1)
    raise RestorekitError(f"the training did not reach step {step} within {PATIENCE_S:.0f} s")


def check_trace(job: Job) -> None:
    """Prints the trace; raises RestorekitError unless each whole epoch had each sample once."""
    steps = read_trace(job.state)
    print("went on from  steps        epoch  ranks on nodes")
    for start in sorted({one.start for one in steps}):
        for epoch in sorted({one.epoch for one in steps if one.start == start}):
            made = [one for one in steps if (one.start, one.epoch) == (start, epoch)]
            nodes = ", ".join(f"{rank} on {node}" for rank, node in sorted({(one.rank, one.node) for one in made}))
            vain = sum(not one.counts for one in made if one.rank == 0)
            first, last = made[0].step, max(one.step for one in made)
            print(f"{start:12d}  {first:4d} to {last:4d}  {epoch:5d}  {nodes}" + f" ({vain} in vain)" * bool(vain))
    known = MixedReader(job.train_shards, job.seed).num_samples
    for epoch, seen in samples_of_epochs(steps).items():
        print(f"epoch {epoch}: {len(seen)} of {known} samples, {sum(seen.values())} times in all")
        whole = epoch < max(one.epoch for one in steps)
        if max(Counter(seen).values()) > 1 or (whole and len(seen) != known):
            raise RestorekitError(f"epoch {epoch} did not have every sample once")


class Machine:
    """A network namespace with an address on the bridge, and the processes in it."""

    def __init__(self, name: str, namespace: str, address: str) -> None:
        self.name, self.namespace, self.address = name, namespace, address

    def run(self, command: list[str], **environment: str) -> "subprocess.Popen[bytes]":
        """Starts a command in this namespace; the end of the namespace ends it."""
        return subprocess.Popen(self._command(command), env=self._environment() | environment)

    def start_ray(self, *arguments: str) -> None:
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--node-ip-address", self.address]
        small = ["--object-store-memory", str(100 * 2**20), "--disable-usage-stats"]
        start = self._command([*ray, *small, *arguments])
        done = subprocess.run(start, env=self._environment(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RestorekitError(f"Ray did not start in {self.namespace}: {done.stderr.strip()}")
        print(f"{self.name} ({self.address}) is up", flush=True)

    def _command(self, command: list[str]) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *command]

    def _environment(self) -> dict[str, str]:
        # Without a name Gloo binds the loopback address.
        return {**os.environ, "GLOO_SOCKET_IFNAME": "eth0", "RAY_AUTH_MODE": "disabled"}

    def kill(self) -> None:
        """Kills every process in the namespace and cuts its network."""
        listed = subprocess.run(["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=False)
        for number in listed.stdout.split():
            try:
                os.kill(int(number), SIGKILL)
            except ProcessLookupError:
                continue
        subprocess.run(["ip", "netns", "exec", self.namespace, "ip", "link", "set", "eth0", "down"], check=False)


class Network:
    """A bridge and the machines on it."""

    def __init__(self, number: int) -> None:
        self.link, self._prefix, self._machines = f"rk{number}", f"10.77.{number}", 0

    @contextmanager
    def machine(self, name: str) -> Iterator[Machine]:
        """A new machine; the end of the context kills its processes and removes it."""
        self._machines += 1
        made = Machine(name, f"{self.link}-{name}", f"{self._prefix}.{10 + self._machines}")
        plug = f"{self.link}p{self._machines}"
        ip("netns", "add", made.namespace)
        try:
            ip("link", "add", plug, "type", "veth", "peer", "name", "eth0", "netns", made.namespace)
            ip("link", "set", plug, "master", self.link, "up")
            within = ("netns", "exec", made.namespace, "ip")
            ip(*within, "address", "add", f"{made.address}/24", "dev", "eth0")
            ip(*within, "link", "set", "eth0", "up")
            ip(*within, "link", "set", "lo", "up")
            yield made
        finally:
            made.kill()
            ip("netns", "delete", made.namespace)


@contextmanager
def bridge() -> Iterator[Network]:
    """A bridge for this process alone."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        raise RestorekitError("network namespaces need root and the program `ip`: apt-get install iproute2")
    network = Network(os.getpid() % 250)
    ip("link", "add", network.link, "type", "bridge")
    try:
        ip("link", "set", network.link, "up")
        yield network
    finally:
        ip("link", "delete", network.link)


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RestorekitError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


if __name__ == "__main__":
    run_entry(main)
