"""`gradlint trace`: exit codes, formats, files, and one sentence for everything that cannot be done."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tracing import FIXTURES, python

from gradlint.catalog import Catalog
from gradlint.diagnostics import Diagnostic, Range, Severity
from gradlint.errors import ConfigError, UsageError
from gradlint.tracer.command import Static, check_with_trace, main
from gradlint.tracer.graph import TraceGraph

VANISHING = FIXTURES / "vanishing-gradient" / "deep_tanh_buggy.py"
CLEAN = FIXTURES / "vanishing-gradient" / "deep_tanh_fixed.py"
PYTHON = ["--python", python()]
Capture = pytest.CaptureFixture[str]


def claim(rule: str, script: Path, text: str) -> Diagnostic:
    number = next(number for number, line in enumerate(script.read_text("utf-8").splitlines(), 1) if text in line)
    span = Range(number, 1, number, 2)
    return Diagnostic(Catalog().rule(rule).code, rule, "claimed", Severity.WARNING, "medium", str(script), span)


def test_report_files_and_exit_code(tmp_path: Path, capsys: Capture) -> None:
    graph, picture = tmp_path / "graph.json", tmp_path / "flow.png"
    code = main([str(VANISHING), *PYTHON, "--save-graph", str(graph), "--plot", str(picture)])
    out, err = capsys.readouterr()
    assert code == 1
    assert "GL309" in out
    assert "smallest local gain" in out
    assert err.startswith(f"gradlint: tracing {VANISHING}")
    # weights of standard deviation 0.01: seven layers of width 64 and one of width 3 on the way back
    expected = 7 * math.log10(0.01 * math.sqrt(64)) + math.log10(0.01 * math.sqrt(3))
    [span] = TraceGraph.load(str(graph)).spans()
    assert span.decades == pytest.approx(expected, abs=0.5)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_json_of_a_clean_script(capsys: Capture) -> None:
    code = main([str(CLEAN), *PYTHON, "--output-format", "json", "--quiet"])
    out, err = capsys.readouterr()
    data = json.loads(out)
    assert (code, err) == (0, "")
    assert (data["schema_version"], data["script"], data["error"]) == (1, str(CLEAN), None)
    assert data["steps"] >= 1
    assert data["diagnostics"] == data["verdicts"] == []
    assert {"id", "kind", "name", "local_gain", "decades"} <= set(data["graph"]["nodes"][2])


@pytest.mark.parametrize(("fail_on", "code"), [("any", 0), ("confirmed", 0), ("refuted", 1)])
def test_refuted_findings_and_the_gate(capsys: Capture, fail_on: str, code: int) -> None:
    wrong = claim("saturating-stack", CLEAN, "nn.Tanh()")

    def lint(scripts: Sequence[str]) -> Static:
        assert list(scripts) == [str(CLEAN)]
        return Static([wrong], Catalog().rules)

    assert main([str(CLEAN), *PYTHON, "--fail-on", fail_on, "--quiet"], lint=lint) == code
    assert "1 refuted" in capsys.readouterr().out


def test_script_arguments_come_after_two_dashes(tmp_path: Path, capsys: Capture) -> None:
    script = tmp_path / "train.py"
    script.write_text("import sys\nraise SystemExit(f'got {sys.argv[1:]}')\n")
    assert main([str(script), *PYTHON, "--quiet", "--", "--epochs", "1"]) == 2
    assert "got ['--epochs', '1']" in capsys.readouterr().err


def test_a_script_that_raises_ends_with_one_sentence_and_its_own_last_words(tmp_path: Path, capsys: Capture) -> None:
    script = tmp_path / "train.py"
    script.write_text("import torch\ntorch.zeros(2) @ torch.zeros(3)\n")
    assert main([str(script), *PYTHON, "--quiet"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(f"gradlint: {script}:2: RuntimeError: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent.py"], "absent.py: no such script"),
        ([str(CLEAN), "--steps", "0"], "argument --steps: 0 is not at least 1"),
        ([str(CLEAN), "--timeout", "soon"], "argument --timeout: invalid"),
        ([str(CLEAN), "--fail-on", "never"], "argument --fail-on: invalid choice: 'never'"),
        ([str(CLEAN), "--no-such-option"], "unrecognized arguments: --no-such-option"),
        ([], "the following arguments are required: script"),
    ],
)
def test_wrong_use_is_one_sentence(capsys: Capture, arguments: list[str], said: str) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert (out, err.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"step": 1}, "unknown key `step`; did you mean `steps`?"), ({"steps": 0}, "0 is not at least 1")],
)
def test_wrong_configuration_is_one_sentence(capsys: Capture, settings: Mapping[str, int], said: str) -> None:
    assert main([str(CLEAN)], settings) == 2
    assert said in capsys.readouterr().err


def test_check_with_trace_joins_verdicts_and_own_findings() -> None:
    right = claim("saturating-stack", VANISHING, "nn.Tanh()")
    other = claim("scheduler-before-optimizer", CLEAN, "optimizer.zero_grad()")
    judged = check_with_trace(
        Static([right, other], Catalog().rules), [str(VANISHING)], settings={"quiet": True, "python": python()}
    )
    verdicts = {item.name: item.verdict and item.verdict.verdict for item in judged.diagnostics}
    assert verdicts["saturating-stack"] == "confirmed"
    assert verdicts["scheduler-before-optimizer"] is None
    assert judged.problems == ()
    assert {item.name for item in judged.failing} == set(verdicts)


def test_check_with_trace_reports_what_could_not_be_traced(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("1 / 0\n")
    judged = check_with_trace(Static([], {}), [str(script)], settings={"quiet": True, "python": python()})
    assert judged.diagnostics == ()
    [problem] = judged.problems
    assert problem.startswith(f"{script}:1: ZeroDivisionError")
    assert "ZeroDivisionError" in problem


def test_check_with_trace_refuses_unknown_words() -> None:
    with pytest.raises(UsageError, match="--fail-on: `never`"):
        check_with_trace(Static([], {}), [], fail_on="never")
    with pytest.raises(ConfigError, match="did you mean `timeout`"):
        check_with_trace(Static([], {}), [], settings={"timeoutt": 3})


def test_what_a_further_attempt_is_for_is_said(tmp_path: Path, capsys: Capture) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import torch\nif not torch.cuda.is_available():\n    raise RuntimeError('CUDA is not available')\n"
        "model = torch.nn.Linear(2, 1)\nmodel(torch.randn(3, 2)).mean().backward()\n"
    )
    assert main([str(script), *PYTHON]) == 0
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"gradlint: tracing {script}, ")
    assert second == ("gradlint: train.py:3: RuntimeError: CUDA is not available; starting again with a GPU pretended")
