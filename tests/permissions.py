"""Root goes without its privilege over files for a while, so that closed folders are closed to it as well."""

import contextlib
import ctypes
from collections.abc import Iterator

_VERSION_3 = 0x20080522
_OVER_FILES = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH of linux/capability.h."""


@contextlib.contextmanager
def without_root_file_access() -> Iterator[None]:
    """This thread heeds the rights of files; who is no root always does."""
    libc = ctypes.CDLL(None)
    me = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    rights = (ctypes.c_uint32 * 6)()
    libc.capget(me, rights)
    effective = rights[0]
    rights[0] &= ~_OVER_FILES
    libc.capset(me, rights)
    try:
        yield
    finally:
        rights[0] = effective
        libc.capset(me, rights)
