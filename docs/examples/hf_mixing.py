"""A mixer inside a Hugging Face Trainer: a data set that draws by it, and a callback that tells it.

    python docs/examples/hf_mixing.py

Needs mixopt[finetune]. What is drawn when is decided by the mixer; what was trained is counted
where the loss is computed, since data loaders read ahead.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import IterableDataset
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from mixopt.mixers import Measured, Session, Setup, mixer
from mixopt.space import MixtureSpace


class Mixing:
    """The session of a run, and what was trained since the last report."""

    def __init__(self, session: Session) -> None:
        self.session = session
        m = session.setup.space.dim
        self.tokens, self.losses = np.zeros(m), np.zeros(m)

    @property
    def sampling(self) -> tuple[float, ...]:
        """What to draw by now."""
        segment = self.session.segment
        return self.session.state.sampling if segment is None else segment.sampling

    def count(self, domains: Sequence[int], losses: Sequence[float], tokens: int) -> None:
        """Note sequences of so many tokens that were trained, with their mean losses."""
        np.add.at(self.tokens, domains, tokens)
        np.add.at(self.losses, domains, np.array(losses) * tokens)

    def after_step(self, step: int) -> None:
        """Report when the segment is over."""
        segment = self.session.segment
        if segment is None or step < self.session.step + segment.steps:
            return
        with np.errstate(invalid="ignore"):
            values = {"train_loss": self.losses / self.tokens} if segment.measure else {}
        self.session = self.session.after(Measured(step, tuple(self.tokens.tolist()), values))
        self.tokens, self.losses = np.zeros_like(self.tokens), np.zeros_like(self.losses)


class Stream(IterableDataset):
    """Sequences of the domains, drawn by the mixer."""

    def __init__(self, mixing: Mixing, domains: Mapping[str, Sequence[int]], context: int) -> None:
        self.mixing, self.domains, self.context = mixing, list(domains.values()), context

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        rng = np.random.default_rng(0)
        while True:
            i = int(rng.choice(len(self.domains), p=self.mixing.sampling))
            start = int(rng.integers(len(self.domains[i]) - self.context))
            ids = torch.tensor(self.domains[i][start : start + self.context])
            yield {"input_ids": ids, "labels": ids, "domain": torch.tensor(i)}


class MixingTrainer(Trainer):
    """Counts tokens and losses by domain."""

    def __init__(self, mixing: Mixing, **rest: object) -> None:
        super().__init__(**rest)
        self.mixing = mixing

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):  # noqa: ARG002
        domains, ids = inputs.pop("domain"), inputs["input_ids"]
        logits = model(input_ids=ids).logits[:, :-1]
        each = cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none").mean(dim=1)
        self.mixing.count(domains.tolist(), each.tolist(), ids.shape[1] - 1)
        return (each.mean(), logits) if return_outputs else each.mean()


class MixingCallback(TrainerCallback):
    """Tells the mixer when a step is done. Save `session.to_dict()` beside your checkpoints."""

    def __init__(self, mixing: Mixing) -> None:
        self.mixing = mixing

    def on_step_end(self, args, state, control, **rest):  # noqa: ARG002
        self.mixing.after_step(state.global_step)


def main(steps: int = 60, batch: int = 8, context: int = 16) -> Session:
    """Train a tiny model; returns the session at its end."""
    rng = np.random.default_rng(1)
    domains = {"easy": [1, 2, 3, 4] * 500, "hard": rng.integers(5, 64, size=2000).tolist()}
    space = MixtureSpace(list(domains))
    tokens = steps * batch * (context - 1)
    setup = Setup(space, (0.5, 0.5), tuple(domains), (0.5, 0.5), tokens, steps)
    mixing = Mixing(Session.begin(mixer("odm", every=5), setup))
    shape = GPT2Config(vocab_size=64, n_positions=context, n_embd=32, n_layer=1, n_head=2)
    with tempfile.TemporaryDirectory() as folder:
        trainer = MixingTrainer(
            mixing,
            model=GPT2LMHeadModel(shape),
            args=TrainingArguments(
                folder,
                max_steps=steps,
                per_device_train_batch_size=batch,
                learning_rate=3e-3,
                remove_unused_columns=False,
                report_to=[],
                save_strategy="no",
                use_cpu=True,
            ),
            train_dataset=Stream(mixing, domains, context),
            callbacks=[MixingCallback(mixing)],
        )
        trainer.train()
    return mixing.session


if __name__ == "__main__":
    state = main().state
    print(dict(zip(state.domains, state.weights, strict=True)), "after", state.step, "steps")
