"""Operations of the model with gradients written out, each a few passes over memory.

Notation:
    K runs of a pack; n tokens of a run; d: width; V: vocabulary; c: head size
    x: (..., d) activations; ids: integer tokens

Eager elementwise operations cost as much as the matrix products at these sizes. Written out, a norm
is 4 passes instead of 12, and the cross-entropy never holds more logits than a chunk: it computes
its gradients on the way forward.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

_EPSILON = 1e-6


class _Norm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dtype: torch.dtype) -> Tensor:
        exact = torch.promote_types(x.dtype, torch.float32)
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=exact)
        inverse = size.square_().div_(x.shape[-1]).add_(_EPSILON).rsqrt_().to(x.dtype)
        y: Tensor = (x * inverse).to(dtype)
        ctx.save_for_backward(y, inverse)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        y, inverse = ctx.saved_tensors
        (g,) = grads
        along = (g * y).mean(-1, keepdim=True)
        dx: Tensor = torch.addcmul(g, y, along, value=-1) * inverse
        return dx, None


def norm(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Divide by the root mean square over the last dimension; in another precision."""
    if x.device.type != "cpu":  # one kernel there
        return F.rms_norm(x, x.shape[-1:], eps=_EPSILON).to(dtype)
    y: Tensor = _Norm.apply(x, dtype)  # type: ignore[no-untyped-call]
    return y


class _Product(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(x, weights)
        return torch.bmm(x, weights.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        x, weights = ctx.saved_tensors
        (g,) = grads
        return torch.bmm(g, weights), torch.bmm(g.transpose(1, 2), x)


def product(x: Tensor, weights: Tensor) -> Tensor:
    """X times the transposed matrix of its run; the gradient of the matrix lies as it does.

    Args:
        x: (K, n, in).
        weights: (K, out, in).
    """
    y: Tensor = _Product.apply(x, weights)  # type: ignore[no-untyped-call]
    return y


class _SplitProduct(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, at: int) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, weights)
        ctx.at = at
        w = weights.transpose(1, 2)
        return torch.bmm(x, w[..., :at]), torch.bmm(x, w[..., at:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weights = ctx.saved_tensors
        left, right = grads
        dx = torch.baddbmm(torch.bmm(left, weights[:, : ctx.at]), right, weights[:, ctx.at :])
        dw = torch.cat([torch.bmm(g.transpose(1, 2), x) for g in grads], dim=1)
        return dx, dw, None


def split_product(x: Tensor, weights: Tensor, at: int) -> tuple[Tensor, Tensor]:
    """`product`, split in its last dimension; on a CPU each part lies in one piece."""
    if x.device.type != "cpu":
        y = product(x, weights)
        left, right = torch.split(y, [at, y.shape[-1] - at], dim=-1)
        return left, right
    parts: tuple[Tensor, Tensor] = _SplitProduct.apply(  # type: ignore[no-untyped-call]
        x, weights, at
    )
    return parts


class _ReluSquared(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        positive = F.relu(x)
        ctx.save_for_backward(positive)
        return positive * positive

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (positive,) = ctx.saved_tensors
        dx: Tensor = (grads[0] * positive).mul_(2)
        return dx


def relu_squared(x: Tensor) -> Tensor:
    """max(x, 0)^2, elementwise (arXiv 2109.08668)."""
    y: Tensor = _ReluSquared.apply(x)  # type: ignore[no-untyped-call]
    return y


class _Rotate(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _rotated(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _rotated(grads[0], cos, -sin), None, None


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    # Nothing in place: torch 2.11 then compiles a function without gradient.
    return torch.addcmul(x * cos, torch.cat((second, first), dim=-1), sin)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (arXiv 2104.09864); `sin` holds -sin in its first half.

    Args:
        x: (B, T, heads, c).
        cos: (T, 1, c).
        sin: (T, 1, c).
    """
    y: Tensor = _Rotate.apply(x, cos, sin)  # type: ignore[no-untyped-call]
    return y


class _CrossEntropy(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        head: Tensor,
        targets: Tensor,
        limit: int,
        each: Tensor | None,
        weights: Tensor | None,
    ) -> Tensor:
        dx = torch.empty_like(x)
        dhead = torch.zeros(head.shape, dtype=torch.float32, device=head.device)
        nats = torch.zeros(len(x), dtype=torch.float32, device=x.device)
        for runs, rows in _chunks(x.shape, head.shape[1], limit):
            part, matrix = x[runs, rows], head[runs]
            p = torch.bmm(part, matrix.transpose(1, 2)).softmax(-1)
            index = targets[runs, rows].flatten()
            flat = p.view(-1)
            index = index + torch.arange(len(index), device=x.device) * head.shape[1]
            of_target = flat[index]
            logs = of_target.float().log().view(len(part), -1)
            if each is not None:
                each[runs, rows] = -logs
            flat[index] = of_target - 1  # what is now in p is the gradient of the logits
            if weights is not None:
                logs = logs * weights[runs, rows]
                p *= weights[runs, rows, None].to(p.dtype)
            nats[runs] -= logs.sum(1)
            dx[runs, rows] = torch.bmm(p, matrix)
            dhead[runs] += torch.bmm(p.transpose(1, 2), part)
        ctx.save_for_backward(dx, dhead)
        return nats / x.shape[1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        dx, dhead = ctx.saved_tensors
        scale = (grads[0] / dx.shape[1])[:, None, None]
        return dx * scale.to(dx.dtype), (dhead * scale).to(dx.dtype), None, None, None, None


def _chunks(shape: torch.Size, vocab: int, limit: int) -> Iterator[tuple[slice, slice]]:
    """Runs and tokens, so many at a time that `limit` logits are held: whole runs first."""
    runs, length = shape[0], shape[1]
    rows = max(1, min(length, limit // vocab))
    count = max(1, limit // (rows * vocab))
    for run in range(0, runs, count):
        for start in range(0, length, rows):
            yield slice(run, run + count), slice(start, start + rows)


def cross_entropy(
    x: Tensor,
    head: Tensor,
    targets: Tensor,
    limit: int,
    each: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """Mean cross-entropy of each run, (K,) nats per token.

    In bfloat16 a token's own loss is right to .4 %, the gradient to the usual rounding; scores for
    the record come from `token_nats`.

    Args:
        x: (K, n, d) features.
        head: (K, V, d).
        targets: (K, n) token ids.
        limit: logits held at once.
        each: (K, n) float32, filled with the loss of each token where it is given.
        weights: (K, n) float32, multipliers of the tokens' losses in the mean; not of `each`.
    """
    loss: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]
        x, head, targets, limit, each, weights
    )
    return loss


def token_nats(x: Tensor, head: Tensor, targets: Tensor, limit: int) -> Tensor:
    """Loss of each token in nats, (K, n) float32, without gradients; see `cross_entropy`."""
    losses = torch.empty(targets.shape, dtype=torch.float32, device=x.device)
    for runs, rows in _chunks(x.shape, head.shape[1], limit):
        logits = torch.bmm(x[runs, rows], head[runs].transpose(1, 2)).float()
        chosen = logits.gather(2, targets[runs, rows, None])[..., 0]
        losses[runs, rows] = logits.logsumexp(-1) - chosen
    return losses


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, sharpness: float) -> Tensor:
    """Causal attention, (B, T, heads, c) each, to (B, T, heads * c).

    Written out on a CPU, where the fused kernel takes three times as long at these sizes.

    Args:
        q: queries.
        k: keys.
        v: values.
        mask: (T, T), 0 where a position may look and -inf where not.
        sharpness: the scale of scores, times sqrt(c).
    """
    batch, length, heads, size = q.shape
    scale = sharpness / math.sqrt(size)
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    if q.device.type != "cpu":
        fused = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
        return fused.transpose(1, 2).reshape(batch, length, heads * size)
    q, k, v = (part.reshape(batch * heads, length, size) for part in (q, k, v))
    scores = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=scale)
    mixed = torch.bmm(scores.softmax(-1), v).view(batch, heads, length, size)
    return mixed.transpose(1, 2).reshape(batch, length, heads * size)
