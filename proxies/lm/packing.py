"""How many runs to stack into one model.

Notation:
    K runs of a pack; n tokens of a step; d: width

On a CPU stacking saves the overhead of small operations and loses the processor's cache. Tokens per
thread second against a plain trainer (`analysis.throughput`; bfloat16, AMD EPYC of the Zen 4 kind,
loaded machine; a row is one run of it, medians of 11 rounds, quartiles within 10 %):

    d     n      K = 1   2      4      8      16
    64    1024   1.67    -      2.39   2.57   2.24
    128   1024   1.94    2.07   2.29   2.29   2.19
    224   1024   1.68    1.71   1.68   1.65   -

so that the rule is: as many as keep K n d at `CPU_ACTIVATIONS`.

On a GPU stacking fills the device: thousands of tokens per second of the clock (H200, bfloat16;
+: compiled blocks):

    d     n       K = 1   2       4       8       64      85      128     256
    64    1024    -       -       -       -       -       -       20042   -
    128   1024    886     -       -       -       -       -       7058    7290
    128   4096+   -       -       -       -       16172   -       16685   -
    384   1024    435     -       -       -       -       997     -       -
    384   16384+  2589    2843    3072    3118    -       -       -       -

so that the rule is the same with `GPU_ACTIVATIONS`, as far as the memory goes.
"""

import sys

import torch

from proxies.lm.model import Shape
from proxies.lm.recipe import Recipe

CPU_ACTIVATIONS = 2**19
GPU_ACTIVATIONS = 2**25
LIMIT = 256
PART = 2**15  # tokens of a run, beyond which a batch may go in parts
_SHARE_OF_MEMORY = 0.8


def memory_per_run(recipe: Recipe) -> int:
    """Bytes that one run of a pack needs, from above."""
    shape = recipe.shape
    d, vocab = shape.width, shape.vocab
    dense = 12 * d * d * shape.depth + 2 * vocab * d
    tokens = min(PART, max(batch for _, batch in recipe.stages) * shape.context)
    return 18 * dense + 16 * shape.bigrams * d + tokens * activation_bytes(shape)


def activation_bytes(shape: Shape) -> int:
    """Bytes that training holds per token, from above.

    Per block: residual stream, norms, qkv, attention, the hidden layer and gradients.
    """
    return shape.depth * (40 * shape.width + 4 * shape.heads * shape.context) * 2


def sequences_at_once(shape: Shape, runs: int, device: torch.device) -> int:
    """Sequences per run from which gradients are taken at once; a larger batch goes in parts.

    Asked once the model is on the device. A bigram table takes a whole batch (its models are tiny).
    """
    if device.type == "cpu" or shape.bigrams:
        return sys.maxsize
    free, _ = torch.cuda.mem_get_info(device)
    held = runs * shape.context * activation_bytes(shape)
    return max(1, int(free * _SHARE_OF_MEMORY) // held)


def pack_size(recipe: Recipe, device: torch.device) -> int:
    """Runs to stack into one model on this device."""
    context, width = recipe.shape.context, recipe.shape.width
    if device.type == "cpu":
        return max(1, min(LIMIT, CPU_ACTIVATIONS // (recipe.batch * context * width)))
    largest = max(batch for _, batch in recipe.stages) * context  # most tokens are trained in it
    free, _ = torch.cuda.mem_get_info(device)
    room = int(free * _SHARE_OF_MEMORY) // memory_per_run(recipe)
    return max(1, min(LIMIT, room, GPU_ACTIVATIONS // (largest * width)))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a smaller pack might do."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
