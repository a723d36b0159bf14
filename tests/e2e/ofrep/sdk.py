"""Asks for flags as a service would: `python sdk.py URL TOKEN`, one line of JSON for each question."""

from __future__ import annotations

import json
import sys

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

url, token = sys.argv[1], sys.argv[2]
headers = (lambda: {"X-API-Key": token}) if token else None
api.set_provider(OFREPProvider(url, headers_factory=headers))
client = api.get_client()
ann = EvaluationContext("ann", {"email": "ann@x.com"})
for ask, key, default in (
    (client.get_boolean_details, "new-checkout", True),
    (client.get_string_details, "banner", "mine"),
    (client.get_integer_details, "limit", 7),
    (client.get_float_details, "ratio", 7.5),
    (client.get_object_details, "layout", {}),
    (client.get_boolean_details, "nobody", True),
    (client.get_integer_details, "banner", 7),
    (client.get_boolean_details, "off", True),
):
    found = ask(key, default, ann)
    code = found.error_code.value if found.error_code else None
    reason = getattr(found.reason, "value", found.reason)
    print(json.dumps({"value": found.value, "variant": found.variant, "reason": reason, "error": code}))
