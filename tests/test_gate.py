"""The gate: no file that may hold training code is dismissed, and few others are looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Run

from gradlint.facts import concerns

STEP = "    opt.zero_grad()\n    model(x).sum().backward()\n    opt.step()\n"

PASSES = {
    "import": "import torch\n",
    "second of an import": "import os, torch.nn as nn\n",
    "import inside a function": "def f():\n    from torch import nn\n",
    "import over lines": "from common import (\n    nn,\n    torch,\n)\n",
    "after a semicolon": "x = 1; import torch\n",
    "package around torch": "from my_torch_tools import *\n",
    "lightning": "import pytorch_lightning as pl\n",
    "import by name": 'from importlib import import_module\nnn = import_module("torch").nn\n',
    "class by name": "OPTIMIZER = 'torch.optim.Adam'\n",
    "star import": "from common import *\n\nmodel = torch.nn.Linear(1, 1)\n",
    "library handed over": "def build(lib=torch):\n    return lib.nn.Linear(1, 1)\n",
    "docstring over a loop": f'"""Steps of torch."""\n\n\ndef train(model, opt, x):\n{STEP}',
    "comment over a module": "from common import *\n# torch\nclass Net(nn.Module):\n    pass\n",
    "after a string with a hash": 'x = "#"; import torch\n',
    "after a quote in a comment": "# don't\nfrom common import torch\n",
    "notebook": '{"cells": [{"cell_type": "code", "source": ["import torch\\n"]}]}',
}
DISMISSED = {
    "no word of it": f"def train(model, opt, x):\n{STEP}",
    "comment": "import os  # as torch does\n",
    "docstring": '"""Import torch first, which\nis accelerated."""\nimport os\n',
    "long string": "TEXT = '''\nas torch\n'''\n",
}


@pytest.mark.parametrize("text", PASSES.values(), ids=PASSES)
def test_what_may_train_is_looked_at(text: str) -> None:
    assert concerns(text.encode())


@pytest.mark.parametrize("text", DISMISSED.values(), ids=DISMISSED)
def test_what_cannot_train_is_dismissed(text: str) -> None:
    assert not concerns(text.encode())


def test_a_helper_that_names_no_library_is_seen_through_its_script(project: Path, gradlint: Run) -> None:
    (project / "helper.py").write_text(
        "def train(model, loader, opt, criterion):\n"
        "    for x, y in loader:\n"
        "        criterion(model(x), y).backward()\n"
        "        opt.step()\n"
    )
    (project / "main.py").write_text(
        "import torch\nfrom helper import train\n\n"
        "model = torch.nn.Linear(4, 2)\n"
        "data = [(torch.randn(8, 4), torch.randint(0, 2, (8,)))] * 100\n"
        "train(model, data, torch.optim.SGD(model.parameters(), lr=0.1), torch.nn.CrossEntropyLoss())\n"
    )
    assert gradlint("helper.py").stdout == "All checks passed!\n"
    assert gradlint("main.py", "--select", "GL101", "--output-format", "concise").stdout.startswith("helper.py:4:")


def test_directives_are_judged_where_nothing_trains(project: Path, gradlint: Run) -> None:
    (project / "plain.py").write_text("import os\nimport sys  # noqa: GL9999\n")
    (project / "broken.py").write_text("x = (  # gradlint: ignore\n")
    assert gradlint("plain.py", "--output-format", "concise").stdout.startswith("plain.py:2:21: GL993")
    assert gradlint("broken.py", "--output-format", "concise").stdout.startswith("broken.py:1:5: GL991")
