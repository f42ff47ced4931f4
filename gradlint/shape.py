"""The shape of a rule file, told once: the loader checks by it and `rules/schema.json` is generated from it."""

from __future__ import annotations

import difflib
import re
from typing import Any

STATUSES = ("preview", "stable", "deprecated", "removed")
SEVERITIES = ("error", "warning", "info", "hint")
CONFIDENCES = ("high", "medium", "low")
OPTION_TYPES = ("float", "int", "bool", "str", "list")

_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_SNIPPET: dict[str, Any] = {
    "description": "One script, or file name -> text with the linted file first.",
    "oneOf": [_TEXT, {"type": "object", "additionalProperties": _TEXT, "minProperties": 1}],
}

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "gradlint rule",
    "type": "object",
    "additionalProperties": False,
    "required": [
        "code",
        "name",
        "family",
        "status",
        "severity",
        "confidence",
        "summary",
        "message",
        "why",
        "fix",
    ],
    "properties": {
        "code": {"type": "string", "pattern": "^[A-Z]{2,8}[0-9]{3,4}$", "description": "Never reused."},
        "name": {"type": "string", "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$", "description": "The name of the file."},
        "family": {
            "type": "string",
            "pattern": "^[a-z][a-z-]*$",
            "description": "`gradlint` is reported by the engine.",
        },
        "status": {"enum": list(STATUSES)},
        "default": {"type": "boolean", "description": "Whether a stable rule runs when nothing is selected."},
        "severity": {"enum": list(SEVERITIES)},
        "confidence": {"enum": list(CONFIDENCES)},
        "trace": {"type": "boolean", "description": "Whether the tracer can confirm or refute it."},
        "static": {"type": "boolean", "description": "False for a rule that only the tracer serves."},
        "tests": {
            "type": "boolean",
            "description": "False for a rule about how well a network trains: a test runs it only when selected.",
        },
        "summary": {**_TEXT, "description": "One sentence."},
        "message": {**_TEXT, "description": "Template over the finding's named values."},
        "why": {**_TEXT, "description": "Mechanism and size of the harm."},
        "options": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["type", "default", "description"],
                "properties": {"type": {"enum": list(OPTION_TYPES)}, "default": {}, "description": _TEXT},
            },
        },
        "fix": {**_TEXT, "description": "What to write instead."},
        "fine": {**_TEXT, "description": "When the pattern is fine."},
        "confirm": {**_TEXT, "description": "How the tracer confirms it."},
        "references": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["title", "url"],
                "properties": {"title": _TEXT, "url": {"type": "string", "pattern": "^https?://\\S+$"}},
            },
        },
        "examples": {
            "type": "array",
            "description": "The last key: `bad` fires on its marked lines, `good` is silent under all rules.",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["title"],
                "properties": {"title": _TEXT, "bad": _SNIPPET, "good": _SNIPPET, "fixed": _SNIPPET},
            },
        },
    },
}


class ShapeError(Exception):
    """A value that does not fit; `keys` leads to it from the top of the file."""

    def __init__(self, keys: tuple[str | int, ...], what: str) -> None:
        where = ".".join(str(key) for key in keys)
        super().__init__(f"{where}: {what}" if where else what)
        self.keys = keys


def check(data: object) -> None:
    """Raises ShapeError at the first value that does not have the shape of a rule."""
    _check(data, SCHEMA, ())
    assert isinstance(data, dict)
    for name, option in (data.get("options") or {}).items():
        if not _DEFAULTS[option["type"]](option["default"]):
            raise ShapeError(("options", name, "default"), f"is not of type {option['type']}")
    for index, example in enumerate(data.get("examples") or []):
        if ("bad" in example) == ("good" in example):
            raise ShapeError(("examples", index), "needs exactly one of `bad` and `good`")
        if "fixed" in example and "bad" not in example:
            raise ShapeError(("examples", index, "fixed"), "belongs to a `bad` example")


def line_of(text: str, *keys: str | int) -> int:
    """The 1-based line on which the value at `keys` stands, or its nearest known ancestor."""
    import yaml

    try:
        node = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return 1
    line = 1
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == str(key)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
        else:
            break
    return line


_DEFAULTS = {
    "float": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "bool": lambda value: isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
    "list": lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
}
_KINDS: dict[str, type | tuple[type, ...]] = {"string": str, "boolean": bool, "object": dict, "array": list}


def _check(value: object, schema: dict[str, Any], keys: tuple[str | int, ...]) -> None:
    """The few JSON Schema words that SCHEMA uses, with messages for people."""
    if "enum" in schema and value not in schema["enum"]:
        raise ShapeError(keys, f"`{value}` is not one of {', '.join(schema['enum'])}")
    if "oneOf" in schema:
        schema = schema["oneOf"][1 if isinstance(value, dict) else 0]
    kind = schema.get("type")
    if kind and not isinstance(value, _KINDS[kind]):
        raise ShapeError(keys, f"is not a {kind}")
    if isinstance(value, str):
        if len(value.strip()) < schema.get("minLength", 0):
            raise ShapeError(keys, "is empty")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            raise ShapeError(keys, f"`{value}` does not match {schema['pattern']}")
    elif isinstance(value, dict):
        _check_keys(value, schema, keys)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check(item, schema.get("items", {}), (*keys, index))


def _check_keys(value: dict[Any, Any], schema: dict[str, Any], keys: tuple[str | int, ...]) -> None:
    known = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for missing in schema.get("required", []):
        if missing not in value:
            raise ShapeError((*keys, missing), "is missing")
    for key, item in value.items():
        if key in known:
            _check(item, known[key], (*keys, key))
        elif others is False:
            near = difflib.get_close_matches(str(key), known, 1)
            raise ShapeError((*keys, key), "unknown key" + (f"; did you mean `{near[0]}`?" if near else ""))
        elif isinstance(others, dict):
            _check(item, others, (*keys, key))


if __name__ == "__main__":
    import json

    print(json.dumps(SCHEMA, indent=2))
