"""The figures of a row as a picture. The same figures give the same file."""

import hashlib
import io
import json
import textwrap

from asgi_tasks.management.tables import number

OURS, THEIRS, CURVES = "#4c72b0", "#b0b7c3", ("#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3")
GRID = "#e5e5e5"
WIDTH = 8  # inches
STYLE = {"svg.hashsalt": "asgi_tasks", "svg.fonttype": "none", "font.size": 10}


def file_name(row):
    return f"bench-{row}.svg"


def panels(measured):
    """What there is to draw: groups of figures of one unit, and plots with curves."""
    units = {}
    for figure in measured.figures:
        units.setdefault(figure.unit, []).append(figure)
    units.pop("times", None)  # ratios are read, not compared with each other
    return [*(group for group in units.values() if len(group) > 1), *measured.plots]


def digest(measured):
    """Written into the picture, so that a test can tell whether it is of these figures."""
    text = json.dumps(measured.as_json(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def svg(measured):
    """The picture as text. Needs matplotlib."""
    return draw(
        measured, "svg", metadata={"Date": None, "Creator": None, "Description": digest(measured)}
    ).decode()


def draw(measured, kind, **options):
    """The picture as bytes of whatever kind matplotlib writes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Picture

    drawn = panels(measured)
    heights = [_height(panel) for panel in drawn]
    file = io.BytesIO()
    with mpl.rc_context(STYLE):
        picture = Picture(figsize=(WIDTH, sum(heights)), layout="constrained")
        parts = picture.subfigures(len(drawn), 1, squeeze=False, height_ratios=heights)[:, 0]
        for panel, part in zip(drawn, parts, strict=True):
            axis = part.subplots()
            (_draw_bars if isinstance(panel, list) else _draw_curves)(panel, axis)
            axis.set_axisbelow(True)
            axis.spines[["top", "right"]].set_visible(False)
        picture.savefig(file, format=kind, **options)
    return file.getvalue()


def _height(panel):
    return 0.8 + 0.5 * len(panel) if isinstance(panel, list) else 3.2


def _draw_bars(figures, axis):
    """The medians, with whiskers from the least to the most."""
    medians = [figure.median for figure in figures]
    names = [textwrap.fill(figure.name, 34) for figure in figures]
    colors = [OURS if figure.name.startswith("our") else THEIRS for figure in figures]
    below = [figure.median - min(figure.values) for figure in figures]
    above = [max(figure.values) - figure.median for figure in figures]
    axis.barh(names, medians, height=0.6, color=colors)
    axis.errorbar(medians, names, xerr=(below, above), fmt="none", ecolor="#333333", capsize=3)
    for figure, name in zip(figures, names, strict=True):
        ends = max(figure.values), name
        axis.annotate(number(figure.median), ends, (6, 0), textcoords="offset points", va="center")
    axis.margins(x=0.12)
    axis.set_xlim(left=min(0, *(min(figure.values) for figure in figures)))
    axis.invert_yaxis()
    axis.set_xlabel(figures[0].unit)
    axis.xaxis.set_major_formatter(lambda value, _: number(value))
    axis.grid(axis="x", color=GRID)


def _draw_curves(plot, axis):
    for place, curve in enumerate(plot.curves):
        x, y = zip(*curve.points, strict=True)
        color = CURVES[place % len(CURVES)]
        axis.plot(x, y, marker="o", markersize=4, color=color, label=curve.name)
    if plot.is_log_x:
        axis.set_xscale("log")
    if plot.is_log_y:
        axis.set_yscale("log")
    else:
        axis.set_ylim(0, 1.08 * max(y for curve in plot.curves for _, y in curve.points))
    axis.set_title(plot.title, fontsize=11, loc="left")
    axis.set_xlabel(plot.x)
    axis.set_ylabel(textwrap.fill(plot.y, 32))
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_formatter(lambda value, _: number(value))
    axis.grid(color=GRID)
    if len(plot.curves) > 1:
        axis.legend(frameon=False)
