"""The two products of feature maps with matrices that style terms need, compiled where it pays."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.convolution.running import Engine, engine
from impasto.convolution.tuning import fast_products_pay


def gram_matrix(rows: Tensor, *, fast: bool) -> Tensor:
    """`Σ f fᵀ` over positions.

    Args:
        rows: `(positions, C)`.
        fast: use the compiled kernel where it can and pays.

    Returns:
        `(C, C)`, differentiable unless the compiled kernel was used, which is never the case where
        a gradient is asked for.
    """
    compiled = _compiled(rows) if fast else None
    return rows.T @ rows if compiled is None else compiled.gram(rows)


def add_product(
    result: Tensor, rows: Tensor, matrix: Tensor, constant: Tensor, *, fast: bool
) -> None:
    """`result += rows · matrix + constant`, in place.

    Args:
        result: `(positions, C)`.
        rows: `(positions, C)`.
        matrix: `(C, C)`.
        constant: `(C,)`.
        fast: use the compiled kernel where it can and pays.
    """
    compiled = _compiled(result, rows, matrix, constant) if fast else None
    if compiled is None:
        result.addmm_(rows, matrix).add_(constant)
    else:
        compiled.add_product(result, rows, matrix.contiguous(), constant.contiguous())


def _compiled(result: Tensor, *others: Tensor) -> Engine | None:
    """The kernels, if they can take these tensors, of which the first two must be contiguous."""
    tensors = (result, *others)
    if (
        any(t.device.type != "cpu" or t.dtype != torch.float32 for t in tensors)
        or any(t.requires_grad for t in tensors)
        or not all(t.is_contiguous() for t in tensors[:2])
        or not fast_products_pay(result.shape[1])
    ):
        return None
    return engine()
