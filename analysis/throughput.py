"""How fast are proxies trained, packed, one at a time, and by a plain trainer?

    python -m analysis.throughput --json out.json
    python -m analysis.throughput --sizes 164k,1M,5M --packs 1,4,8 --rounds 7 --device cuda

Modes: `plain` is stock PyTorch in float32, one run per process (`analysis.plain`); `single` is the
trainer with one run, `packed` with several. All modes train the same network on the same batches,
in turns within one process, so that a noisy machine is noisy for all: the ratio to `plain` is the
median over rounds of the ratio within a round, given with its quartiles.

Records: `{device, params, mode, pack, tokens_per_second, runs_per_hour, flops_utilisation}`, and
beside them `ratio`, `ratio_low`, `ratio_high` (to plain, by tokens per second), `precision`, `loss`
(nats after the last round; the same number of steps on the same batches for every mode).
`runs_per_hour` is of runs of `--tokens`, their scores included; `flops_utilisation` is 6 N tokens/s
against the largest matrix product measured here in bfloat16 (1024 x 1024 on a CPU, 8192 x 8192 on
a GPU). Batches are those in which a run of so many tokens trains most; `compiled` says whether the
trainer compiled its blocks, as it does where the steps of that size are enough (what that takes is
not counted).

Time on a CPU is that of the one thread that works, so that waiting for other processes does not
count; on a GPU it is the clock's, over several steps.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from analysis.plain import PlainTrainer
from mixopt.runs import Scale, short_number
from proxies.lm.evaluate import nats
from proxies.lm.model import PackedModel
from proxies.lm.optimizer import Optimizers
from proxies.lm.packing import pack_size
from proxies.lm.recipe import LanguageModelConfig, Recipe, derive
from proxies.lm.setting import one_thread
from proxies.lm.steps import TrainingStep

VOCAB = 1024
SCORED = 3  # scores of a run: two points of its curve and the last
VALIDATION = 8 * 4096  # tokens of one score, as in the quickstart
GPU_STEPS = 12
GPU_WARM_UP = 24  # steps: they are recorded, timed, perhaps compiled and recorded again
Step = Callable[[int, Tensor], Tensor]


@dataclass
class Mode:
    """One way to train, and what was measured of it.

    Attributes:
        name: packed, single or plain.
        pack: runs trained at once.
        precision: of the matrix products.
        step: trains all runs on ids (K, B, T + 1) and gives the mean loss.
        score: scores all runs on ids (s, T + 1).
        compiled: whether the blocks are.
        tokens_per_second: one value per round.
        score_seconds: of one run, one value per round.
        loss: the last.
    """

    name: str
    pack: int
    precision: str
    step: Step
    score: Callable[[Tensor], None]
    compiled: Callable[[], bool] = lambda: False
    tokens_per_second: list[float] = field(default_factory=list)
    score_seconds: list[float] = field(default_factory=list)
    loss: float = 0.0


def clock(device: torch.device) -> float:
    """Seconds: of this thread on a CPU, of the clock once a GPU has finished."""
    if device.type == "cpu":
        return time.thread_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def matmul_peak(device: torch.device) -> float:
    """FLOP/s of a large bfloat16 matrix product."""
    size = 1024 if device.type == "cpu" else 8192
    a = torch.randn(size, size, device=device).bfloat16()
    best = float("inf")
    for _ in range(8):
        start = clock(device)
        a @ a
        best = min(best, clock(device) - start)
    return 2.0 * size**3 / best


def packed(recipe: Recipe, size: int, device: torch.device, dtype: torch.dtype) -> Mode:
    """The trainer's own way."""
    model = PackedModel(recipe.shape, [0] * size, device, dtype)
    learn = TrainingStep(model, Optimizers(model, recipe))

    def step(number: int, ids: Tensor) -> Tensor:
        return learn(number, ids.expand(size, *ids.shape[1:])).mean()

    def score(ids: Tensor) -> None:
        nats(model, ids).cpu()

    name = "single" if size == 1 else "packed"
    precision = str(dtype).removeprefix("torch.")
    return Mode(name, size, precision, step, score, compiled=lambda: model.compiled)


def plain(recipe: Recipe, device: torch.device) -> Mode:
    """Stock PyTorch."""
    trainer = PlainTrainer(recipe, device)

    def step(number: int, ids: Tensor) -> Tensor:
        return trainer.step(number, ids[0])

    @torch.no_grad()
    def score(ids: Tensor) -> None:
        for part in torch.split(ids, 32):
            trainer.loss(part).item()

    return Mode("plain", 1, "float32", step, score)


def measure(recipe: Recipe, modes: Sequence[Mode], device: torch.device, rounds: int) -> None:
    """Train and score in turns; fills in the modes."""
    generator = torch.Generator().manual_seed(0)
    context, batch = recipe.shape.context, main_batch(recipe)
    weights = 1 / torch.arange(1, VOCAB + 1)  # Zipf: a batch has as many distinct tokens as text

    def draw(sequences: int) -> Tensor:
        count = sequences * (context + 1)
        drawn = torch.multinomial(weights, count, replacement=True, generator=generator)
        return drawn.view(sequences, context + 1).to(device)

    validation, number = draw(VALIDATION // context), 0
    for turn in range(rounds + 1):
        steps = steps_of_round(turn, device)
        batches = [draw(batch)[None] for _ in range(steps)]
        order = list(modes)[turn % len(modes) :] + list(modes)[: turn % len(modes)]
        for mode in order:
            start = clock(device)
            for step, ids in enumerate(batches, start=number):
                loss = mode.step(step, ids)
            mode.loss = float(loss)
            middle = clock(device)
            if turn:  # the first round warms up
                tokens = steps * mode.pack * batch * context
                mode.tokens_per_second.append(tokens / (middle - start))
            if turn in {1, 1 + rounds // 2}:
                middle = clock(device)
                mode.score(validation)
                mode.score_seconds.append((clock(device) - middle) / mode.pack)
        number += steps


def steps_of_round(turn: int, device: torch.device) -> int:
    """So many are trained and timed together; round 0 warms up."""
    if device.type == "cpu":
        return 1
    return GPU_STEPS if turn else GPU_WARM_UP


def main_stage(recipe: Recipe) -> tuple[int, int]:
    """(steps, sequences per step) of the batch in which most tokens are trained."""
    return max(recipe.stages, key=lambda stage: stage[0] * stage[1])


def main_batch(recipe: Recipe) -> int:
    """Sequences of those steps."""
    return main_stage(recipe)[1]


def steady(recipe: Recipe, rounds: int, device: torch.device) -> Recipe:
    """The recipe with its main stage alone, long enough to be measured."""
    measured = sum(steps_of_round(turn, device) for turn in range(rounds + 1))
    steps, batch = main_stage(recipe)
    return replace(recipe, stages=((max(steps, measured), batch),))


def records(
    recipe: Recipe, modes: Sequence[Mode], device: torch.device, tokens: int, peak: float
) -> list[dict[str, Any]]:
    """One record per mode; see the module."""
    base = np.array(next(m for m in modes if m.name == "plain").tokens_per_second)
    rows = []
    for mode in modes:
        speed = float(np.median(mode.tokens_per_second))
        low, ratio, high = np.percentile(np.array(mode.tokens_per_second) / base, [25, 50, 75])
        seconds = tokens / speed + SCORED * min(mode.score_seconds)
        rows.append(
            {
                "device": _name(device),
                "params": recipe.shape.params,
                "mode": mode.name,
                "pack": mode.pack,
                "tokens_per_second": speed,
                "runs_per_hour": 3600 / seconds,
                "flops_utilisation": 6 * recipe.shape.params * speed / peak,
                "ratio": float(ratio),
                "ratio_low": float(low),
                "ratio_high": float(high),
                "precision": mode.precision,
                "compiled": mode.compiled(),
                "loss": mode.loss,
                "tokens": tokens,
                "batch_tokens": main_batch(recipe) * recipe.shape.context,
            }
        )
    return rows


def _name(device: torch.device) -> str:
    return "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)


def run(
    sizes: Sequence[int],
    packs: Sequence[int],
    rounds: int,
    device: torch.device,
    tokens: Callable[[int], int],
) -> list[dict[str, Any]]:
    """Measure every size; prints a table as it goes."""
    peak = matmul_peak(device)
    print(f"{_name(device)}: bfloat16 matrix products {peak / 1e9:.0f} GFLOP/s, one thread")
    print(f"{'params':>8} {'mode':>7} {'pack':>4} {'tokens/s':>9} {'runs/h':>8} {'util':>6}  ratio")
    rows = []
    for size in sizes:
        recipe = derive(Scale(size, tokens(size)), VOCAB, LanguageModelConfig())
        best = pack_size(recipe, device)
        measured = steady(recipe, rounds, device)
        modes = [plain(measured, device)]
        chosen = sorted({1, *packs, best})
        modes += [packed(measured, pack, device, torch.bfloat16) for pack in chosen]
        measure(measured, modes, device, rounds)
        for record in records(measured, modes, device, tokens(size), peak):
            rows.append(record)
            print(
                f"{short_number(record['params']):>8} {record['mode']:>7} {record['pack']:>4} "
                f"{record['tokens_per_second']:>9.0f} {record['runs_per_hour']:>8.0f} "
                f"{record['flops_utilisation']:>6.1%}  {record['ratio']:.2f} "
                f"[{record['ratio_low']:.2f}, {record['ratio_high']:.2f}]"
                f"{'  compiled' if record['compiled'] else ''}"
            )
        print(f"         the trainer packs {best}, {main_batch(recipe)} sequences of each a step")
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sizes", default="0.1M,1M,5M", help="parameters, e.g. 0.1M,1M")
    parser.add_argument("--packs", default="1,2,4,8", help="pack sizes beside the trainer's own")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=65_536, help="of a run")
    parser.add_argument("--tokens-per-parameter", type=float, help="in place of --tokens")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, help="where to write the records")
    options = parser.parse_args(arguments)
    units = {"k": 1e3, "M": 1e6, "G": 1e9}
    sizes = [int(float(s.rstrip("kMG")) * units.get(s[-1], 1)) for s in options.sizes.split(",")]
    packs = [int(p) for p in options.packs.split(",")]
    share = options.tokens_per_parameter

    def tokens(size: int) -> int:
        return int(share * size) if share else int(options.tokens)

    with one_thread():
        rows = run(sizes, packs, options.rounds, torch.device(options.device), tokens)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
