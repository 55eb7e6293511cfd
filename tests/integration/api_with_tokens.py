"""The API with tokens on, and what its document says of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from werkzeug.test import TestResponse

from backfilld.api.auth.tokens import Scope, mint
from tests.integration.api_world import Api, make_api
from tests.simulation.world import World


@dataclass(frozen=True)
class Door:
    """An API with tokens, and the tokens."""

    api: Api
    file: Path
    read: str
    operate: str

    @property
    def tokens(self) -> dict[str, str]:
        """By what it may do, also for those who may do nothing."""
        stranger, _ = mint("stranger", Scope.OPERATE)
        return {"nobody": "", "stranger": stranger, "read": self.read, "operate": self.operate}

    def ask(self, method: str, path: str, token: str = "", **keys: Any) -> TestResponse:
        """The answer to a request with a token, or without any."""
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **keys.pop("headers", {})}
        return self.api.client.open(path, method=method, headers=headers, **keys)


def make_door(folder: Path, world: World | None = None, **keys: Any) -> Door:
    """An API with two tokens, over a world of its own unless one is given."""
    (read, first), (operate, second) = mint("grafana", Scope.READ), mint("ana", Scope.OPERATE)
    file = folder / "tokens"
    file.write_text(f"{first}\n{second}\n")
    file.chmod(0o600)
    api = Api(world, tokens=file, **keys) if world is not None else make_api(folder, tokens=file, **keys)
    return Door(api, file, read, operate)


def scope_of(about: dict[str, Any]) -> Scope | None:
    """The one scope that the document asks for, by either of its two ways."""
    scope = about["x-required-scope"]
    assert about["security"] == ([{"token": []}, {"session": []}] if scope else [])
    return Scope(scope) if scope else None
