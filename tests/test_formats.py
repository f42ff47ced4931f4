"""Every format on real output: each is read back by what it is made for."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import ROOT, Run

from gradlint.reporters import formats

SCRIPT = (
    'import torch\nx = "FIRE"  # a, b: 100%\ny = (\n    "FIRE",\n)\nz = "FIRE"  # gradlint: ignore[XX001] on purpose\n'
)


@pytest.fixture
def script(marked: Path) -> Path:
    (marked / "a file.py").write_text(SCRIPT)
    cells = [{"cell_type": "markdown", "source": "#"}, {"cell_type": "code", "source": "import torch\nx = (\n"}]
    (marked / "nb.ipynb").write_text(json.dumps({"nbformat": 4, "cells": cells}))
    return marked


def test_formats_are_those_documented() -> None:
    assert formats() == [
        "azure", "checkstyle", "concise", "full", "github", "gitlab", "json", "json-lines", "junit", "pylint", "rdjson",
        "sarif",
    ]  # fmt: skip


@pytest.mark.parametrize("name", formats())
def test_clean_output_of_machine_formats_is_well_formed(project: Path, gradlint: Run, name: str) -> None:
    (project / "a.py").write_text("import torch\n")
    result = gradlint("a.py", "--output-format", name)
    assert result.returncode == 0
    if name in ("json", "gitlab"):
        assert json.loads(result.stdout) == []
    elif name in ("rdjson", "sarif"):
        assert json.loads(result.stdout)
    elif name in ("junit", "checkstyle"):
        assert ElementTree.fromstring(result.stdout) is not None
    elif name in ("full", "concise"):
        assert result.stdout == "All checks passed!\n"
    else:
        assert result.stdout == ""


def test_json(script: Path, gradlint: Run) -> None:
    items = json.loads(gradlint("--output-format", "json").stdout)
    assert [(item["code"], item["filename"], item["cell"]) for item in items] == [
        ("XX001", "a file.py", None), ("XX001", "a file.py", None), ("GL991", "nb.ipynb", 2),
    ]  # fmt: skip
    first = items[0]
    assert first["location"] == {"row": 2, "column": 6}
    assert first["end_location"] == {"row": 2, "column": 10}
    assert (first["severity"], first["confidence"], first["name"]) == ("warning", "high", "marked-line")
    assert first["url"].startswith("https://")
    assert first["fix"] == {
        "applicability": "safe",
        "message": "Whisper",
        "edits": [{"content": "fire", "location": first["location"], "end_location": first["end_location"]}],
    }
    assert items[2]["location"] == {"row": 2, "column": 5}
    assert items[2]["fix"] is None


def test_json_lines(script: Path, gradlint: Run) -> None:
    lines = gradlint("--output-format", "json-lines").stdout.splitlines()
    assert [json.loads(line) for line in lines] == json.loads(gradlint("--output-format", "json").stdout)


LOCATION = {
    "type": "object",
    "required": ["physicalLocation"],
    "properties": {
        "id": {"type": "integer", "minimum": -1},
        "message": {"type": "object", "required": ["text"]},
        "physicalLocation": {
            "type": "object",
            "required": ["artifactLocation", "region"],
            "additionalProperties": False,
            "properties": {
                "artifactLocation": {
                    "type": "object",
                    "required": ["uri"],
                    "additionalProperties": False,
                    "properties": {
                        "uri": {"type": "string", "pattern": r"^[^ \\]+$"},
                        "uriBaseId": {"const": "SRCROOT"},
                    },
                },
                "region": {"$ref": "#/$defs/region"},
            },
        },
    },
    "additionalProperties": False,
}
SARIF: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$defs": {
        "region": {
            "type": "object",
            "additionalProperties": False,
            "required": ["startLine", "startColumn", "endLine", "endColumn"],
            "properties": {
                name: {"type": "integer", "minimum": 1} for name in ("startLine", "startColumn", "endLine", "endColumn")
            },
        },
        "text": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}},
    },
    "type": "object",
    "required": ["$schema", "version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "additionalProperties": False,
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name", "rules"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": {"const": "gradlint"},
                                    "semanticVersion": {"type": "string", "pattern": r"^\d+\.\d+\.\d+"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id", "name", "shortDescription", "fullDescription", "help"],
                                            "additionalProperties": False,
                                            "properties": {
                                                "id": {"type": "string"},
                                                "name": {"type": "string"},
                                                "shortDescription": {"$ref": "#/$defs/text"},
                                                "fullDescription": {"$ref": "#/$defs/text"},
                                                "help": {"$ref": "#/$defs/text"},
                                                "helpUri": {"type": "string", "format": "uri"},
                                                "defaultConfiguration": {
                                                    "type": "object",
                                                    "properties": {
                                                        "level": {"enum": ["none", "note", "warning", "error"]}
                                                    },
                                                },
                                                "properties": {"type": "object"},
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "originalUriBaseIds": {"type": "object"},
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": {"$ref": "#/$defs/text"},
                                "locations": {"type": "array", "minItems": 1, "items": LOCATION},
                                "relatedLocations": {"type": "array", "uniqueItems": True, "items": LOCATION},
                                "codeFlows": {"type": "array"},
                                "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
                                "fixes": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "required": ["artifactChanges"],
                                        "additionalProperties": False,
                                        "properties": {
                                            "description": {"$ref": "#/$defs/text"},
                                            "artifactChanges": {
                                                "type": "array",
                                                "minItems": 1,
                                                "items": {
                                                    "type": "object",
                                                    "required": ["artifactLocation", "replacements"],
                                                    "properties": {
                                                        "replacements": {
                                                            "type": "array",
                                                            "minItems": 1,
                                                            "items": {
                                                                "type": "object",
                                                                "required": ["deletedRegion"],
                                                                "additionalProperties": False,
                                                                "properties": {
                                                                    "deletedRegion": {"$ref": "#/$defs/region"},
                                                                    "insertedContent": {"type": "object"},
                                                                },
                                                            },
                                                        }
                                                    },
                                                },
                                            },
                                        },
                                    },
                                },
                                "suppressions": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "required": ["kind"],
                                        "additionalProperties": False,
                                        "properties": {
                                            "kind": {"enum": ["inSource", "external"]},
                                            "justification": {"type": "string"},
                                        },
                                    },
                                },
                                "properties": {"type": "object"},
                            },
                        },
                    },
                },
            },
        },
    },
}
"""What gradlint uses of SARIF 2.1.0, as strict as the standard's own schema and closed against everything else."""


def test_sarif(script: Path, gradlint: Run) -> None:
    log = json.loads(gradlint("--output-format", "sarif").stdout)
    jsonschema.Draft202012Validator(SARIF).validate(log)
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[item["ruleIndex"]]["id"] == item["ruleId"] for item in run["results"])
    assert [item["ruleId"] for item in run["results"]] == ["XX001", "XX001", "GL991", "XX001"]
    assert [item.get("suppressions") for item in run["results"]] == [
        None, None, None, [{"kind": "inSource", "justification": "on purpose"}],
    ]  # fmt: skip
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%20file.py"
    fingerprints = [item["partialFingerprints"]["gradlint/v1"] for item in run["results"]]
    assert len(set(fingerprints)) == 4


def test_fingerprints_survive_moved_lines(script: Path, gradlint: Run) -> None:
    def fingerprints() -> list[str]:
        return [item["fingerprint"] for item in json.loads(gradlint("a file.py", "--output-format", "gitlab").stdout)]

    before = fingerprints()
    (script / "a file.py").write_text(SCRIPT.replace("import torch\n", "import torch\n\n# more\n\n"))
    assert fingerprints() == before
    assert len(set(before)) == 2


def test_github(script: Path, gradlint: Run) -> None:
    lines = gradlint("--output-format", "github").stdout.splitlines()
    assert lines[0] == (
        "::warning title=gradlint (XX001),file=a file.py,line=2,endLine=2,col=6,endColumn=10"
        "::a file.py:2:6: XX001 line 2 says FIRE"
    )
    assert lines[2].startswith(
        "::error title=gradlint (GL991),file=nb.ipynb,line=1,endLine=1::nb.ipynb:cell 2:2:5: GL991 "
    )


def test_github_escapes(marked: Path, gradlint: Run) -> None:
    (marked / "a,b%.py").write_text(SCRIPT)
    line = gradlint("a,b%.py", "--output-format", "github").stdout.splitlines()[0]
    assert "file=a%2Cb%25.py," in line


@pytest.mark.parametrize("name", ["junit", "checkstyle"])
def test_xml(script: Path, gradlint: Run, name: str) -> None:
    root = ElementTree.fromstring(gradlint("--output-format", name).stdout)
    found = list(root.iter("failure" if name == "junit" else "error"))
    assert len(found) == 3
    assert "line 2 says FIRE" in found[0].attrib["message"]


def test_rdjson(script: Path, gradlint: Run) -> None:
    items = json.loads(gradlint("--output-format", "rdjson").stdout)["diagnostics"]
    assert items[0]["suggestions"][0]["text"] == "fire"
    assert items[0]["location"]["range"]["start"] == {"line": 2, "column": 6}


def test_pylint(script: Path, gradlint: Run) -> None:
    assert gradlint("--output-format", "pylint").stdout.splitlines()[0] == "a file.py:2: [XX001] line 2 says FIRE"


def test_azure(script: Path, gradlint: Run) -> None:
    first = gradlint("--output-format", "azure").stdout.splitlines()[0]
    assert first == (
        "##vso[task.logissue type=warning;sourcepath=a file.py;linenumber=2;columnnumber=6;code=XX001;]line 2 says FIRE"
    )


def matchers() -> list[tuple[str, dict[str, Any]]]:
    github = json.loads((ROOT / "editors/github-matcher.json").read_text())["problemMatcher"][0]["pattern"][0]
    vscode = json.loads((ROOT / "editors/vscode-tasks.json").read_text())["tasks"][0]["problemMatcher"]["pattern"]
    return [("github", github), ("vscode", vscode)]


@pytest.mark.parametrize(("name", "pattern"), matchers())
def test_problem_matchers_match_real_output(script: Path, gradlint: Run, name: str, pattern: dict[str, Any]) -> None:
    lines = gradlint("--output-format", "concise").stdout.splitlines()
    found = [match for line in lines if (match := re.match(pattern["regexp"], line))]
    keys = ("file", "line", "column", "code", "message")
    assert [tuple(match[pattern[key]] for key in keys) for match in found] == [
        ("a file.py", "2", "6", "XX001", "line 2 says FIRE"),
        ("a file.py", "4", "6", "XX001", "line 4 says FIRE"),
        ("nb.ipynb", "2", "5", "GL991", "'(' was never closed"),
    ]


def test_vscode_task_runs_the_format_its_pattern_reads() -> None:
    task = json.loads((ROOT / "editors/vscode-tasks.json").read_text())["tasks"][0]
    assert "--output-format concise" in task["command"]
