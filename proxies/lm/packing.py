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
"""

import torch

from proxies.lm.recipe import Recipe

CPU_ACTIVATIONS = 2**19
LIMIT = 256
_SHARE_OF_MEMORY = 0.8


def memory_per_run(recipe: Recipe) -> int:
    """Bytes that one run of a pack needs, from above."""
    shape = recipe.shape
    d, vocab = shape.width, shape.vocab
    dense = 12 * d * d * shape.depth + 2 * vocab * d
    tokens = max(batch for _, batch in recipe.stages) * shape.context
    # per token and block: residual stream, norms, qkv, attention, the hidden layer and gradients
    activations = tokens * shape.depth * (40 * d + 4 * shape.heads * shape.context) * 2
    return 18 * dense + 16 * shape.bigrams * d + activations


def pack_size(recipe: Recipe, device: torch.device) -> int:
    """Runs to stack into one model on this device.

    On a GPU by memory alone, which no measurement has confirmed yet.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return max(1, min(LIMIT, int(free * _SHARE_OF_MEMORY) // memory_per_run(recipe)))
    step = recipe.batch * recipe.shape.context
    return max(1, min(LIMIT, CPU_ACTIVATIONS // (step * recipe.shape.width)))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a smaller pack might do."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
