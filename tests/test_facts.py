"""The semantic model of whole scripts, against descriptions that were checked by hand with the `.md` beside each
script.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gradlint.facts import Project
from gradlint.facts.events import Backward, ClipGrad, Event, ModeSwitch, OptimizerStep, ZeroGrad, walk
from gradlint.facts.model import TrainingFacts
from gradlint.facts.show import render
from gradlint.facts.values import Optimizer
from gradlint.source import Source, read

FOLDER = Path(__file__).parent / "fixtures" / "facts"
SCRIPTS = sorted([*FOLDER.glob("*.py"), *FOLDER.glob("*/train.py")])


def _read(path: str) -> Source | None:
    return read(path) if Path(path).is_file() else None


def _facts(path: Path) -> TrainingFacts:
    return Project(_read).facts(read(str(path)))


def _script_events(facts: TrainingFacts) -> list[Event]:
    return walk(facts.runs[0].tree)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.parent.name + "/" + path.name)
def test_golden(script: Path) -> None:
    text = render(_facts(script)).replace(f"{FOLDER}/", "")
    assert text == script.with_suffix(".facts").read_text("utf-8")


def test_gan_optimizers_hold_one_network_each() -> None:
    facts = _facts(FOLDER / "gan.py")
    held = {facts.name_of(o): [facts.name_of(owner) for owner in o.parameters[0].owners] for o in facts.optimizers}
    assert held == {"optimizerD": ["netD"], "optimizerG": ["netG"]}


def test_gan_discriminator_loss_on_fakes_does_not_reach_the_generator() -> None:
    facts = _facts(FOLDER / "gan.py")
    reached = [
        sorted(facts.name_of(root) for root in event.tensor.roots)
        for event in _script_events(facts)
        if isinstance(event, Backward) and event.tensor is not None
    ]
    assert reached == [["netD"], ["netD"], ["netD", "netG"]]


def test_trainer_class_updates_in_order() -> None:
    events = _script_events(_facts(FOLDER / "trainer_class.py"))
    order = [type(e) for e in events if isinstance(e, (ZeroGrad, Backward, ClipGrad, OptimizerStep))]
    assert order == [ZeroGrad, Backward, ClipGrad, OptimizerStep]


def test_model_from_another_file_is_the_one_trained() -> None:
    facts = _facts(FOLDER / "two_files" / "train.py")
    steps = [e.optimizer for e in _script_events(facts) if isinstance(e, OptimizerStep)]
    assert len(steps) == 1
    assert isinstance(steps[0], Optimizer)
    assert steps[0].place.path.endswith("two_files/model.py")


def test_evaluation_switches_mode_without_recording() -> None:
    events = _script_events(_facts(FOLDER / "train_functions.py"))
    assert [e.training for e in events if isinstance(e, ModeSwitch)] == [True, False]
