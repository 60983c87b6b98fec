"""Takes the picture on README's first screen: the page of `fusemix serve` and report.html, side by side.

    make demo && .venv/bin/python docs/pictures/take.py

Needs Chromium, as the tests in the browser do, and what `make demo` leaves.
"""

import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]
OUT = ROOT / "docs" / "pictures" / "page_and_report.png"
WORDS = "arrow pointing left with a hook"
WIDTH, HEIGHT, BETWEEN = 1120, 1000, 24
COLOURS = 128
"""More are not seen in pages like these, and fewer bytes travel with every clone."""


def chromium() -> str:
    """The browser that is installed here."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or sys.exit("no Chromium in PATH: apt-get install chromium")


def opened(browser: Browser, address: str) -> Page:
    """A page that has loaded."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.goto(address, wait_until="networkidle")
    return page


def picture_of(page: Page) -> Image.Image:
    """What is on the screen."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def searched(browser: Browser) -> Image.Image:
    """The page of `fusemix serve` behind a search."""
    command = [sys.executable, "-m", "fusemix", "serve", "--index", "indexes/glyphs", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = next(filter(None, (re.search(r"http://\S+", line) for line in server.stdout)))[0]
            page = opened(browser, address)
            page.locator("#words").fill(WORDS)
            page.keyboard.press("Enter")
            page.wait_for_selector(".hit .score")
            page.wait_for_load_state("networkidle")
            return picture_of(page)
        finally:
            server.terminate()


def main() -> None:
    """Take both, put them side by side, and write them with few colours."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        sides = [searched(browser), picture_of(opened(browser, (ROOT / "reports/glyphs/report.html").as_uri()))]
        browser.close()
    whole = Image.new("RGB", (2 * WIDTH + BETWEEN, HEIGHT), "white")
    for number, side in enumerate(sides):
        whole.paste(side, (number * (WIDTH + BETWEEN), 0))
    whole.quantize(COLOURS).save(OUT, optimize=True)
    print(f"{OUT.relative_to(ROOT)}: {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
