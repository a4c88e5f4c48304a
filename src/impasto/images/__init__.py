"""Read, resize and write pictures; the only package that touches image files.

Everything a file can hold is turned into one thing, a `Bitmap`: upright, sRGB, float32, with
straight alpha. What a file is gets decided by its first bytes, never by its name, and only the
decoder of that format is called: vector formats, documents and everything else are refused before
any of their contents is interpreted.

Limits:
    DEFAULT_MAX_PIXELS: most pixels a picture may announce before it is decoded.
    MAX_SETTINGS_BYTES: longest settings record stored in a picture.
    encoding.Writer.max_side: longest side each format can hold.
"""

from impasto.images.bitmap import Bitmap
from impasto.images.conversion import FLOAT_TOLERANCE
from impasto.images.cropping import Box, crop_box, crop_image
from impasto.images.encoding import encode_image
from impasto.images.glance import Glance, glance
from impasto.images.reading import (
    DEFAULT_MAX_PIXELS,
    ImageSource,
    PillowImage,
    check_size,
    read_image,
    read_reduced,
)
from impasto.images.recognition import SNIFF_BYTES, is_picture, recognise
from impasto.images.resizing import fit_within, resize_image
from impasto.images.resolution import CM_PER_INCH, MAX_DPI, MM_PER_INCH, UNKNOWN_DPI
from impasto.images.settings import MAX_SETTINGS_BYTES
from impasto.images.writing import (
    check_output,
    check_place,
    folded_name,
    make_folder,
    move_whole,
    output_error,
    remove_parts,
    sync_folder,
    takes_files,
    write_image,
    write_whole,
)

__all__ = [
    "CM_PER_INCH",
    "DEFAULT_MAX_PIXELS",
    "FLOAT_TOLERANCE",
    "MAX_DPI",
    "MAX_SETTINGS_BYTES",
    "MM_PER_INCH",
    "SNIFF_BYTES",
    "UNKNOWN_DPI",
    "Bitmap",
    "Box",
    "Glance",
    "ImageSource",
    "PillowImage",
    "check_output",
    "check_place",
    "check_size",
    "crop_box",
    "crop_image",
    "encode_image",
    "fit_within",
    "folded_name",
    "glance",
    "is_picture",
    "make_folder",
    "move_whole",
    "output_error",
    "read_image",
    "read_reduced",
    "recognise",
    "remove_parts",
    "resize_image",
    "sync_folder",
    "takes_files",
    "write_image",
    "write_whole",
]
