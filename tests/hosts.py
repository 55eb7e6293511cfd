"""Hosts as network namespaces on one bridge: processes run in them, and a host can be cut off in silence."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Where a process can run: its address, and the words before a command line that bring it there."""

    address: str
    words: tuple[str, ...] = ()
    link: str = ""
    """Its end of the cable at the bridge."""

    def cut(self) -> None:
        """Pull the cable: nothing is reset, nothing is heard any more."""
        _ip("link", "set", self.link, "down")

    def join(self) -> None:
        """Plug the cable in again."""
        _ip("link", "set", self.link, "up")


LOOPBACK = Host(address="127.0.0.1")


@contextlib.contextmanager
def joined(count: int) -> Iterator[list[Host]]:
    """So many hosts on a bridge that this machine is on too, removed with the context.

    The names have this process's id, so that nobody else's are touched.
    """
    assert os.geteuid() == 0, "hosts are network namespaces, which only root can make: sudo make test-hosts"
    assert shutil.which("ip"), "there is no ip: apt-get install iproute2"
    bridge, net = f"bf{os.getpid()}", f"10.213.{os.getpid() % 254 + 1}"
    with contextlib.ExitStack() as undo:
        _ip("link", "add", bridge, "type", "bridge")
        undo.callback(_ip, "link", "del", bridge)
        _ip("addr", "add", f"{net}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        yield [_host(f"{bridge}-{n}", f"{net}.{n}", bridge, undo) for n in range(2, 2 + count)]


def _host(name: str, address: str, bridge: str, undo: contextlib.ExitStack) -> Host:
    _ip("netns", "add", name)
    undo.callback(_ip, "netns", "del", name)
    _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
    undo.callback(_ip, "link", "del", name)  # at once: a namespace lives as long as its last process
    _ip("link", "set", name, "master", bridge, "up")
    inside = ("ip", "netns", "exec", name)
    for words in (
        ("link", "set", "lo", "up"),
        ("addr", "add", f"{address}/24", "dev", "eth0"),
        ("link", "set", "eth0", "up"),
    ):
        _ip("-n", name, *words)
    return Host(address=address, words=inside, link=name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
