"""The two products of feature maps with matrices that style terms need, compiled where it pays."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.convolution.running import Engine, engine
from impasto.convolution.tuning import fast_products_pay


def raw_moments(features: Tensor, *, fast: bool) -> tuple[Tensor, Tensor]:
    """`Σ f` and `Σ f fᵀ` over positions.

    Args:
        features: `(1, C, H, W)`.
        fast: use the compiled kernel where it can and pays: on channels_last maps and windows of
            them.

    Returns:
        `(C,)` and `(C, C)`, differentiable unless the compiled kernel was used, which is never the
        case where a gradient is asked for.
    """
    compiled = _compiled(features) if fast else None
    if compiled is not None:
        return compiled.moments(features)
    rows = features[0].permute(1, 2, 0).reshape(-1, features.shape[1])
    return rows.sum(0), rows.T @ rows


def add_product(
    result: Tensor, features: Tensor, matrix: Tensor, constant: Tensor, *, fast: bool
) -> None:
    """`result += matrixᵀ · features + constant` at every position, in place.

    Args:
        result: `(1, C, H, W)`.
        features: `(1, C, H, W)`.
        matrix: `(C, C)`.
        constant: `(C,)`.
        fast: use the compiled kernel where it can and pays: on channels_last maps and windows of
            them.
    """
    compiled = None
    if fast and result.stride() == features.stride():
        compiled = _compiled(result, features, matrix, constant)
    if compiled is not None:
        compiled.add_product(result, features, matrix, constant.contiguous())
        return
    rows = features[0].permute(1, 2, 0)
    result[0].permute(1, 2, 0).add_(
        rows.reshape(-1, rows.shape[-1]).matmul(matrix).view(rows.shape)
    )
    result += constant[:, None, None]


def _compiled(first: Tensor, *others: Tensor) -> Engine | None:
    """The kernels, if they can take these tensors, of which the first is a map."""
    tensors = (first, *others)
    if (
        any(t.device.type != "cpu" or t.dtype != torch.float32 for t in tensors)
        or any(t.requires_grad for t in tensors)
        or first.shape[0] != 1
        or first.numel() == 0
        or (first.shape[1] > 1 and first.stride(1) != 1)
        or (first.shape[3] > 1 and first.stride(3) != first.shape[1])
        or not fast_products_pay(first.shape[1])
    ):
        return None
    return engine()
