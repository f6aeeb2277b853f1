"""The checksums of the FITS standard (appendix J).

Ones' complement sums of 32-bit words, and their text of 16 characters.
"""

from __future__ import annotations

import numpy as np

_MODULUS = 0xFFFFFFFF
# Characters that the standard keeps out of the text: those between digits and upper case, upper case and
# lower case.
_PUNCTUATION = frozenset(range(0x3A, 0x41)) | frozenset(range(0x5B, 0x61))
_ZERO = 0x30
# Words that are added at a time, few enough to stay in the cache of a processor.
_PIECE_WORDS = 1 << 15


class WordSum:
    """The running sum of 32-bit big-endian words, as DATASUM has it."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, data: bytes | memoryview) -> None:
        """Add bytes, a multiple of 4 of them."""
        words = np.frombuffer(data, dtype=">u4")
        total = self._sum
        for start in range(0, len(words), _PIECE_WORDS):
            native = words[start : start + _PIECE_WORDS].astype(np.uint32)
            total += int(native.sum(dtype=np.uint64))
        # Carries come back in at the low end; only a sum of zeros is zero.
        self._sum = (total - 1) % _MODULUS + 1 if total else 0

    @property
    def value(self) -> int:
        """The sum so far."""
        return self._sum


def word_sum(data: bytes | memoryview) -> int:
    """The ones' complement sum of a whole number of 32-bit big-endian words."""
    total = WordSum()
    total.add(data)
    return total.value


def add_words(first: int, second: int) -> int:
    """The ones' complement sum of two sums."""
    total = first + second
    return (total & _MODULUS) + (total >> 32)


def checksum_text(header_sum: int, data_sum: int) -> str:
    """The CHECKSUM value that makes the sum over the HDU -0.

    `header_sum` is the sum over the header with CHECKSUM set to sixteen zeros.
    """
    complement = _MODULUS - add_words(header_sum, data_sum)
    columns = []
    for byte in complement.to_bytes(4, "big"):
        quotient, remainder = divmod(byte, 4)
        characters = [_ZERO + quotient + remainder, _ZERO + quotient, _ZERO + quotient, _ZERO + quotient]
        columns.append(_without_punctuation(characters))
    text = "".join(chr(columns[byte][position]) for position in range(4) for byte in range(4))
    return text[-1] + text[:-1]


def _without_punctuation(characters: list[int]) -> list[int]:
    """Move pairs of characters apart, sum kept, until none is punctuation."""
    while any(character in _PUNCTUATION for character in characters):
        for first in (0, 2):
            if characters[first] in _PUNCTUATION or characters[first + 1] in _PUNCTUATION:
                characters[first] += 1
                characters[first + 1] -= 1
    return characters
