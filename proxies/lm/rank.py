"""What torchrun starts on every rank: `python -m proxies.lm.rank FOLDER` (see `distributed`)."""

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

# Before there is a process group: its functions take the group of the moment as their default and
# would keep it alive, with the threads that wait for the interpreter, beyond its destruction.
import torch.distributed.nn

from mixopt.runs import Point, RunSpec
from mixopt.runs.files import write_atomically
from proxies.lm.distributed import ANSWER, JOB, PROGRESS
from proxies.lm.ranks import Ranks
from proxies.lm.trainer import LanguageModelTrainer


def main(folder: Path) -> None:
    """Train this rank's share of the job in a folder; the first rank writes the answer."""
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    specs = [RunSpec.from_dict(values) for values in job["specs"]]
    trainer = LanguageModelTrainer(**job["config"])
    on_gpu = trainer.device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo")
    ranks = Ranks(dist.get_rank(), dist.get_world_size())

    def report(spec: RunSpec, point: Point) -> None:
        line = {
            "run_id": spec.run_id,
            "point": {"tokens": point.tokens, "metrics": dict(point.metrics)},
        }
        with (folder / PROGRESS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    observations = trainer.train_here(specs, Path(job["cache"]), report, ranks)
    if ranks.first:
        text = json.dumps([seen.to_dict() for seen in observations])
        write_atomically(folder / ANSWER, text.encode())
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
