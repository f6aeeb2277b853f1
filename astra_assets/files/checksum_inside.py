"""A checksum within a file: a field of fixed length holds the SHA-256 of the file with zeros in that field.

For formats that keep text of ours as it is, such as the metadata of Parquet. It detects damage, not forgery.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

_MARK = b"sha256:"
UNSEALED = _MARK + b"0" * (2 * hashlib.sha256().digest_size)
"""What a writer puts where the checksum is to be."""

_SEAL = re.compile(_MARK + rb"[0-9a-f]{64}")


def seal(path: Path) -> None:
    """Put the checksum of a file into its last field.

    Raises:
        ValueError: the file has no field that is `UNSEALED`.
    """
    content = path.read_bytes()
    place = content.rindex(UNSEALED)
    with path.open("r+b") as stream:
        stream.seek(place + len(_MARK))
        stream.write(hashlib.sha256(content).hexdigest().encode("ascii"))


def has_broken_seal(content: bytes) -> bool:
    """Tell whether the content of a file has a checksum that is not its own; False where it has none."""
    found = list(_SEAL.finditer(content))
    if not found:
        return False
    field = found[-1]
    plain = content[: field.start()] + UNSEALED + content[field.end() :]
    return field[0] != _MARK + hashlib.sha256(plain).hexdigest().encode("ascii")
