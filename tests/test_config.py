"""Configuration: what is found, what wins, and one clear sentence for everything unknown."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jsonschema
import pytest
from conftest import USER_RULES, Run

from gradlint.config import KEYS, Finder, load
from gradlint.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FIRE = 'import torch\nx = "FIRE"\n'
RULES = f'extend-rules = ["{USER_RULES.as_posix()}"]\n'


@pytest.mark.parametrize("name", ["pyproject.toml", "gradlint.toml", ".gradlint.toml"])
def test_each_kind_of_file(project: Path, gradlint: Run, name: str) -> None:
    head = "[tool.gradlint]\n" if name == "pyproject.toml" else ""
    (project / name).write_text(f'{head}{RULES}select = ["XX001"]\n')
    (project / "a.py").write_text(FIRE)
    assert gradlint("a.py").returncode == 1


def test_nearest_file_wins(project: Path, gradlint: Run) -> None:
    (project / "gradlint.toml").write_text(f'{RULES}select = ["XX001"]\n')
    (project / "sub").mkdir()
    (project / "sub/gradlint.toml").write_text('select = ["GL101"]\n')
    (project / "a.py").write_text(FIRE)
    (project / "sub/b.py").write_text(FIRE)
    (project / "sub/pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert gradlint("-q", "--output-format", "concise").stdout.count("XX001") == 1


def test_pyproject_of_another_tool_is_passed_over(project: Path, gradlint: Run) -> None:
    (project / "gradlint.toml").write_text(f'{RULES}select = ["XX001"]\n')
    (project / "sub").mkdir()
    (project / "sub/pyproject.toml").write_text('[project]\nname = "gradlint"\n')
    (project / "sub/b.py").write_text(FIRE)
    assert gradlint("sub").returncode == 1


def test_extend(project: Path) -> None:
    (project / "base.toml").write_text('select = ["GL1"]\nignore = ["GL102"]\npreview = true\n')
    (project / "gradlint.toml").write_text('extend = "base.toml"\nignore = ["GL103"]\n')
    settings = load(project / "gradlint.toml")
    assert [word.text for word in settings.select or ()] == ["GL1"]
    assert [word.text for word in settings.ignore] == ["GL103"]
    assert settings.preview


def test_per_file_ignores(project: Path, gradlint: Run) -> None:
    (project / "gradlint.toml").write_text(
        f'{RULES}select = ["XX"]\n[per-file-ignores]\n"tests/**" = ["XX001"]\n"b_*.py" = ["marked-line"]\n'
    )
    for name in ("a.py", "b_1.py", "tests/deep/c.py"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(FIRE)
    lines = gradlint("-q", "--output-format", "concise").stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["a.py"]


TOY = """\
import torch
from torch import nn

model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.5)
for step in range(100):
    nn.functional.mse_loss(model(torch.rand(8, 4)), torch.rand(8, 2)).backward()
    optimizer.step()
"""
"""Never clears its gradients (GL101) and has a learning rate (GL601) that only a test may have."""


def _codes(output: str) -> set[tuple[str, str]]:
    return {(line.split(":")[0], line.split()[1]) for line in output.splitlines()}


def test_the_default_set_does_not_judge_how_well_a_test_trains(project: Path, gradlint: Run) -> None:
    names = ("train.py", "test_a.py", "a_test.py", "conftest.py", "tests/deep/test_b.py", "tests/train.py", "latest.py")
    for name in names:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(TOY)
    code = ("-q", "--no-cache", "--output-format", "concise")
    judged = {"train.py", "tests/train.py", "latest.py"}
    expected = {(name, "GL101") for name in names} | {(name, "GL601") for name in judged}
    assert _codes(gradlint(*code).stdout) == expected
    assert _codes(gradlint(*code, "test_a.py").stdout) == {("test_a.py", "GL101")}
    assert ("test_a.py", "GL601") in _codes(gradlint(*code, "--select", "GL6").stdout)
    (project / "gradlint.toml").write_text('extend-select = ["GL601"]\n')
    assert ("test_a.py", "GL601") in _codes(gradlint(*code, "test_a.py").stdout)
    (project / "gradlint.toml").write_text('test-files = ["latest.py"]\n')
    everywhere = {(name, code) for name in names for code in ("GL101", "GL601")}
    assert _codes(gradlint(*code).stdout) == everywhere - {("latest.py", "GL601")}
    (project / "gradlint.toml").write_text("test-files = []\n")
    assert _codes(gradlint(*code).stdout) == everywhere


def test_a_suppression_of_what_is_not_judged_in_tests_counts_as_used(project: Path, gradlint: Run) -> None:
    accepted = TOY.replace("lr=0.5)", "lr=0.5)  # gradlint: ignore[GL601] a toy")
    (project / "test_a.py").write_text(accepted)
    assert _codes(gradlint("-q", "--output-format", "concise").stdout) == {("test_a.py", "GL101")}


@pytest.mark.parametrize("name", ["marked-line", "XX001"])
def test_rule_options(project: Path, gradlint: Run, name: str) -> None:
    (project / "gradlint.toml").write_text(f'{RULES}select = ["XX"]\n[rules.{name}]\nword = "WATER"\n')
    (project / "a.py").write_text('import torch\nx = "FIRE"\ny = "WATER"\n')
    assert gradlint("-q", "--output-format", "concise").stdout == "a.py:3:6: XX001 [*] line 3 says WATER\n"


def test_command_line_wins(project: Path, gradlint: Run) -> None:
    (project / "gradlint.toml").write_text(f'{RULES}select = ["GL"]\nignore = ["XX001"]\noutput-format = "json"\n')
    (project / "a.py").write_text(FIRE)
    assert gradlint().stdout == "[]\n"
    assert gradlint("--select", "XX001", "--output-format", "concise", "-q").stdout.startswith("a.py:2:6")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('selct = ["GL1"]', "gradlint.toml:1: unknown key `selct`; did you mean `select`?"),
        ("# c\nselect = 3", "gradlint.toml:2: `select` is not a list of strings"),
        ('preview = "yes"', "gradlint.toml:1: `preview` is not true or false"),
        ('select = ["GL1O1"]', "gradlint.toml:1: unknown rule `GL1O1`; did you mean `GL1"),
        ('[per-file-ignores]\n"a.py" = ["GL1O1"]', "unknown rule `GL1O1`"),
        ("[rules.high-learning-rat]\nadam = 1.0", "gradlint.toml:1: unknown rule `high-learning-rat` in `rules`"),
        ("[rules.missing-zero-grad]\nx = 1", "gradlint.toml:1: rule `missing-zero-grad` has no option `x`"),
        (RULES + "[rules.marked-line]\nword = 1", "option `word` of rule `marked-line` is not of type str"),
        ("select = [", "gradlint.toml: not valid TOML:"),
        ('extend = "none.toml"', "gradlint.toml:1: `extend` names"),
        ('extend = "gradlint.toml"', "`extend` leads back to itself"),
        ('extend-rules = ["nowhere"]', "nowhere: no such folder of rules"),
        ('output-format = "sarff"', "unknown output format `sarff`; did you mean `sarif`?"),
        ('baseline = "none.json"', "none.json: no such baseline"),
    ],
)
def test_bad_configuration_is_one_sentence(project: Path, gradlint: Run, text: str, sentence: str) -> None:
    (project / "gradlint.toml").write_text(text + "\n")
    (project / "a.py").write_text("x = 1\n")
    result = gradlint("a.py")
    assert result.returncode == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_bad_configuration_of_a_subfolder_is_not_passed_over(project: Path, gradlint: Run) -> None:
    (project / "sub").mkdir()
    (project / "sub/gradlint.toml").write_text("selct = 1\n")
    (project / "sub/a.py").write_text("x = 1\n")
    assert gradlint(".").returncode == 2


def test_every_key_is_explained() -> None:
    assert all(field.metadata["description"].endswith(".") for field in KEYS.values())


def test_settings_are_looked_up_once_a_folder(project: Path) -> None:
    noted: list[str] = []
    finder = Finder(note=noted.append)
    first = finder.settings("")
    count = len(noted)
    assert finder.settings("") is first
    assert len(noted) == count
    assert str(project / "gradlint.toml") in noted


def test_load_names_the_key_of_a_wrong_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\ngradlint = 3\n")
    with pytest.raises(ConfigError, match=r"pyproject.toml:2: `tool.gradlint` is not a table"):
        load(tmp_path / "pyproject.toml")


def test_half_a_rule_of_ones_own_stops_the_run(project: Path, gradlint: Run) -> None:
    (project / "rules").mkdir()
    (project / "rules/marked-line.yaml").write_text((USER_RULES / "marked-line.yaml").read_text())
    (project / "gradlint.toml").write_text('extend-rules = ["rules"]\n')
    (project / "a.py").write_text(FIRE)
    result = gradlint("a.py")
    assert result.returncode == 2
    assert result.stderr == f"gradlint: {project / 'rules/marked-line.yaml'}: has no check marked_line.py\n"


def schema(gradlint: Run) -> jsonschema.Draft202012Validator:
    result = gradlint("config", "--schema")
    assert result.returncode == 0
    found = json.loads(result.stdout)
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


def parsed(text: str) -> object:
    return tomllib.loads(text)


def test_schema_takes_what_gradlint_takes(project: Path, gradlint: Run) -> None:
    text = """
extend = "base.toml"
select = ["ALL", "GL1", "missing-zero-grad", "vanishing", "MY001"]
ignore = []
preview = true
respect-gitignore = false
exclude = ["a/"]
extend-rules = ["mine"]
output-format = "sarif"
baseline = "accepted.json"
[per-file-ignores]
"tests/**" = ["GL1"]
[rules.high-learning-rate]
adam = 1
[rules.my-own]
word = "x"
[trace]
timeout = 60
"""
    validator = schema(gradlint)
    validator.validate(parsed(text))
    (project / "base.toml").write_text("")
    (project / "gradlint.toml").write_text(text)
    assert load(project / "gradlint.toml").output_format == "sarif"
    documented = {"extend", *KEYS}
    assert set(validator.schema["properties"]) == documented


@pytest.mark.parametrize(
    "text",
    [
        'selct = ["GL1"]',
        "select = 3",
        "select = [3]",
        'preview = "yes"',
        'output-format = "sarff"',
        '[per-file-ignores]\n"a.py" = "GL1"',
        "[rules]\nhigh-learning-rate = 1",
        "[rules.high-learning-rate]\nadm = 1.0",
        '[rules.GL601]\nadam = "much"',
    ],
)
def test_schema_refuses_what_gradlint_refuses(project: Path, gradlint: Run, text: str) -> None:
    assert not schema(gradlint).is_valid(parsed(text))
    (project / "gradlint.toml").write_text(text + "\n")
    (project / "a.py").write_text("x = 1\n")
    assert gradlint("a.py").returncode == 2
