"""The OpenAPI document and the app say the same: route by route, and example by example."""

from __future__ import annotations

import re
from typing import Any

import openapi_spec_validator
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings, strategies
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from backfilld.api.auth.tokens import Scope
from backfilld.api.openapi import document
from backfilld.api.routes import SECTIONS
from backfilld.daemon.executors.attempt_files import FileLog
from tests import postgresql
from tests.integration.api_with_tokens import Door, make_door, scope_of
from tests.integration.api_world import GAMES, Api, small_pipeline
from tests.simulation.world import World

EXAMPLES = 10
"""Of each operation, with tokens on: by people who may operate, who may read, and who may nothing."""
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
)
IMPLIED = {"HEAD", "OPTIONS"}
DOCUMENT = document(SECTIONS)
OPERATIONS = [(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item]


@pytest.fixture(scope="module")
def door(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Door:
    """An API with tokens, and with something to find: dates done and live, attempts, a log."""
    folder = tmp_path_factory.mktemp("api")
    url = request.getfixturevalue("postgresql_server").migrated() if postgresql.chosen() else None
    api = Api(World(small_pipeline(), GAMES, folder, url=url))
    api.world.executor.log = lambda attempt: FileLog(folder / "log")  # type: ignore[method-assign]
    (folder / "log").write_text("written\n" * 100)
    api.enqueue("2021-10-18", "2021-10-20")
    api.world.run()
    api.enqueue("2021-10-21", "2021-10-22")
    return make_door(folder, api.world)


@pytest.fixture(scope="module")
def described(door: Door) -> Any:
    """The document as the app serves it, bound to the app."""
    headers = {"Authorization": f"Bearer {door.read}"}
    return schemathesis.openapi.from_wsgi("/openapi.json", door.api.app, headers=headers)


def test_every_route_is_in_the_document_and_every_route_of_it_is_there(door: Door) -> None:
    # Given the app's routes and the document's
    served = {
        (method, re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule))
        for rule in door.api.app.url_map.iter_rules()
        for method in (rule.methods or set()) - IMPLIED
        if not rule.endpoint.startswith("page.")
    }
    # Then neither has what the other lacks
    assert served == set(OPERATIONS)


def test_the_document_is_served_as_it_is_built(door: Door) -> None:
    assert door.ask("GET", "/openapi.json", door.read).json == DOCUMENT
    assert DOCUMENT["openapi"] == "3.1.0"


def test_every_operation_is_described_and_named_once() -> None:
    operations = [item for path in DOCUMENT["paths"].values() for item in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[a-z]+([A-Z][a-z]+)*", operation_id) for operation_id in ids), ids
    assert {"getProgress", "listBackfills", "createBackfill", "pauseBackfill", "retryDate"} <= set(ids)
    for operation in operations:
        assert operation["summary"].endswith(".")
        assert operation["responses"]


def test_the_headers_of_an_answer_are_in_the_document(door: Door) -> None:
    # Given what every answer carries
    usual = set(door.ask("GET", "/v1/whoami", door.operate).headers.keys())
    for method, path, keys in (
        ("POST", "/v1/backfills", {"json": {"start": "2021-10-18"}}),
        ("GET", "/v1/calendar", {}),
        ("GET", "/v1/attempts/{id}/log", {}),
        ("POST", "/login", {"json": {"token": door.read}}),
        ("POST", "/logout", {}),
    ):
        # When one carries more
        answer = door.ask(method, path.format(id=1), door.operate, **keys)
        told = DOCUMENT["paths"][path][method.lower()]["responses"][str(answer.status_code)]
        # Then the document says so
        assert set(answer.headers.keys()) - usual == set(told["headers"]), path


def test_every_operation_is_described_and_names_its_scope() -> None:
    operations = [about for methods in DOCUMENT["paths"].values() for about in methods.values()]
    for about in operations:
        scope = about["x-required-scope"]
        ends = f"Needs the scope `{scope}`, if the daemon has tokens." if scope else "Needs no token."
        assert about["description"].endswith(ends)
    assert {about["x-required-scope"] for about in operations} == {None, "read", "operate"}
    assert DOCUMENT["info"]["license"]["identifier"] == "Apache-2.0"


def test_the_document_is_valid_openapi() -> None:
    openapi_spec_validator.validate(DOCUMENT)


def test_a_generated_client_gets_names_and_closed_sets_from_the_document() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    # No model has the name of a type that generated clients import
    assert not {"Date", "Response", "Client", "Any"} & schemas.keys()
    # Each closed set is an enumeration
    for model, field in (
        *(("DateDetail", "outcome"), ("DateDetail", "waiting"), ("DateSummary", "waiting")),
        *(("RequestedDate", "outcome"), ("WaitGroup", "reason"), ("Transition", "trigger"), ("Hold", "kind")),
    ):
        assert _values(schemas, schemas[model]["properties"][field]), (model, field)
    # And an array says what its items are
    assert "prefixItems" not in str(DOCUMENT)
    assert DOCUMENT["servers"]


def _values(schemas: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """The members of an enumeration, perhaps by reference or beside null."""
    cases = [schema, *schema.get("anyOf", [])]
    names = [case["$ref"].rsplit("/", 1)[1] for case in cases if "$ref" in case]
    return [value for case in (*cases, *(schemas[name] for name in names)) for value in case.get("enum", [])]


def test_problems_declare_their_headers(door: Door) -> None:
    refused = door.ask("GET", "/v1/dates")
    declared = DOCUMENT["paths"]["/v1/dates"]["get"]["responses"]
    assert "WWW-Authenticate" in refused.headers
    assert set(declared["401"]["headers"]) == {"WWW-Authenticate"}
    assert set(declared["429"]["headers"]) == {"Retry-After"}


def test_every_reference_of_the_document_leads_somewhere() -> None:
    known = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(re.findall(r"'\$ref': '([^']+)'", str(DOCUMENT))) <= known


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_whatever_is_sent_is_answered_within_the_document(
    described: Any, door: Door, method: str, path: str
) -> None:
    operation, tokens = described[path][method], door.tokens
    needed = scope_of(DOCUMENT["paths"][path][method.lower()])

    # When requests are made that fit the document and that do not, by those who may and those who may not
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @_given(operation)  # type: ignore[untyped-decorator]
    def ask(case: Any, who: str) -> None:
        headers = {"Accept-Encoding": "identity"}  # the client in this process does not unpack
        if tokens[who]:
            headers["Authorization"] = f"Bearer {tokens[who]}"
        answer = case.call(headers=headers)
        # Then no answer is outside of it, none is a server's error, and who may not is always refused
        case.validate_response(answer, checks=CHECKS)
        assert not re.search("[Ii]nput should|should (be|have|match)|Value error", answer.text)
        if needed is not None and who in ("nobody", "stranger"):
            assert answer.status_code == 401
        elif needed is Scope.OPERATE and who == "read":
            assert answer.status_code == 403

    ask()


def _given(operation: Any) -> Any:
    """Cases that fit the document, the same aimed at what is there, and cases that do not fit."""
    fits = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    aimed = strategies.tuples(fits, strategies.integers(1, 8)).map(_aimed)
    wrong = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    who = strategies.sampled_from(["operate"] * 6 + ["read"] * 2 + ["nobody", "stranger"])
    return given(case=fits | aimed | wrong, who=who)


def _aimed(drawn: tuple[Any, int]) -> Any:
    """The case, about a backfill, an attempt, a date and a processor that exist."""
    case, number = drawn
    known = {
        "id": number,
        "date": f"2021-10-{17 + number}",
        "kind": "processor" if "key" in case.path_parameters else "warehouse",
        "key": "box",
        "state": "done,pending",
        "processor": "box",
    }
    for place in (case.path_parameters, case.query, case.body):
        if isinstance(place, dict):
            place.update({name: value for name, value in known.items() if name in place})
            place.pop("cursor", None)
            if "dates" in place or "start" in place:
                for name in ("start", "end", "dates"):
                    place.pop(name, None)
                place["start"] = known["date"]
    return case
