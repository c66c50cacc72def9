"""Slurm: packs as batch jobs of a cluster, over folders on a disk that all of its nodes see."""

from mixopt.execution.slurm.executor import SlurmExecutor

__all__ = ["SlurmExecutor"]
