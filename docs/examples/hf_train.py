r"""A Hugging Face Trainer, or TRL's SFTTrainer, as a program that mixopt calls once for every run.

    python hf_train.py --data DATA --mixture mixture.json --tokens 65536 --seed 0 \
        --metrics metrics.jsonl

DATA holds a file of text for every domain, `<domain>.txt`; the last tenth of it is scored. The spec
is beside it (hf_train.yaml). Needs mixopt[finetune]; with --sft also TRL. Model and tokenizer stand
for yours: a small one from scratch and bytes, so that nothing is downloaded.
"""

import argparse
import json
import math
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import (
    ByT5Tokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

CONTEXT, BATCH = 64, 16


class Blocks(Dataset):
    """Sequences of tokens, which are their own labels."""

    def __init__(self, blocks: list[list[int]]) -> None:
        self.blocks = blocks

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, i: int) -> dict[str, list[int]]:
        return {"input_ids": self.blocks[i], "labels": self.blocks[i]}


class Metrics(TrainerCallback):
    """Writes a line for every evaluation: mixopt reads it while the run goes on."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_evaluate(self, args, state, control, metrics, **rest):  # noqa: ARG002
        line = {"tokens": state.global_step * BATCH * CONTEXT}
        for name, value in metrics.items():
            if name.startswith("eval_") and name.endswith("_loss"):
                line[name[len("eval_") : -len("_loss")]] = value
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")


def read_domains(data: Path) -> tuple[dict[str, list], dict[str, Blocks]]:
    """Blocks of every domain to train on and to score."""
    tokenizer, train, scored = ByT5Tokenizer(), {}, {}
    for file in sorted(data.glob("*.txt")):
        ids = tokenizer(file.read_text(encoding="utf-8"), add_special_tokens=False)["input_ids"]
        blocks = [ids[i : i + CONTEXT] for i in range(0, len(ids) - CONTEXT + 1, CONTEXT)]
        cut = len(blocks) - max(1, len(blocks) // 10)
        train[file.stem], scored[file.stem] = blocks[:cut], Blocks(blocks[cut:])
    return train, scored


def draw(train: dict[str, list], shares: dict[str, float], steps: int, seed: int) -> Blocks:
    """What the run trains on: so many sequences of each domain as its share says, shuffled."""
    rng, drawn = np.random.default_rng(seed), []
    for domain, share in shares.items():
        blocks, n = train[domain], round(share * steps * BATCH)
        passes = [rng.permutation(len(blocks)) for _ in range(math.ceil(n / len(blocks)))]
        order = np.concatenate(passes)[:n] if n else []
        drawn += [blocks[i] for i in order]
    return Blocks([drawn[i] for i in rng.permutation(len(drawn))])


def main() -> None:
    """One run: train on the mixture, score every domain."""
    parser = argparse.ArgumentParser()
    for name in ("data", "mixture", "metrics"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("tokens", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--sft", action="store_true")
    given = parser.parse_args()
    set_seed(given.seed)
    train, scored = read_domains(given.data)
    steps = max(1, given.tokens // (BATCH * CONTEXT))
    drawn = draw(train, json.loads(given.mixture.read_text()), steps, given.seed)
    shape = LlamaConfig(
        vocab_size=384,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "output_dir": folder,
            "max_steps": steps,
            "per_device_train_batch_size": BATCH,
            "learning_rate": 3e-3,
            "eval_strategy": "steps",
            "eval_steps": max(1, steps // 2),
            "save_strategy": "no",
            "report_to": [],
            "use_cpu": not torch.cuda.is_available(),
            "bf16": False,
            "disable_tqdm": True,
            "seed": given.seed,
        }
        kind, arguments, more = Trainer, TrainingArguments(**settings), {}
        if given.sft:
            import datasets  # noqa: PLC0415
            from trl import SFTConfig, SFTTrainer  # noqa: PLC0415

            drawn = datasets.Dataset.from_dict({"input_ids": drawn.blocks})
            scored = {
                name: datasets.Dataset.from_dict({"input_ids": one.blocks})
                for name, one in scored.items()
            }
            ready = {"skip_prepare_dataset": True}
            arguments = SFTConfig(**settings, dataset_kwargs=ready, max_length=CONTEXT)
            kind, more = SFTTrainer, {"processing_class": ByT5Tokenizer()}
        trainer = kind(
            model=LlamaForCausalLM(shape),
            args=arguments,
            train_dataset=drawn,
            eval_dataset=scored,
            callbacks=[Metrics(given.metrics)],
            **more,
        )
        trainer.train()
        trainer.evaluate()


if __name__ == "__main__":
    main()
