"""A Slurm cluster of one machine's own processes, for tests and trials: Debian's `slurm-wlm`.

Its daemons run as whoever calls, without munge (`auth/none`), so it must not be reachable: it
listens on ports of the moment, and lasts as long as the block of `slurm_cluster`.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

COMMANDS = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
_CONFIG = """
ClusterName=mixopt
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/none
CredType=cred/none
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SlurmdParameters=config_overrides
SlurmdTimeout=5
ReturnToService=2
KillWait=1
MinJobAge=300
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=ALL MaxTime=1 State=UP
"""


def slurm_is_installed() -> bool:
    """Whether the daemons and commands are here."""
    return all(shutil.which(command, path=_PATH) for command in COMMANDS)


@dataclass
class SlurmCluster:
    """Daemons that can be killed and started again, one by one.

    Attributes:
        folder: of configuration, state and logs.
        nodes: names of the nodes.
        processes: name of a node, or `"slurmctld"`, to its daemon.
    """

    folder: Path
    nodes: tuple[str, ...]
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        """What `$SLURM_CONF` names."""
        return self.folder / "slurm.conf"

    def start(self, name: str) -> None:
        """Start a daemon: of a node, or `"slurmctld"`."""
        words = ["slurmctld", "-D"] if name == "slurmctld" else ["slurmd", "-D", "-N", name]
        executable = shutil.which(words[0], path=_PATH)
        with (self.folder / f"{name}.out").open("ab") as out:
            self.processes[name] = subprocess.Popen(
                [str(executable), *words[1:], "-f", str(self.config)],
                stdout=out,
                stderr=out,
                start_new_session=True,  # Ctrl-C is for the driver alone
            )

    def kill(self, name: str) -> None:
        """Kill a daemon at once."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def ask(self, *words: str) -> str:
        """What a command of Slurm says."""
        done = subprocess.run(
            words,
            env={**os.environ, "SLURM_CONF": str(self.config), "PATH": _PATH},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout

    def wait_until(self, what: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait for something.

        Raises:
            TimeoutError: it did not come; the message has the last lines of the controller.
        """
        deadline = time.monotonic() + seconds
        while not what():
            if time.monotonic() > deadline:
                said = (self.folder / "slurmctld.out").read_text(errors="replace")[-1000:]
                raise TimeoutError(f"nothing after {seconds:.0f} s; slurmctld: {said}")
            time.sleep(0.1)

    def has_saved(self, job: str) -> bool:
        """Whether the controller would still know a job, by its name, if it were killed now.

        It saves its jobs every few seconds. One that it has forgotten runs on, and its number is
        given to another, for which Slurm drains the node ("Duplicate jobid").
        """
        saved = self.folder / "state" / "job_state"
        return saved.is_file() and job.encode() in saved.read_bytes()

    def repair(self) -> None:
        """Start what was killed, and have all nodes take jobs again.

        Raises:
            TimeoutError: they do not within a minute.
        """
        for name in ("slurmctld", *self.nodes):
            if name not in self.processes:
                self.start(name)

        def is_back() -> bool:
            self.ask("scontrol", "update", f"nodename={','.join(self.nodes)}", "state=resume")
            return self.are_idle()

        self.wait_until(is_back)

    def are_idle(self) -> bool:
        """Whether all nodes are up and without jobs."""
        return self.ask("sinfo", "--noheader", "--Node", "--format=%T").split().count(
            "idle"
        ) >= 2 * len(self.nodes)  # one line per partition


@contextmanager
def slurm_cluster(folder: Path, nodes: int = 1, cpus: int = 2) -> Iterator[SlurmCluster]:
    """A cluster of so many nodes; `$SLURM_CONF` names it inside the block.

    Args:
        folder: an empty one, for all that it writes.
        nodes: how many daemons pretend to be one.
        cpus: of each, whatever the machine has.

    Raises:
        TimeoutError: it does not come up within a minute.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state").mkdir()
    names = tuple(f"node{i}" for i in range(nodes))
    user = os.environ.get("USER") or Path.home().owner()
    text = _CONFIG.format(
        host=socket.gethostname(), port=_free_port(), user=user, folder=folder.resolve()
    )
    for name in names:
        # Node lines come before partitions; each daemon has a port of its own.
        line = (
            f"NodeName={name} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 "
            f"Port={_free_port()} CPUs={cpus} RealMemory=8000 State=UNKNOWN\n"
        )
        text = text.replace("PartitionName=main", line + "PartitionName=main")
    cluster = SlurmCluster(folder, names)
    cluster.config.write_text(text, encoding="utf-8")
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(cluster.config)
    try:
        for name in ("slurmctld", *names):
            cluster.start(name)
        cluster.wait_until(cluster.are_idle)
        yield cluster
    finally:
        numbers = cluster.ask("squeue", "--me", "--noheader", "--format=%A").split()
        if numbers:
            cluster.ask("scancel", "--signal=KILL", *numbers)
        for name in reversed(list(cluster.processes)):
            cluster.kill(name)
        os.environ.pop("SLURM_CONF") if before is None else os.environ.update(SLURM_CONF=before)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
