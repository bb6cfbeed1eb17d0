import base64
import re
import zlib

import pytest

from gyrinx.core.models import CampaignReport, Gang
from gyrinx.core.reports import render_report

pytestmark = pytest.mark.django_db


def contents(pdf):
    """What is drawn on the pages, as PDF operators."""
    streams = re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL)
    return [
        zlib.decompress(base64.a85decode(b"<~" + stream.strip(), adobe=True)).decode("latin-1")
        for stream in streams
    ]


def count_pages(pdf):
    return len(re.findall(rb"/Type /Page\b", pdf))


def make_report(campaign):
    return CampaignReport.objects.create(campaign=campaign, requested_by=campaign.owner)


@pytest.fixture
def campaign(make):
    campaign = make.campaign(name="Winter & Spring <1>")
    for name, rating in (("Saints", 300), ("Sinners", 150)):
        make.gang((50, 0), name=name, campaign=campaign, rating=rating)
    return campaign


def test_report_is_a_pdf_of_one_page(campaign):
    pdf = render_report(make_report(campaign))
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert count_pages(pdf) == 1


def test_report_names_campaign_gangs_and_fighters(campaign):
    (page,) = contents(render_report(make_report(campaign)))
    written = "".join(re.findall(r"\((.*?)\) Tj", page))
    for words in ("Winter & Spring <1>", "Saints", "Sinners", "Fighter", "300"):
        assert words in written


def test_chart_has_a_bar_as_long_as_each_rating(campaign):
    (page,) = contents(render_report(make_report(campaign)))
    color = ".603922 .203922 .070588 rg"  # of the bars and of nothing else
    bars = page.split(color)[1:]
    widths = [re.search(r"\n?n ([-\d.]+) [-\d.]+ ([-\d.]+) [-\d.]+ re", bar)[2] for bar in bars]
    assert len(widths) == 2
    assert float(widths[0]) == pytest.approx(2 * float(widths[1]))


def test_report_of_the_same_rows_is_the_same_bytes(campaign):
    report = make_report(campaign)
    assert render_report(report) == render_report(report)


def test_report_of_an_empty_campaign_says_so(make):
    pdf = render_report(make_report(make.campaign()))
    assert "No gang has joined" in contents(pdf)[0]


def test_report_of_many_gangs_has_more_pages(make):
    campaign = make.campaign()
    owner = make.user()
    Gang.objects.bulk_create(
        Gang(owner=owner, campaign=campaign, name=f"Gang {n} " + "long " * 14) for n in range(90)
    )
    assert count_pages(render_report(make_report(campaign))) > 2
