"""Whether an Avro file is whole: readers take the end of a file that was cut off for the end of its rows."""

from __future__ import annotations

from pathlib import Path

_MAGIC = b"Obj\x01"
_MARKER = 16
"""Bytes of the marker that ends the header and each block."""


def require_whole(path: str) -> None:
    """Check that a file ends with the marker of its header.

    Raises:
        ValueError: it is no Avro file, or was cut off.
        OSError: it cannot be read.
    """
    content = Path(path).read_bytes()
    place = _end_of_metadata(content)
    marker = content[place : place + _MARKER]
    if not content.startswith(_MAGIC) or len(marker) < _MARKER or not content.endswith(marker):
        raise ValueError(f"{path} is no Avro file, or is cut off")


def _end_of_metadata(content: bytes) -> int:
    """The place after the header's map, whose keys and values have their length before them."""
    place = len(_MAGIC)
    while place < len(content):
        count, place = _number(content, place)
        if count == 0:
            break
        if count < 0:  # its size in bytes follows
            _, place = _number(content, place)
        for _ in range(2 * abs(count)):
            length, place = _number(content, place)
            place += length
            if not 0 <= length <= place <= len(content):
                return len(content)
    return place


def _number(content: bytes, place: int) -> tuple[int, int]:
    """The zigzag number at a place, and the place after it; 0 beyond the end."""
    value = shift = 0
    for byte in content[place : place + 10]:
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return (value >> 1) ^ -(value & 1), place
