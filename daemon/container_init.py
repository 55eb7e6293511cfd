"""What holds in a container: whether jobs outlive the daemon, and who reaps what they leave behind."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress

from backfilld.daemon.executors.local.descendant_processes import is_marked
from backfilld.daemon.executors.process_identity import pid_namespace, stat

_FIRST_NAMESPACE = "pid:[4026531836]"
"""The namespace of the host itself (PROC_PID_INIT_INO of the kernel)."""


def jobs_end_with_daemon(service: str) -> bool:
    """Whether the end of this process ends its pid namespace, and all jobs with it.

    It does if this process is the first of a container, or the child of an init that ends with it. It does
    not under systemd, whose `service` this process is then.
    """
    return not service and pid_namespace() not in {"", _FIRST_NAMESPACE} and 1 in {os.getpid(), os.getppid()}


def in_container() -> bool:
    """Whether `jobs_end_with_daemon` holds of this process, which is a service if it has an INVOCATION_ID.

    The kernel gives the id of an ended pid namespace to a new one, so two containers may have the same.
    """
    return jobs_end_with_daemon(os.environ.get("INVOCATION_ID", ""))


def reap_orphans(leaders: Collection[int]) -> None:
    """As the first process of a container: reap dead processes of jobs whose parents died before them.

    `leaders` are children that are waited for elsewhere.
    """
    if os.getpid() != 1:
        return
    for name in filter(str.isdigit, os.listdir("/proc")):
        facts = stat(name)
        pid = int(name)
        if facts is None or (facts.parent, facts.state) != (1, "Z") or pid in leaders or not is_marked(pid):
            continue
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
