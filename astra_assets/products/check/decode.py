"""What a reader sees in the rows of a FITS table: columns as Arrow arrays, by the formats that its header names.

Neither the declared columns nor the code that writes files have a part in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from astra_assets.fits.read_back import Header, Records, dtype_of


def column_types(cards: Header) -> dict[str, pa.DataType]:
    """Return the Arrow type of each column of a binary table: a text, a boolean, a number, or a list of numbers.

    Raises UnsoundFileError naming a column of a format that summary files do not have.
    """
    dtype = dtype_of(cards)
    names = dtype.names or ()
    letters = (str(cards[f"TFORM{number}"]).strip()[-1] for number in range(1, len(names) + 1))
    return {name: _type(dtype[name], letter) for name, letter in zip(names, letters, strict=True)}


def _type(dtype: np.dtype[Any], letter: str) -> pa.DataType:
    if letter == "A":
        return pa.string()
    if letter == "L" and not dtype.shape:
        return pa.bool_()
    element = pa.from_numpy_dtype(dtype.base.newbyteorder("="))
    return pa.list_(element, dtype.shape[0]) if dtype.shape else element


def decoded(values: Records, kind: pa.DataType) -> pa.Array:
    """Return the values of a column of FITS rows as an Arrow array of its type.

    A text ends at its first zero byte; a boolean is true where the byte is `T`.
    """
    if pa.types.is_boolean(kind):
        return pa.array(values == ord("T"))
    if pa.types.is_string(kind):
        width = values.shape[1]
        if not width:
            return pa.array([""] * len(values), kind)
        return pa.array(np.ascontiguousarray(values).view(f"S{width}").reshape(-1), pa.binary()).cast(kind)
    native = values.astype(values.dtype.newbyteorder("="))
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(pa.array(native.reshape(-1)), type=kind)
    return pa.array(native)
