"""The settings of a service `backfilld@NAME`, read from its unit files, and what its sandbox lets jobs do."""

from __future__ import annotations

import os
import pwd
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backfilld.daemon.settings import SettingsError

FOLDERS = tuple(
    Path(folder) / "systemd/system" for folder in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
)
_STATE = "/var/lib"
_OF_THE_DAEMON = frozenset(
    {
        *("Type", "NotifyAccess", "ExecStart", "ExecReload", "Restart", "RestartSec", "WatchdogSec"),
        *("KillMode", "TimeoutStartSec", "TimeoutStopSec", "OOMPolicy", "Delegate"),
    }
)
"""Settings that say how the daemon runs, and nothing about what its jobs may do."""
_ALWAYS_WRITABLE = ("/dev", "/proc", "/sys", "/tmp", "/var/tmp")  # noqa: S108
_HOMES = ("/home", "/root", "/run/user")
_READ_ONLY = {
    "strict": ("/",),
    "full": ("/usr", "/boot", "/efi", "/etc"),
    "yes": ("/usr", "/boot", "/efi"),
    "true": ("/usr", "/boot", "/efi"),
}


@dataclass(frozen=True, slots=True)
class ServiceUnit:
    """The section [Service] of a unit with its drop-ins: every value of every key, in order."""

    name: str
    settings: Mapping[str, Sequence[str]]

    @classmethod
    def load(cls, instance: str, folders: Sequence[Path] = FOLDERS) -> ServiceUnit:
        """The unit backfilld@INSTANCE. Raises SettingsError if it is not installed or cannot be read."""
        files = (f"backfilld@{instance}.service", "backfilld@.service")
        candidates = (folder / file for file in files for folder in folders)
        unit = next((path for path in candidates if path.is_file()), None)
        if unit is None:
            raise SettingsError(f"no service backfilld@{instance}: install deploy/systemd/backfilld@.service")
        dropin_folders = [folder / f"{file}.d" for folder in folders for file in files]
        dropins = {path.name: path for folder in dropin_folders[::-1] for path in folder.glob("*.conf")}
        settings: dict[str, list[str]] = {}
        for file in (unit, *(dropins[name] for name in sorted(dropins))):
            for key, text in _service_lines(file):
                value = text.replace("%i", instance).replace("%S", _STATE).replace("%%", "%")
                settings[key] = [*settings.get(key, []), value] if value else []
        return cls(f"backfilld@{instance}.service", settings)

    @property
    def user(self) -> str:
        """The name of the user that the daemon and its jobs run as."""
        return self._last("User") or "root"

    def runs_as_this_user(self) -> bool:
        """Whether this process has that user, so that it may write what the service may write."""
        try:
            return pwd.getpwnam(self.user).pw_uid == os.geteuid()
        except KeyError:
            return False

    def environment(self) -> dict[str, str]:
        """The variables of Environment=, then those of the files of EnvironmentFile= that can be read."""
        words = self._words("Environment")
        for name in self.settings.get("EnvironmentFile", ()):
            path = Path(name.removeprefix("-"))
            if path.is_file():
                words += [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
        pairs = (word.partition("=") for word in words if "=" in word)
        return {name: value.strip('"') for name, _, value in pairs}

    def in_its_sandbox(self, arguments: Sequence[str]) -> list[str]:
        """The command that runs backfilld with these arguments under the service's own properties.

        Paths of credentials have the name of their unit, which differs from that of the service.
        """
        transient = f"{self.name.removesuffix('.service')}-preflight-{os.getpid()}.service".replace("@", "-")
        own, its = f"/run/credentials/{transient}/", f"/run/credentials/{self.name}/"
        paths = {name: value.replace(its, own) for name, value in self.environment().items() if its in value}
        variables = [f"{name}={value}" for name, value in paths.items()]
        program = shlex.split(self.settings["ExecStart"][-1])[0]
        properties = [
            f"--property={key}={value}"
            for key, values in self.settings.items()
            if key not in _OF_THE_DAEMON
            for value in values
        ]
        run = ["systemd-run", f"--unit={transient}", "--quiet", "--collect", "--wait", "--pipe", *properties]
        # Files of EnvironmentFile= would override --setenv=.
        return [*run, *(["/usr/bin/env", *variables] if variables else []), program, *arguments]

    def hiding(self, path: Path) -> str:
        """The setting that hides the path from jobs; empty if they see it."""
        home = self._last("ProtectHome")
        if home not in {"", "no", "false", "read-only"} and _within(path, _HOMES):
            if home == "tmpfs" and _within(path, [bind for _, bind in self._binds()]):
                return ""
            return f"ProtectHome={home}"
        for source, target in self._binds():
            if _within(path, [target]) and source != target:
                return f"BindPaths={source}:{target}"
        return ""

    def protecting(self, path: Path) -> str:
        """The setting that makes the path read-only for jobs; empty if the sandbox lets them write there."""
        if setting := self.hiding(path):
            return setting
        system = self._last("ProtectSystem")
        if not _within(path, _READ_ONLY.get(system, ())) or _within(path, self._writable()):
            return ""
        return f"ProtectSystem={system}"

    def _writable(self) -> list[str]:
        listed = [word.lstrip("-+") for word in self._words("ReadWritePaths")]
        state = [f"{_STATE}/{word}" for word in self._words("StateDirectory")]
        return [*listed, *state, *_ALWAYS_WRITABLE]

    def _binds(self) -> Iterator[tuple[str, str]]:
        """Source and target of each bind mount."""
        for key in ("BindPaths", "BindReadOnlyPaths"):
            for word in self._words(key):
                source, _, target = word.lstrip("-").partition(":")
                yield source, target.partition(":")[0] or source

    def _words(self, key: str) -> list[str]:
        return [word for line in self.settings.get(key, ()) for word in shlex.split(line)]

    def _last(self, key: str) -> str:
        return (self.settings.get(key) or [""])[-1]


def _service_lines(file: Path) -> Iterator[tuple[str, str]]:
    section = ""
    try:
        lines = file.read_text("utf-8").replace("\\\n", " ").splitlines()
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}; run this as root") from error
    for line in map(str.strip, lines):
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            yield key.strip(), value.strip()


def _within(path: Path, folders: Sequence[str]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
