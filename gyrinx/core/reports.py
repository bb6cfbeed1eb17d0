"""A campaign's report as a PDF: a chart of the ratings, tables of the gangs and best fighters."""

from io import BytesIO
from xml.sax.saxutils import escape

from reportlab.graphics.charts.barcharts import HorizontalBarChart
from reportlab.graphics.shapes import Drawing
from reportlab.lib.colors import HexColor, white
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from .models import Fighter

INK = HexColor("#1f2430")
ACCENT = HexColor("#9a3412")
RULE = HexColor("#d6d3d1")
STRIPE = HexColor("#f7f5f2")
WIDTH = A4[0] - 40 * mm
CHART_GANGS = 20  # more bars than this are unreadable; the table has them all
BEST_FIGHTERS = 10
STYLES = getSampleStyleSheet()


def render_report(report):
    """The PDF as bytes; the same bytes for the same rows, so that a second run changes nothing."""
    campaign = report.campaign
    gangs = list(
        campaign.gangs.with_totals().select_related("owner").order_by("-rating", "name", "id")
    )
    buffer = BytesIO()
    document = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=20 * mm,
        rightMargin=20 * mm,
        topMargin=20 * mm,
        bottomMargin=20 * mm,
        title=f"{campaign.name}: campaign report",
        author="Gyrinx",
        invariant=True,
    )
    document.build(
        [*heading(report, gangs), *ratings(gangs), *gang_table(gangs), *fighter_table(campaign)],
        onFirstPage=number_page,
        onLaterPages=number_page,
    )
    return buffer.getvalue()


def heading(report, gangs):
    campaign = report.campaign
    line = (
        f"{len(gangs)} gang{'' if len(gangs) == 1 else 's'} · run by {campaign.owner.username} · "
        f"requested {report.requested_at:%d %B %Y, %H:%M} UTC"
    )
    return [text(campaign.name, "Title"), text(line), Spacer(1, 6 * mm)]


def ratings(gangs):
    if not gangs:
        return [text("No gang has joined this campaign yet.")]
    return [text("Ratings", "Heading2"), rating_chart(gangs[:CHART_GANGS]), Spacer(1, 4 * mm)]


def rating_chart(gangs):
    height = 12 + 7 * mm * len(gangs)
    chart = HorizontalBarChart()
    chart.x, chart.y = 45 * mm, 12
    chart.width, chart.height = WIDTH - 60 * mm, height - 12
    chart.data = [[gang.rating for gang in gangs]]
    chart.reversePlotOrder = False
    chart.bars[0].fillColor = ACCENT
    chart.bars[0].strokeColor = None
    chart.barLabelFormat = "{:,.0f}".format
    chart.barLabels.boxAnchor = "w"
    chart.barLabels.dx = 4
    chart.barLabels.fontSize = 8
    chart.categoryAxis.categoryNames = [shorten(gang.name, 26) for gang in gangs]
    chart.categoryAxis.labels.fontSize = 8
    chart.categoryAxis.reverseDirection = True
    chart.categoryAxis.strokeColor = chart.categoryAxis.labels.fillColor = INK
    chart.categoryAxis.visibleTicks = False
    chart.valueAxis.valueMin = 0
    chart.valueAxis.valueMax = max(1, *(gang.rating for gang in gangs))
    chart.valueAxis.visible = False
    drawing = Drawing(WIDTH, height)
    drawing.add(chart)
    return drawing


def gang_table(gangs):
    if not gangs:
        return []
    rows = [
        [text(gang.name), text(gang.owner.username), *numbers]
        for gang in gangs
        for numbers in [(gang.fighter_count, gang.kill_count, gang.xp_total, f"{gang.rating:,}")]
    ]
    header = ["Gang", "Player", "Fighters", "Kills", "Experience", "Rating"]
    return [text("Gangs", "Heading2"), table(header, rows, [0.34, 0.22, 0.11, 0.09, 0.13, 0.11])]


def fighter_table(campaign):
    best = Fighter.objects.filter(gang__campaign=campaign, kills__gt=0).select_related("gang")
    rows = [
        [text(fighter.name), text(fighter.gang.name), fighter.kills, fighter.xp, fighter.value]
        for fighter in best.order_by("-kills", "-xp", "name", "id")[:BEST_FIGHTERS]
    ]
    if not rows:
        return []
    header = ["Fighter", "Gang", "Kills", "Experience", "Value"]
    return [
        Spacer(1, 4 * mm),
        text("Most feared fighters", "Heading2"),
        table(header, rows, [0.34, 0.33, 0.09, 0.13, 0.11]),
    ]


def table(header, rows, widths):
    style = TableStyle(
        [
            ("FONT", (0, 0), (-1, 0), "Helvetica-Bold", 9),
            ("FONTSIZE", (0, 1), (-1, -1), 9),
            ("TEXTCOLOR", (0, 0), (-1, 0), white),
            ("BACKGROUND", (0, 0), (-1, 0), INK),
            ("ROWBACKGROUNDS", (0, 1), (-1, -1), [white, STRIPE]),
            ("LINEBELOW", (0, 0), (-1, -1), 0.25, RULE),
            ("ALIGN", (2, 0), (-1, -1), "RIGHT"),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ]
    )
    return Table([header, *rows], [WIDTH * part for part in widths], repeatRows=1, style=style)


def text(value, style="BodyText"):
    return Paragraph(escape(value), STYLES[style])


def shorten(value, length):
    return value if len(value) <= length else value[: length - 1].rstrip() + "…"


def number_page(canvas, document):
    canvas.setFont("Helvetica", 8)
    canvas.setFillColor(INK)
    canvas.drawRightString(A4[0] - 20 * mm, 10 * mm, f"Page {document.page}")
