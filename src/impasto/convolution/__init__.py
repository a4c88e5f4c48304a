"""The fast 3×3 convolution for CPUs, forward and backward, with the ReLU and pooling after it.

Of VGG19's time nearly all goes into 3×3 convolutions of float32 maps. `Convolution` is one of them,
run by torch or, where `fast_pays`, by kernels that are compiled for the processor at hand when they
are first needed, and then kept. What is left then goes mostly into the products of `raw_moments`
and `add_product`, which the same means make faster. The kernels need llvmlite, the extra `fast`;
without it torch does everything.
"""

from impasto.convolution.layer import Convolution, Entrance
from impasto.convolution.products import add_product, raw_moments
from impasto.convolution.running import blank_like, engine
from impasto.convolution.tuning import fast_pays, fast_products_pay

__all__ = [
    "Convolution",
    "Entrance",
    "add_product",
    "blank_like",
    "engine",
    "fast_pays",
    "fast_products_pay",
    "raw_moments",
]
