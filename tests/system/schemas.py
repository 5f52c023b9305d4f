"""The JSON schemas of contrib/schema as referees of what the tool prints."""

import functools
import json
import os

from fixture import ROOT, missing

try:
    import jsonschema
except ImportError:
    jsonschema = None

FOLDER = os.path.join(ROOT, "contrib/schema")


@functools.lru_cache(None)
def schema(name):
    with open(os.path.join(FOLDER, name + ".json")) as f:
        return json.load(f)


@functools.lru_cache(None)
def validator(name, kind=None):
    """Of a whole schema, or of one of its definitions."""
    if not jsonschema:
        missing("python3-jsonschema")
    whole = schema(name)
    return jsonschema.Draft202012Validator({**whole["$defs"][kind], "$defs": whole["$defs"]} if kind else whole)


def valid(name, text, kind=None):
    """Each line of text is an object of this schema; returns them."""
    found = [json.loads(line) for line in text.splitlines()]
    for one in found:
        error = next(validator(name, kind).iter_errors(one), None)
        if error:
            deepest = min(error.context or [error], key=lambda e: (e.validator == "const" or len(e.path) == 0, -len(e.path)))
            raise AssertionError(f"{name}.json: {'/'.join(map(str, deepest.absolute_path))}: {deepest.message[:400]}\n{json.dumps(one)[:2000]}")
    return found
