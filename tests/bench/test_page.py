"""The page, its plots and the file they are made of."""

import json
import re

import pytest

from bench import page, plots, results
from bench.figures import Curve, Figure, Measured, Plan, Plot, alternate, ratios
from bench.measures import MEASURES
from tests.processes import ROOT

DOCS = ROOT / "docs"
FIGURES = [
    Figure(name="our pushes", unit="a second", values=[3400.26, 3300, 3500]),
    Figure(name="theirs", unit="a second", values=[500, 510, 520.5]),
    Figure(name="ours against theirs", unit="times", values=[6.8, 6.4706, 6.7243], at_least=5),
    Figure(name="memory", unit="MB", values=[31, 32.5, 33], at_most=30),
]
TABLE = """\
| figure | unit | median | least | most | wanted |
| --- | --- | --- | --- | --- | --- |
| our pushes | a second | 3,400 | 3,300 | 3,500 |  |
| theirs | a second | 510 | 500 | 520 |  |
| ours against theirs | times | 6.72 | 6.47 | 6.8 | at least 5: reached |
| memory | MB | 32.5 | 31 | 33 | at most 30: **not reached** |"""
CURVE = Plot(
    title="Look-up",
    x="routes",
    y="ns",
    curves=[Curve(name="ours", points=[(1, 70.0), (1000, 71.5)])],
    is_log_x=True,
)


def measured(figures=FIGURES, curves=()):
    return Measured(figures=figures, plots=curves)


def document(**rows):
    made = {name: results.row(each, Plan(rounds=3), 12.4) for name, each in rows.items()}
    return results.here() | {"rows": made}


def committed():
    return json.loads((DOCS / "benchmarks.json").read_text())


def test_table_shows_the_spread_and_what_is_wanted():
    row = results.row(measured(), Plan(rounds=3), 12.4)
    table, words, plot = page.section("3", row).split("\n\n")
    assert table == TABLE
    assert re.fullmatch(r"Measured on \d{4}-\d\d-\d\d, 3 rounds\.", words)
    assert plot == "![Row 3, drawn](images/bench-3.svg)"


def test_row_without_anything_to_compare_has_no_plot():
    row = results.row(measured(FIGURES[2:]), Plan(rounds=3), 12.4)
    assert "![" not in page.section("3", row)


def test_summary_has_what_is_wanted_and_nothing_else():
    lines = page.summary(document(three=measured())).splitlines()
    assert lines[2:] == [
        "| three | ours against theirs | 6.72 times | 6.47 to 6.8 | at least 5: reached |",
        "| three | memory | 32.5 MB | 31 to 33 | at most 30: **not reached** |",
    ]


@pytest.mark.parametrize(
    ("values", "bounds", "is_reached"),
    [
        ([1, 5, 6], {"at_least": 5}, True),
        ([1, 4.9, 6], {"at_least": 5}, False),
        ([0, 1.25, 9], {"at_most": 1.25}, True),
        ([0, 1.26, 9], {"at_most": 1.25}, False),
        ([0], {"at_most": 0}, True),
        ([1], {"at_most": 0}, False),
    ],
)
def test_median_decides_whether_a_figure_is_reached(values, bounds, is_reached):
    assert Figure(name="it", unit="times", values=values, **bounds).is_reached is is_reached


@pytest.mark.parametrize("values", [[], [1, float("nan")], [float("inf")]])
def test_what_is_no_number_is_no_figure(values):
    with pytest.raises(ValueError, match="it: no figure in"):
        Figure(name="it", unit="times", values=values)


def test_subjects_take_turns_after_a_round_that_does_not_count():
    order = []
    subjects = {name: lambda name=name: order.append(name) or len(order) for name in "abc"}
    found = alternate(Plan(rounds=2), subjects)
    assert "".join(order) == "abc" + "abc" + "bca"
    assert found == {"a": [4, 9], "b": [5, 7], "c": [6, 8]}


def test_ratios_are_of_the_same_round():
    assert ratios([10, 40], [5, 10]) == [2, 4]
    with pytest.raises(ValueError, match="shorter"):
        ratios([10, 40], [5])


def test_figures_come_back_from_the_file_with_four_digits():
    found = json.loads(results.dump(document(three=measured(curves=[CURVE]))))
    back = Measured.from_json(found["rows"]["three"])
    assert back.figures[0] == Figure(name="our pushes", unit="a second", values=[3400, 3300, 3500])
    assert back.figures[2].values == [6.8, 6.471, 6.724]
    assert back.plots[0].curves[0].points == [[1, 70], [1000, 71.5]]


def test_values_of_a_figure_are_on_one_line_of_the_file():
    assert '"values": [3400.0, 3300, 3500],\n' in results.dump(document(three=measured()))


def test_file_says_on_what_it_was_measured():
    found = results.here()
    assert found["machine"].keys() == {"processors", "processor", "memory_gb"}
    assert found["versions"].keys() == {"Python", *results.DISTRIBUTIONS}
    assert results.is_of_here(found)
    assert not results.is_of_here(found | {"versions": found["versions"] | {"Django": "5.0"}})


def test_plot_is_the_same_for_the_same_figures_and_says_which():
    drawn = plots.svg(measured(curves=[CURVE]))
    assert drawn == plots.svg(measured(curves=[CURVE]))
    assert plots.digest(measured(curves=[CURVE])) in drawn
    assert plots.digest(measured()) not in drawn
    for word in ("our pushes", "theirs", "a second", "3,400", "Look-up", "routes", "ns"):
        assert f">{word}<" in drawn, word


@pytest.mark.parametrize(
    "logarithmic", [{}, {"is_log_x": True}, {"is_log_x": True, "is_log_y": True}]
)
def test_axes_are_logarithmic_where_a_plot_says_so(logarithmic):
    curves = [Curve(name="ours", points=[(1, 1), (1_000_000, 1_000_000)])]
    plot = Plot(title="It", x="x", y="y", curves=curves, **logarithmic)
    drawn = plots.svg(measured(figures=[], curves=[plot]))
    assert drawn.count(">1,000<") == len(logarithmic)


def test_every_row_has_a_section_on_the_page():
    text = (DOCS / "benchmarks.md").read_text()
    for row in MEASURES:
        before, found, _ = text.partition(f"<!-- row {row} -->")
        assert found
        heading = re.findall(r"^## (.+)$", before, re.MULTILINE)[-1]
        assert heading.startswith(f"{row}. ") or not row[0].isdigit()


def test_page_is_what_the_file_makes_of_it():
    text = (DOCS / "benchmarks.md").read_text()
    assert page.rewrite(text, committed(), MEASURES) == text


def test_plots_are_of_the_figures_in_the_file():
    rows = committed()["rows"]
    of_rows = {name: Measured.from_json(row) for name, row in rows.items()}
    drawn = {plots.file_name(name): each for name, each in of_rows.items() if plots.panels(each)}
    assert {path.name for path in (DOCS / "images").glob("bench-*.svg")} == drawn.keys()
    for name, each in drawn.items():
        assert plots.digest(each) in (DOCS / "images" / name).read_text(), name


def test_figures_in_the_file_are_of_five_rounds_or_more():
    assert all(row["rounds"] >= 5 for row in committed()["rows"].values())


@pytest.mark.parametrize(
    "text",
    ["nothing", "<!-- row 3 -->", "<!-- row 3 --> <!-- end of row 3 -->" * 2],
    ids=["absent", "open", "twice"],
)
def test_page_without_one_place_for_a_row_is_refused(text):
    around = "<!-- machine --><!-- end of machine --><!-- summary --><!-- end of summary -->"
    with pytest.raises(results.Unusable, match="one place for row 3: <!-- row 3 -->, then"):
        page.rewrite(around + text, document(), ["3"])
