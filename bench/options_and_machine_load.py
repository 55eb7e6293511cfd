"""Options of every benchmark, and the load of the machine, which it prints first."""

from __future__ import annotations

import argparse
import os
import sys


def parser(about: str | None) -> argparse.ArgumentParser:
    """Options of a benchmark whose module says `about` itself."""
    return argparse.ArgumentParser(description=about, formatter_class=argparse.RawTextHelpFormatter)


def conditions() -> str:
    """The context of every figure: the load of the last minute and the version of Python."""
    return f"load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}"
