"""`CommandTrainer`: any external trainer, one process per run."""

from proxies.command.trainer import CommandTrainer

__all__ = ["CommandTrainer"]
