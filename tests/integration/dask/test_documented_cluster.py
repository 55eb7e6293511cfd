"""The cluster of the manual, with TLS: where it listens, and what a connection lacks."""

import datetime as dt
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.config
import psutil
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from backfilld.daemon.executors.dask.preflight import check_cluster
from backfilld.daemon.executors.dask.settings import DaskSettings
from tests.documents import ROOT
from tests.integration.dask_cluster import dask_driver
from tests.integration.real_jobs import until
from tests.ports import free_port
from tests.timeouts import PATIENCE

OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SECTION = OPERATIONS.partition("### On a Dask cluster")[2].partition("### On Cloud Run")[0]
LINES = [line.removeprefix("$ ") for line in SECTION.splitlines() if line.startswith("$ dask ")]
SCHEDULER_HOST, WORKER_HOST = "127.0.0.5", "127.0.0.6"


def certificates(folder: Path) -> dict[str, Any]:
    """The configuration of the manual, with a new certificate in that folder that is its own authority."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dask")])
    day, now = dt.timedelta(days=1), dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - day).not_valid_after(now + day)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    for file in ("ca.pem", "host.pem"):
        (folder / file).write_bytes(pem)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "host.key").write_bytes(secret)
    text = SECTION.partition("`/etc/dask/tls.yaml`:\n\n```yaml\n")[2].partition("```")[0]
    (folder / "tls.yaml").write_text(text.replace("/etc/dask", str(folder)))
    comm = yaml.safe_load((folder / "tls.yaml").read_text())["distributed"]["comm"]
    return {"distributed.comm": dask.config.merge(dask.config.get("distributed.comm"), comm)}


class DocumentedCluster:
    """The lines of the manual as processes, on two addresses of this machine."""

    def __init__(self, folder: Path) -> None:
        self.config = certificates(folder / "tls")
        port = free_port()
        self.address = f"tls://{SCHEDULER_HOST}:{port}"
        self.processes = [self._start(line, port, folder) for line in LINES]

    def _start(self, line: str, port: int, folder: Path) -> subprocess.Popen[bytes]:
        line = line.replace("10.0.0.5:8787", f"{SCHEDULER_HOST}:0").replace(
            "tcp://10.0.0.5:8786", self.address
        )
        _, *words = shlex.split(line.replace("10.0.0.5", SCHEDULER_HOST).replace("10.0.0.6", WORKER_HOST))
        if words[0] == "scheduler":
            words += ["--protocol", "tls", "--port", str(port)]
        else:
            words += ["--local-directory", str(folder)]
        dask = Path(sys.executable).with_name("dask")
        env = {"PATH": "/usr/bin:/bin", "DASK_CONFIG": str(folder / "tls")}
        with (folder / f"{words[0]}.log").open("wb") as log:
            return subprocess.Popen([dask, *words], stdout=log, stderr=log, cwd=folder, env=env)

    def listening(self) -> set[str]:
        """The addresses on which the processes and their children listen."""
        parents = [psutil.Process(process.pid) for process in self.processes]
        every = [member for parent in parents for member in (parent, *parent.children(recursive=True))]
        sockets = [socket for member in every for socket in member.net_connections()]
        return {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}

    def end(self) -> None:
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(PATIENCE)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[DocumentedCluster]:
    cluster = DocumentedCluster(tmp_path)
    yield cluster
    cluster.end()


def test_the_cluster_of_the_manual_runs_jobs_listens_on_its_addresses_alone_and_names_what_tls_lacks(
    cluster: DocumentedCluster, tmp_path: Path
) -> None:
    # Given a daemon with the certificates of the cluster
    with (
        dask.config.set(cluster.config),
        dask_driver(tmp_path / "attempts", tmp_path, cluster.address) as driver,
    ):
        driver.shell("exit 7")
        assert driver.result().code == 7
    assert cluster.listening() == {SCHEDULER_HOST, WORKER_HOST}
    # Without certificates, it names the configuration that is missing
    missing = "lacks distributed.comm.tls.ca-file and distributed.comm.tls.client.cert"
    with dask_driver(tmp_path / "attempts", tmp_path, cluster.address) as driver:
        until(lambda: missing in driver.executor.unavailable_reason, "the reason")
        driver.launch("true", attempt=2)
        end = driver.result()
        assert missing in end.detail
        assert not end.counts_as_attempt
    # With those of another authority, it says that they are not trusted
    with dask.config.set(certificates(tmp_path / "other")):
        (finding,) = check_cluster("dask", DaskSettings(scheduler=cluster.address))
    assert "a TLS connection that the scheduler" in finding.line
    assert "certificate verify failed" in finding.line
