"""A machine that systemd boots: Debian from debootstrap, as a container of systemd-nspawn.

It shares the network of this machine and has its own processes, users, journal and boot id. The base
system has the dependencies of this project and is kept in the checkout, as it takes minutes to make.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.timeouts import PATIENCE

ROOT = Path(__file__).parents[1]
BASE = ROOT / ".venv-machine"
PREFIX = "/opt/backfilld"
"""Where operators install it, as docs/operations.md has it."""

BOOT_ID = "/etc/boot_id"
"""A file with another id for each boot: a sandbox with a new /proc shows that of the host."""

_PACKAGES = ("dbus", "libpam-systemd", "python3", "python3-venv", "systemd", "systemd-sysv")
_TOOLS = {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container", "nsenter": "util-linux"}
_CONSTRAINTS = ROOT / "constraints.txt"
_POLL_SECONDS = 0.2


class Machine:
    """One machine, by its root directory: booted, used by commands, restarted, cut off its power."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._console = root.with_suffix(".console")
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._init = 0
        """The pid of its systemd, as this machine sees it."""

    def boot(self) -> None:
        """Start it, and wait until all units of the default target have started or failed."""
        self.write(BOOT_ID, f"{uuid.uuid4()}\n")
        words = ["systemd-nspawn", "--quiet", "--boot", f"--directory={self.root}", "--machine=backfilld"]
        words += ["--register=no", "--keep-unit", "--link-journal=no", "--resolv-conf=off", "--timezone=off"]
        with self._console.open("ab") as console:
            self._nspawn = subprocess.Popen(
                [*words, "--console=read-only"], stdin=subprocess.DEVNULL, stdout=console, stderr=console
            )
        self.wait_for(self._find_init, "an init process")
        self.wait_for(self._booted, "booted")

    def run(self, *words: str, succeeds: bool = True) -> str:
        """Run a command as root in it. Returns stdout, then stderr; `succeeds` demands exit code 0."""
        done = self._run(*words)
        output = done.stdout + done.stderr
        assert not succeeds or done.returncode == 0, f"{words} exited {done.returncode}:\n{output[-4000:]}"
        return output

    def script(self, text: str) -> str:
        """Run lines of a shell as root in it, until one fails. Returns what they print."""
        return self.run("bash", "-euc", text)

    def write(self, path: str, text: str) -> None:
        """Write a file of root's, with its directory."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def reboot(self) -> None:
        """Restart it in order, as `systemctl reboot` does."""
        self.run("systemctl", "reboot", succeeds=False)  # which may end the command too
        self._wait()
        self.boot()

    def cut_power(self) -> None:
        """End all processes at once, without a word to any: their pid namespace ends with its first one."""
        os.kill(self._init, signal.SIGKILL)
        self._wait()

    def power_off(self) -> None:
        """Stop it in order, if it runs."""
        if self._nspawn is not None and self._nspawn.poll() is None:
            self.run("systemctl", "poweroff", succeeds=False)  # which may end the command too
            self._wait()

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Wait until the condition holds; fail with the last lines of the console if it does not."""
        give_up_at = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < give_up_at, f"not {what} within {PATIENCE:g} s:\n{self._last_lines()}"
            assert self._nspawn is None or self._nspawn.poll() is None, f"it is off:\n{self._last_lines()}"
            time.sleep(_POLL_SECONDS)

    def _wait(self) -> None:
        assert self._nspawn is not None
        init = Path(f"/proc/{self._init}")
        self._nspawn.wait(timeout=PATIENCE)
        self._nspawn = None
        self.wait_for(lambda: not init.exists(), "without processes")

    def _find_init(self) -> bool:
        assert self._nspawn is not None
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        found = [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd"]
        self._init = found[0] if found else 0
        return bool(found)

    def _booted(self) -> bool:
        state = self._run("systemctl", "is-system-running", "--wait").stdout.strip()
        return state in {"running", "degraded"}

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        inside = ["nsenter", f"--target={self._init}", "--all", "--root", "--wdns=/root", "--", *words]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"}
        return subprocess.run(
            inside, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    def _last_lines(self) -> str:
        return self._console.read_text("utf-8", "replace")[-3000:]


@contextmanager
def booted(folder: Path, wheel: Path) -> Iterator[Machine]:
    """A machine in `folder` with the wheel installed in PREFIX, powered off with the context."""
    machine = Machine(folder / "machine")
    _run("cp", "--archive", "--reflink=auto", str(base()), str(machine.root))
    machine.write("etc/hostname", "backfilld-test\n")
    shutil.copy(wheel, machine.root / "root")
    words = ["install", "--quiet", "--no-index", "--no-deps", f"/root/{wheel.name}"]
    _run("chroot", str(machine.root), f"{PREFIX}/bin/pip", *words)
    machine.boot()
    try:
        yield machine
    finally:
        machine.power_off()
        shutil.rmtree(machine.root)


def base() -> Path:
    """The root directory of the base system, made anew when what it consists of has changed."""
    assert os.geteuid() == 0, "only root can boot a machine: sudo make test-systemd"
    for tool, package in _TOOLS.items():
        assert shutil.which(tool), f"there is no {tool}: apt-get install {package}"
    root = BASE / "root"
    system = "\n".join([_codename(), *_PACKAGES])
    if not _is_made(BASE / "system.txt", system):
        shutil.rmtree(BASE, ignore_errors=True)
        BASE.mkdir()
        packages = ",".join(_PACKAGES)
        _run("debootstrap", "--variant=minbase", f"--include={packages}", _codename(), str(root), _mirror())
        (BASE / "system.txt").write_text(system, encoding="utf-8")
    dependencies = "\n".join([*_dependencies(), _CONSTRAINTS.read_text("utf-8")])
    if not _is_made(BASE / "installed.txt", dependencies):
        shutil.rmtree(root / PREFIX.lstrip("/"), ignore_errors=True)
        _install_dependencies(root)
        (BASE / "installed.txt").write_text(dependencies, encoding="utf-8")
    return root


def _is_made(mark: Path, contents: str) -> bool:
    return mark.exists() and mark.read_text("utf-8") == contents


def _install_dependencies(root: Path) -> None:
    """Download by this machine's pip and its settings, so that the other one needs neither."""
    inside = ["chroot", str(root)]
    version = _run(*inside, "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    packages = root / "root" / "packages"
    shutil.rmtree(packages, ignore_errors=True)
    words = ["download", "--quiet", "--only-binary=:all:", "--python-version", version]
    words += ["--constraint", str(_CONSTRAINTS), "--dest", str(packages), *_dependencies()]
    _run(sys.executable, "-m", "pip", *words)
    _run(*inside, "python3", "-m", "venv", PREFIX)
    files = [f"/root/packages/{file.name}" for file in packages.iterdir()]
    _run(*inside, f"{PREFIX}/bin/pip", "install", "--quiet", "--no-index", *files)
    shutil.rmtree(packages)


def _dependencies() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return list(project["dependencies"])


def _codename() -> str:
    return platform.freedesktop_os_release()["VERSION_CODENAME"]


def _mirror() -> str:
    """The mirror of this Debian release that apt uses here."""
    listed = _run("apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(REPO_URI)")
    rows = [line.split() for line in listed.splitlines()]
    mirrors = [row[2] for row in rows if row[:2] == ["Debian", _codename()]]
    assert mirrors, f"apt knows no mirror of Debian {_codename()}: run apt-get update"
    return mirrors[0]


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words} exited {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}"
    return done.stdout
