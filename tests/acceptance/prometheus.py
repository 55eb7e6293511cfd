"""A real Prometheus that scrapes a daemon every second, and judges with our rules in fast motion."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.deploy import RULES
from tests.ports import free_port
from tests.timeouts import PATIENCE

WINDOW = "20s"
"""What stands for ten minutes, an hour, and Grafana's own window."""


def hasten(query: str) -> str:
    """The query over seconds instead of hours, for whatever Grafana's reader chose."""
    query = re.sub(r"offset 1h", "offset 2s", query)
    query = re.sub(r"\[(?:1h|10m|\$__rate_interval)\]", f"[{WINDOW}]", query)
    return query.replace("$instance", ".+").replace("$processor", ".+")


class Prometheus:
    """Asks a Prometheus that runs."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def query(self, text: str) -> list[Any]:
        """The series that a query returns now; fails where Prometheus cannot parse it."""
        answer = requests.get(f"{self.url}/api/v1/query", {"query": text}, timeout=PATIENCE).json()
        assert answer["status"] == "success", f"{text}: {answer}"
        return list(answer["data"]["result"])

    def wait_for(self, text: str) -> list[Any]:
        """The series of a query, once it returns some."""
        end = time.monotonic() + PATIENCE
        while not (found := self.query(text)):
            assert time.monotonic() < end, f"{text} returns no series"
            time.sleep(0.2)
        return found

    def sick_rules(self) -> list[str]:
        """Rules that could not be evaluated, with the reason."""
        groups = requests.get(f"{self.url}/api/v1/rules", timeout=PATIENCE).json()["data"]["groups"]
        return [f"{r['name']}: {r}" for group in groups for r in group["rules"] if r["health"] != "ok"]


@contextlib.contextmanager
def prometheus(folder: Path, target: int) -> Iterator[Prometheus]:
    """A Prometheus that watches the daemon on port `target`, ended with the context."""
    folder.mkdir()
    fast = yaml.safe_load(hasten(RULES.read_text(encoding="utf-8")))
    for group in fast["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    (folder / "rules.yml").write_text(yaml.safe_dump(fast))
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "500ms"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [
            {"job_name": "backfilld", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    words = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["prometheus", *words, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log
        )
    try:
        _wait_until_ready(port, process, folder / "log")
        yield Prometheus(port)
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < end, log.read_text()[-3000:]
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"http://127.0.0.1:{port}/-/ready", timeout=PATIENCE).ok:
                return
        time.sleep(0.1)
