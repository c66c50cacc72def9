"""Ray: packs on a cluster, and sweeps as jobs of one."""

from mixopt.execution.ray.executor import RayExecutor

__all__ = ["RayExecutor"]
