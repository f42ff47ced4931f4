"""The JSON Schema of a configuration file, for editors: keys of Settings, rules and their options of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradlint.catalog import Catalog, RuleSpec
from gradlint.config import KEYS
from gradlint.reporters import formats

_TYPES = {"float": "number", "int": "integer", "bool": "boolean", "str": "string"}
_LIST = {"type": "array", "items": {"type": "string"}}


def schema(catalog: Catalog) -> dict[str, Any]:
    """What stands under `[tool.gradlint]`, or in gradlint.toml at the top.

    Selectors are any string, since the user's own rules may be meant; the known ones are there for completion.
    """
    rules = catalog.rules
    known = [word for rule in rules.values() for word in (rule.code, rule.name)]
    known += dict.fromkeys(rule.family for rule in rules.values())
    kinds: dict[str, dict[str, Any]] = {
        "bool": {"type": "boolean"},
        "str": {"type": "string"},
        "list": _LIST,
        "codes": {"type": "array", "items": {"$ref": "#/$defs/selector"}},
        "codes-table": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"$ref": "#/$defs/selector"}},
        },
        "rules": {
            "type": "object",
            "properties": {word: _options(rule) for rule in rules.values() for word in (rule.name, rule.code)},
            "additionalProperties": {"type": "object"},
        },
        "table": {"type": "object"},
    }
    properties: dict[str, Any] = {
        "extend": {"type": "string", "description": "Another configuration file, whose values come first."}
    }
    for key, field in KEYS.items():
        properties[key] = {**kinds[field.metadata["kind"]], "description": field.metadata["description"]}
    properties["output-format"]["enum"] = formats()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gradlint",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": {"selector": {"anyOf": [{"enum": ["ALL", *known]}, {"type": "string"}]}},
    }


def _options(rule: RuleSpec) -> Mapping[str, Any]:
    options = {
        name: {
            **(_LIST if option.type == "list" else {"type": _TYPES[option.type]}),
            "default": option.default,
            "description": option.description,
        }
        for name, option in rule.options.items()
    }
    return {"type": "object", "description": rule.summary, "properties": options, "additionalProperties": False}
