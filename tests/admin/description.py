"""The description of the API as its reader uses it: is this answer one that it speaks of?"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any
from urllib.parse import quote

import jsonschema
from aiohttp.test_utils import TestClient
from yarl import URL

from shadowproxy.admin.api import OPERATIONS
from shadowproxy.admin.openapi import document

Client = TestClient[Any, Any]
Place = tuple[str, str]
"""A method in small letters, and a path with its parameters in braces."""
NAMES = {"id": "ex00001", "key": "new-checkout", "file": "main.js"}


class Description:
    """What `/openapi.json` says, and what has been seen of it."""

    def __init__(self) -> None:
        self.whole: dict[str, Any] = json.loads(document(OPERATIONS))
        self.operations: dict[Place, dict[str, Any]] = {
            (method, path): operation
            for path, methods in self.whole["paths"].items()
            for method, operation in methods.items()
        }
        self.seen: dict[Place, set[int]] = defaultdict(set)

    def statuses(self, place: Place) -> set[int]:
        return {int(status) for status in self.operations[place]["responses"] if status != "default"}

    def described(self) -> dict[Place, set[int]]:
        return {place: self.statuses(place) for place in self.operations}

    def parameters(self, place: Place) -> set[str]:
        return {each["name"] for each in self.operations[place].get("parameters", ()) if each["in"] == "query"}

    def takes_body(self, place: Place) -> bool:
        return "requestBody" in self.operations[place]

    def validate(self, schema: dict[str, Any], value: object) -> None:
        jsonschema.Draft202012Validator({**schema, "components": self.whole["components"]}).validate(value)

    def check(self, place: Place, status: int, kind: str, body: bytes) -> None:
        """Fails where an answer is not what is described."""
        answers = self.operations[place]["responses"]
        assert str(status) in answers, (place, status, body[:300])
        content = answers[str(status)].get("content")
        if content is not None:
            assert kind in content, (place, status, kind)
            if kind.endswith("json"):
                self.validate(content[kind]["schema"], json.loads(body))
        self.seen[place].add(status)

    async def ask(self, client: Client, place: Place, names: dict[str, str] | None = None, **options: Any) -> int:
        """Sends it and checks what comes. Of a stream the beginning."""
        method, path = place
        url = path.format(**{name: quote(each, safe="") for name, each in {**NAMES, **(names or {})}.items()})
        async with client.request(method, URL(url, encoded=True), **options) as response:
            is_stream = response.content_type == "text/event-stream"
            body = await (response.content.readany() if is_stream else response.read())
            self.check(place, response.status, response.content_type, body)
            return response.status
