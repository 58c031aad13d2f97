import re
from html.parser import HTMLParser

import pytest

from torchsag.report.chart import Axis, Chart, Line
from torchsag.report.page import Headline, Picture, Section, Table, render, verdict_headline
from torchsag.report.svg_chart import panels

VOID = {"meta", "link", "img"}


class Outline(HTMLParser):
    """Tags must close in order; keeps headings, images and addresses."""

    def __init__(self):
        super().__init__()
        self.open, self.levels, self.images, self.addresses, self.styles = [], [], [], [], 0

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.addresses += [attrs[name] for name in ("src", "href") if name in attrs]
        self.styles += "style" in attrs or any(name.startswith("on") for name in attrs)
        if re.fullmatch(r"h\d", tag):
            self.levels.append(int(tag[1]))
        if attrs.get("role") == "img":
            self.images.append(attrs["aria-label"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def page():
    chart = Chart(Axis("<x>"), Axis("y"), lines=[Line([0, 1], [1, 2], "<line>")])
    picture = Picture(panels([chart], "a \"map\" 'of' <x>"), "c & d")
    table = Table("All <rows>", ["name", "score"], [["<a>", 0.5], ["b", None]])
    sections = [
        Section("Last", rows=[("k", "<v>")], place="folded"),
        Section("Body", table=table),
        Section("First", pictures=[picture], place="first"),
        None,
    ]
    return render("T & U", Headline("It <b>is</b> so.", "doubt", ["Doubt: <script>alert(1)</script>."]), sections)


def outline(page):
    parser = Outline()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_page_is_well_formed_with_headings_in_order_and_words_for_every_image(page):
    found = outline(page)
    assert found.levels == [1, 2, 2, 2, 2]
    assert found.images == ["a \"map\" 'of' <x>"]


def test_verdict_comes_first_and_bookkeeping_last_and_folded(page):
    places = [page.index(text) for text in ("<h1>", "It &lt;b&gt;is", ">First<", ">Body<", "<details>", ">Last<")]
    assert places == sorted(places)


def test_page_loads_nothing_and_runs_only_its_own_script(page):
    found = outline(page)
    assert all(address.startswith("data:") for address in found.addresses)
    assert found.styles == 0  # the policy would forbid them
    assert "http:" not in page
    assert "https:" not in page
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page)[1]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.count("<script>") == 1


def test_table_sorts_by_headings_and_is_there_without_a_script(page):
    assert "<table class='sortable'" in page
    assert "<thead><tr><th scope='col'>name</th><th scope='col' class='number'>score</th></tr></thead>" in page
    assert "<tbody><tr><td>&lt;a&gt;</td><td class='number'>0.500</td></tr>" in page
    assert "<td>b</td><td class='number'></td>" in page


def test_result_that_cannot_be_trusted_is_not_quoted():
    finding = {"code": "c", "severity": "wrong", "text": "it is upside down", "evidence": {}}
    bad = verdict_headline({"verdict": {"trust": "no", "findings": [finding]}}, "24 Å")
    good = verdict_headline({"verdict": {"trust": "yes", "findings": []}}, "24 Å")
    assert (bad.trust, bad.findings) == ("no", ["Wrong: it is upside down."])
    assert "24 Å" not in bad.sentence
    assert good.sentence.endswith("24 Å.")
    assert verdict_headline({}, "24 Å").sentence == "24 Å."


def test_long_keys_as_headings_may_break_after_a_dot():
    table = Table("numbers", ["method.search.max_shift", "a <b>"], [[1.0, "x"]])
    page = render("A page", Headline("Fine."), [Section("Numbers", table=table)])
    assert ">method.<wbr>search.<wbr>max_shift</th>" in page
    assert ">a &lt;b&gt;</th>" in page
