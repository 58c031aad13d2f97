"""Pages of all commands in a browser: usable by all, on all widths, on paper, and by nothing but the file itself.

Chromium from the system (or CHROMIUM=PATH), driven by playwright; axe-core looks for what keeps people out. Set
PAGES=FOLDER to keep the pictures and look at them.
"""

import os
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from torchsag.app.main import main
from torchsag.report.average import AveragePage
from torchsag.report.benchmark import BenchmarkPage
from torchsag.runs.job import Moment

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install torchsag[browser]"
)
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on PATH, and CHROMIUM= names none"),
]
COMMANDS = ("align", "average", "classify", "compare", "postprocess", "sweep", "bench", "running")
SHEETS = Path(__file__).parents[2] / "experiments" / "bench" / "sheets"
SCREENS = [(1366, 768), (390, 844)]
MOST_BYTES = 6_000_000


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page of each command, of small simulated particles."""
    place = tmp_path_factory.mktemp("runs")
    box = ["box=36", "voxel_size_angstrom=9", "snr=0.3"]
    assert main(["simulate", f"out={place}/one", "n=20", *box]) == 0
    assert main(["simulate", f"out={place}/two", "n=40", *box, "+structure@others.ribosome=ribosome"]) == 0
    particles, reference = f"particles={place}/one/particles.star", f"reference={place}/one/reference.mrc"
    out = {command: place / f"{command} of #1" for command in COMMANDS}
    for command, words in {
        "align": [particles, reference, "symmetry=D7", f"truth={place}/one/particles.star"],
        "average": [particles, reference, "iterations=2"],
        "classify": [
            f"particles={place}/two/particles.star",
            reference,
            "classes=3",
            "repeats=2",
            "common_iterations=1",
        ],
        "compare": [
            "snr=[0.3,0.1]",
            "n=2",
            "methods=[curvature_sag,xu_alber,chen_frm]",
            "box=24",
            "voxel_size_angstrom=14",
        ],
        "postprocess": [f"{half}='{out['average']}/{half}.mrc'" for half in ("half1", "half2")],
    }.items():
        assert main([command, *words, f"out='{out[command]}'"]) == 0
    values = ["method.information=0.9,0.99", f"truth={place}/one/particles.star", "symmetry=D7", "~report"]
    assert main(["align", "-m", particles, reference, *values, f"out='{out['sweep']}'"]) == 0
    out["bench"].mkdir()
    shutil.copy(min(SHEETS.glob("*.json")), out["bench"] / "sheet.json")
    BenchmarkPage()(out["bench"])
    out["running"].mkdir()
    moment = Moment("average", "iteration 2 of at most 12", 0.125, 300.0, 240.0, True)
    AveragePage().running(out["running"], moment, due=4_102_444_800.0)
    names = {command: "sweep.html" if command == "sweep" else "report.html" for command in COMMANDS}
    return {command: folder / names[command] for command, folder in out.items()}


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield started
        started.close()


class Opened:
    """A page in the browser, and what it asked for and complained of."""

    def __init__(self, browser, path, scheme="light", screen=SCREENS[0], **settings: Any):
        width, height = screen
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=1, **settings
        )
        self.page, self.asked, self.complaints = self.context.new_page(), [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri())
        self.page.wait_for_load_state()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.context.close()

    def wait_for_surface(self):
        self.page.wait_for_selector(".turn:not([hidden]) canvas")

    def picture(self, name, full=True):
        data = self.page.screenshot(full_page=full)
        if os.environ.get("PAGES"):
            folder = Path(os.environ["PAGES"])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.png").write_bytes(data)
        return np.asarray(Image.open(BytesIO(data)).convert("RGB")).astype(int)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: str(screen[0]))
def test_a_page_keeps_nobody_out_and_asks_for_nothing(pages, browser, command, scheme, screen):
    path = pages[command]
    assert path.stat().st_size < MOST_BYTES
    with Opened(browser, path, scheme, screen) as opened:
        if command in ("align", "average", "postprocess", "classify"):
            opened.wait_for_surface()
        opened.page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        opened.picture(f"{command}-{scheme}-{screen[0]}-first", full=False)
        opened.picture(f"{command}-{scheme}-{screen[0]}")
        assert opened.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        found = axe.Axe().run(opened.page).response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
        assert [url for url in opened.asked if not url.startswith(("data:", "blob:"))] == [path.as_uri()]
        assert opened.complaints == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_goes_onto_paper(pages, browser, command):
    with Opened(browser, pages[command]) as opened:
        paper = opened.page.pdf(format="A4", print_background=True)
        assert paper.startswith(b"%PDF")
        opened.page.emulate_media(media="print")
        opened.picture(f"{command}-print")
        assert opened.page.locator(".turn:visible").count() == 0
        assert opened.page.locator(".scroll").evaluate_all(
            "all => all.every(one => one.scrollHeight <= one.clientHeight)"
        )


@pytest.mark.parametrize("command", ["align", "average", "postprocess"])
def test_the_first_screen_of_a_laptop_has_what_counts(pages, browser, command):
    with Opened(browser, pages[command]) as opened:
        opened.wait_for_surface()
        for where in (".verdict h2", ".stage", ".surfaces", "svg.chart >> nth=0", "h2:text('What to do next')"):
            box = opened.page.locator(where).first.bounding_box()
            assert box["y"] + min(box["height"], 400) <= 768, where


def test_a_surface_turns_by_keys_buttons_and_mouse(pages, browser):
    with Opened(browser, pages["average"]) as opened:
        opened.wait_for_surface()
        stage = opened.page.locator(".stage")
        place = stage.bounding_box()
        seen = []

        def look(name):
            whole = opened.picture(f"turned-{name}", full=False)
            x, y, width, height = (int(place[key]) for key in ("x", "y", "width", "height"))
            seen.append(whole[y : y + height, x : x + width])

        look("first")
        assert seen[0].std() > 10  # there is something to see
        stage.focus()
        opened.page.keyboard.press("ArrowRight")
        look("right")
        assert "longitude" in opened.page.locator(".turn [role=status]").text_content()
        opened.page.keyboard.press("ArrowLeft")
        look("back")
        opened.page.get_by_role("button", name="Closer").click()
        look("closer")
        opened.page.get_by_role("button", name="As at first").click()
        look("home")
        opened.page.mouse.move(place["x"] + 100, place["y"] + 150)
        opened.page.mouse.down()
        opened.page.mouse.move(place["x"] + 220, place["y"] + 180, steps=6)
        opened.page.wait_for_timeout(200)
        opened.page.mouse.up()
        look("dragged")
        opened.page.get_by_label("Which map").select_option(index=1)
        look("coloured")
        assert opened.page.locator(".legend").is_visible()
        difference = [np.abs(one - seen[0]).mean() for one in seen]
        assert difference[2] < 1
        assert difference[4] < 1
        assert min(difference[k] for k in (1, 3, 5)) > 3
        assert np.ptp(seen[6], axis=-1).max() > 100  # colours
        assert opened.complaints == []


@pytest.mark.parametrize("without", ["scripts", "WebGL"])
def test_without_scripts_or_webgl_there_are_the_still_pictures(pages, browser, without):
    settings = {"java_script_enabled": False} if without == "scripts" else {}
    with Opened(browser, pages["average"], **settings) as opened:
        if without == "WebGL":
            opened.page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
            opened.page.reload()
            opened.page.wait_for_timeout(500)
        opened.picture(f"without-{without}")
        assert opened.page.locator(".surfaces .tile").count() == 3
        assert opened.page.locator(".turn:visible, .stage").count() == 0
        assert opened.page.locator(".surfaces .tile").first.bounding_box()["width"] > 150


def test_a_page_of_a_killed_run_says_so_by_itself(pages, browser, tmp_path):
    moment = Moment("average", "iteration 2 of at most 12", 0.125, 300.0, 240.0, True)
    AveragePage().running(tmp_path, moment, due=1_000_000_000.0)
    for path, late in ((pages["running"], False), (tmp_path / "report.html", True)):
        with Opened(browser, path) as opened:
            opened.page.wait_for_timeout(1200)
            opened.picture(f"running-{'late' if late else 'alive'}")
            assert opened.page.get_by_text("No sign of life for").is_visible() is late
            assert opened.page.locator("#again").is_visible()


def test_a_table_sorts_by_the_column_one_clicks(pages, browser):
    with Opened(browser, pages["align"]) as opened:
        table = opened.page.locator("table.sortable").first
        table.get_by_role("button", name="shift (Å)").click()
        column = table.locator("thead th").all_text_contents().index("shift (Å)")
        numbers = [float(row) for row in table.locator(f"tbody td:nth-child({column + 1})").all_text_contents()]
        assert numbers == sorted(numbers)
        assert table.locator("th[aria-sort=ascending]").count() == 1
