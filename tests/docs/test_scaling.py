"""explanation/scaling.md shows what `python -m bench.simulate` yields, and its plots are of it."""

import re

import pytest

from asgi_tasks.management.tables import number
from bench.simulation.plots import digest
from bench.simulation.run import simulate
from bench.simulation.scenarios import DEPLOYED, SCENARIOS, Scenario, limits
from bench.simulation.tables import page
from tests.processes import ROOT

PAGE = ROOT / "docs/explanation/scaling.md"
TABLES = ("limits", "settings", "results", "variations", "costs", "facts")


@pytest.fixture(scope="module")
def runs():
    return [simulate(scenario) for scenario in SCENARIOS]


@pytest.fixture(scope="module")
def tables(runs):
    return page(runs)


def test_page_names_every_table_of_the_simulation(tables):
    assert tuple(tables) == TABLES


@pytest.mark.parametrize("name", TABLES)
def test_table_of_the_page_is_what_the_simulation_yields(name, tables):
    assert f"\n\n{tables[name]}\n\n" in PAGE.read_text(), "copy it from python -m bench.simulate"


def test_figures_of_the_text_are_those_of_the_simulation(runs):
    text = PAGE.read_text()
    task = runs[0].scenario.task
    [settled] = [run for run in runs if run.scenario.name == "100000"]
    deployed = limits(Scenario(name="", title="", rate=0, settings=DEPLOYED))[0]
    for shown in (
        f"do {number(deployed.rate)}, so",
        f"is a task for {1 / task.instance_seconds:.0f} a second",
        f"{1e3 * task.instance_seconds:.1f} ms, and",
        f"{round(settled.settled_under_way, -3):,.0f} pushes are under way",
        f"almost {round(settled.settled_instances, -2):.0f} instances",
    ):
        assert shown in re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_plot_on_the_page_is_of_this_run(scenario, runs):
    [run] = [run for run in runs if run.scenario is scenario]
    name = f"images/scaling-{scenario.name}.svg"
    assert f"(../{name})" in PAGE.read_text()
    assert digest(run) in (ROOT / "docs" / name).read_text(), (
        "draw it with python -m bench.simulate --plot docs/images"
    )
