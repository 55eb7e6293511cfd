"""What every benchmark is asked by, and says first: its options, and the load beside its figures."""

from __future__ import annotations

import argparse
import os
import sys


def parser(about: str | None) -> argparse.ArgumentParser:
    """Options of a benchmark whose module says `about` itself."""
    return argparse.ArgumentParser(description=about, formatter_class=argparse.RawTextHelpFormatter)


def conditions() -> str:
    """What a figure must not be told without: the load of the last minute, and Python's version."""
    return f"load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}"
