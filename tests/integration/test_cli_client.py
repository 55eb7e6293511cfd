"""The command line against another server: a proxy, a foreign API, a slow answer, TLS."""

import json
import threading
import time

import flask
import pytest
from werkzeug.serving import make_server, make_ssl_devcert

from backfilld.api.cli.client import ApiError, Client
from backfilld.api.http.connections import IDLE_SECONDS
from backfilld.api.http.server import Server
from tests.integration.api_world import listening
from tests.integration.command_line import CommandLine

ENQUEUE = ("enqueue", "2021-10-19", "--json", "--url")


@pytest.fixture
def command(monkeypatch, capsys):
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def app():
    return flask.Flask(__name__)


def test_an_enqueue_that_a_proxy_redirects_fails(command, app):
    # Given a proxy whose redirect would make a GET of the POST
    app.add_url_rule("/v1/backfills", view_func=lambda: flask.redirect("/tls", 301), methods=["POST"])
    app.add_url_rule("/tls", "tls", lambda: {"items": [], "next_cursor": None})
    with listening(app) as url:
        ended = command(*ENQUEUE, url)
    assert (ended.code, ended.out) == (2, "")
    assert f"{url} redirects to /tls: set BACKFILLD_URL" in ended.err


@pytest.mark.parametrize("media_type", ["application/json", "application/problem+json"])
@pytest.mark.parametrize(
    "body",
    [{"errors": [{"message": "no"}]}, {"errors": {"start": ["no"]}}, {"errors": None}, {"code": 5}, ["no"]],
)
def test_the_problem_of_another_server_is_printed_as_its_status(command, app, body, media_type):
    app.add_url_rule(
        "/v1/backfills",
        view_func=lambda: flask.Response(json.dumps(body), 418, content_type=media_type),
        methods=["POST"],
    )
    with listening(app) as url:
        ended = command(*ENQUEUE, url)
    assert ended.code == 2
    assert f"HTTP 418 from {url}/v1/backfills: is that backfilld?" in ended.err


def test_no_text_of_a_server_moves_the_cursor(command, app):
    # Given an answer and a problem with control characters
    detail = {"date": "2021-10-19", "outcome": "already_done", "reason": "\x1b[1Aall is well"}
    receipt = {
        "id": 1,
        "start": "2021-10-19",
        "end": "2021-10-19",
        "dates": 1,
        "select": None,
        "outcomes": {},
    }
    app.add_url_rule("/v1/backfills", "ask", lambda: {**receipt, "details": [detail]}, methods=["POST"])
    app.add_url_rule("/v1/pause", "no", lambda: ({"detail": "\x1b[2Kno"}, 409), methods=["POST"])
    with listening(app) as url:
        printed, refused = command("enqueue", "2021-10-19", "--url", url), command("pause", "--url", url)
    assert printed.out.splitlines()[1] == "  2021-10-19  already_done  [1Aall is well"
    assert "\x1b" not in refused.err


def test_another_servers_list_is_no_answer_of_a_daemon(command, app):
    app.add_url_rule("/v1/progress", view_func=lambda: flask.jsonify([]))
    with listening(app) as url:
        ended = command("status", "--json", "--url", url)
    assert (ended.code, ended.out) == (1, "")
    assert f"{url} does not speak backfilld's API; correct --url or BACKFILLD_URL" in ended.err


def test_another_servers_file_is_no_log_of_a_job(command, app):
    app.add_url_rule("/v1/attempts/1/log", view_func=lambda: "all is well")
    with listening(app) as url:
        ended = command("logs", "1", "--url", url)
    assert (ended.code, ended.out) == (1, "")
    assert f"{url} does not speak backfilld's API; correct --url or BACKFILLD_URL" in ended.err


def test_the_page_of_a_proxy_is_no_answer_of_a_daemon(command, app):
    app.add_url_rule("/v1/progress", view_func=lambda: ("<html>Bad gateway</html>", 502))
    with listening(app) as url:
        ended = command("status", "--url", url)
    assert (ended.code, ended.err) == (1, f"backfilld: HTTP 502 from {url}/v1/progress: is that backfilld?\n")


def test_a_slow_answer_does_not_read_as_a_missing_daemon(app):
    # Given a daemon whose warehouse query takes long
    answered = threading.Event()
    app.add_url_rule("/v1/backfills", view_func=lambda: {"id": answered.wait(60)}, methods=["GET", "POST"])
    with listening(app) as url:
        slow = Client(url, timeout=0.2)
        try:
            # Then the change may still apply; a GET only takes long
            with pytest.raises(ApiError, match=r"within 0\.2 s; it may still apply the change: .* status$"):
                slow.post("/v1/backfills", {"start": "2021-10-19"})
            with pytest.raises(ApiError, match=r"within 0\.2 s$"):
                slow.get("/v1/backfills")
        finally:
            answered.set()


def test_a_certificate_is_trusted_by_the_environments_bundle_alone(command, app, tmp_path, monkeypatch):
    # Given a proxy with a certificate of a private authority
    app.add_url_rule("/v1/backfills", view_func=lambda: {"id": 7}, methods=["POST"])
    certificate, key = make_ssl_devcert(str(tmp_path / "proxy"), host="localhost")
    server = make_server("localhost", 0, app, threaded=True, ssl_context=(certificate, key))
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    url = f"https://localhost:{server.server_port}"
    try:
        # Then the error names the remedy, and the remedy works
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        refused = command(*ENQUEUE, url)
        assert refused.code == 1
        assert "certificate verify failed" in refused.err
        assert "set REQUESTS_CA_BUNDLE for your own authority" in refused.err
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "gone.pem"))
        assert f"no TLS with {url}: Could not find" in command(*ENQUEUE, url).err
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
        assert json.loads(command(*ENQUEUE, url).out) == {"id": 7}
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def test_https_at_a_port_without_tls_is_refused_at_once(app, command):
    # Given a daemon's server, which speaks plain HTTP
    server = Server(app, "127.0.0.1", 0)
    server.start()
    url = f"https://127.0.0.1:{server.port}"
    try:
        began = time.monotonic()
        refused = command("status", "--url", url)
        # Then the error is a sentence, long before any time limit
        message = f"backfilld: {url} answers without TLS: write http:// in --url or BACKFILLD_URL\n"
        assert (refused.code, refused.err) == (1, message)
        assert time.monotonic() - began < IDLE_SECONDS / 2
    finally:
        server.close()
