"""Runs in the environment of the reference: cases come as lines of JSON, answers go the same way."""

from __future__ import annotations

import io
import json
import logging
import sys
from time import perf_counter

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError

DEFAULTS = {"boolean": True, "string": "mine", "integer": 7, "float": 7.5, "object": {"mine": 1}}
_cores = {}


def core_of(text):
    if text not in _cores:
        _cores.clear()
        core = FlagdCore()
        core.set_flags(text)
        _cores[text] = core
    return _cores[text]


def answer(case):
    context = dict(case["context"])
    key = context.pop("targetingKey", None)
    try:
        core = core_of(case["definitions"])
        resolve = getattr(core, f"resolve_{case['type']}_value")
        asked = EvaluationContext(key, context)
        said = resolve(case["key"], DEFAULTS[case["type"]], asked)
    except OpenFeatureError as error:
        return {"error": error.error_code.value}
    except Exception as error:
        return {"error": "GENERAL", "crash": type(error).__name__}
    told = {"value": said.value, "variant": said.variant, "reason": str(getattr(said.reason, "value", said.reason))}
    if "times" in case:
        began = perf_counter()
        for _ in range(case["times"]):
            resolve(case["key"], DEFAULTS[case["type"]], asked)
        told["seconds"] = (perf_counter() - began) / case["times"]
    return told


logging.disable(logging.CRITICAL)
answers, sys.stdout = sys.stdout, io.StringIO()  # the operator `log` prints
for line in sys.stdin:
    answers.write(json.dumps([answer(case) for case in json.loads(line)]) + "\n")
    answers.flush()
