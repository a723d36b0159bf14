"""Examples as a comparer makes them."""

from __future__ import annotations

from typing import Any

from shadowproxy.model.pair import Difference, Example


def example(number: int = 1, **changes: Any) -> Example:
    values: dict[str, Any] = {
        "id": f"ex{number:05}",
        "service": "shop",
        "route": "item",
        "arm": "candidate",
        "request_id": f"r{number}",
        "at": 1000.0 + number,
        "method": "GET",
        "target": f"/items/{number}",
        "request_fields": [("Accept", "application/json")],
        "request_body": "",
        "primary_status": 200,
        "primary_fields": [("Content-Type", "application/json")],
        "primary_body": '{"price": 1.5, "name": "cup"}',
        "primary_seconds": 0.012,
        "shadow_status": 200,
        "shadow_fields": [("Content-Type", "application/json")],
        "shadow_body": '{"price": "1.5", "name": "cup"}',
        "shadow_seconds": 0.034,
        "failure": None,
        "differences": [Difference("$.price", "body_type", "1.5", '"1.5"')],
        "explanation": ["$.price changed its type"],
        "curl": f"curl -sS 'http://127.0.0.1:8080/items/{number}'",
        "cause": "c-price",
    }
    return Example(**{**values, **changes})
