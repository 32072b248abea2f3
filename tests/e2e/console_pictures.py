"""Takes the pictures of the console: starts `multilith demo`, waits two minutes, and writes dashboards/console/*.png.

`MULTILITH_BIN=… NODE_PATH=target/e2e-node/node_modules target/e2e-venv/bin/python tests/e2e/console_pictures.py`. Look at each
before you commit it.
"""

import re
import sys
import tempfile
import time
from pathlib import Path

from browser import await_in, start_browser
from children import Child, eventually, free_port, listens
from console_page import dialog, dress, press
from proxy import BINARY
from selenium.webdriver.common.by import By
from services.shop import visit

OUT = Path(__file__).parent.parent.parent / "dashboards" / "console"
# Name, page, what is pressed on it.
PICTURES = [
    ("board", "", []),
    ("route", "route/search", []),
    ("gate", "route/catalog", []),
    ("inventory", "inventory", []),
    ("journal", "journal", []),
    ("upstreams", "upstreams", []),
    ("file", "file", []),
    ("ask", "route/search", ["Go all the same"]),
    ("rule", "route/search", ["Ignore"]),
    ("button", "", ["Monolith only"]),
    ("empty", "journal?q=by:nobody", []),
]


def keep(browser, name, whole=True, most=1500):
    height = browser.execute_script("return document.documentElement.scrollHeight") if whole else 900
    width = browser.execute_script("return window.innerWidth")
    metrics = {"width": width, "height": min(max(height, 500), most), "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    time.sleep(0.3)
    browser.save_screenshot(str(OUT / f"{name}.png"))


def take(browser, url, pictures, prefix="", most=1500):
    for name, page, pressed in pictures:
        browser.get(url + page)
        await_in(browser, "live", lambda one: one.find_elements(By.CSS_SELECTOR, ".live:not(.off)"))
        for word in pressed:
            press(browser, word)
            dialog(browser)
        keep(browser, prefix + name, whole=not pressed, most=most)
        dress(browser, *browser.dress)


def sign_in(browser, folder):
    """The page that asks who it is: of a proxy whose admin listener has tokens."""
    (folder / "token").write_text("a-token-for-the-picture")
    ports = [free_port(), free_port()]
    (folder / "routes.toml").write_text(
        f'[server]\nlisten = ["127.0.0.1:{ports[0]}"]\nadmin = "127.0.0.1:{ports[1]}"\nstate_dir = "{folder}/state"\n'
        f'token = {{ file = "{folder}/token" }}\n[monolith]\nurl = "http://127.0.0.1:9"\n'
    )
    proxy = Child("proxy", [BINARY, "run", "-c", str(folder / "routes.toml")])
    assert proxy.await_ready(lambda: listens(ports[1])), proxy.log()
    browser.get(f"http://127.0.0.1:{ports[1]}/")
    await_in(browser, "the sign-in", lambda one: one.find_elements(By.NAME, "token"))
    keep(browser, "sign-in")
    proxy.stop()


def main(warm):
    demo = Child("demo", [BINARY, "demo", "--for", "10m"])
    eventually("the demo's words", lambda: "the routes" in demo.log())
    url = re.search(r"http://\S+/", demo.log())[0]
    file = Path(re.search(r"the routes +(\S+)", demo.log())[1])
    # The demo's visitors are one client; an endpoint is sure once two were answered.
    proxy = int(re.search(r"the proxy +http://127.0.0.1:(\d+)/", demo.log())[1])
    pages = ["/", "/about", "/search?q=7", "/assets/site.css", "/assets/site.js", *(f"/api/users/{n}" for n in range(40))]
    pages += [f"/{what}/{n}" for what in ("catalog", "reviews", "orders", "blog/posts") for n in range(30)]
    for source in ("127.0.0.21", "127.0.0.22", "127.0.0.23"):
        visit(proxy, pages, source=source)
    time.sleep(warm)
    with tempfile.TemporaryDirectory() as folder:
        browser = start_browser(folder, flags=["--hide-scrollbars"])

        def wear(width, theme):
            browser.dress = (width, theme)
            dress(browser, width, theme)

        wear(1440, "light")
        take(browser, url, PICTURES)
        browser.get(url + "file")
        text = file.read_text().replace('stage   = "shadow"', 'stage   = "migrated"', 1).replace("methods", "method", 1)
        for name, word, sent in (("check", "would be refused", text), ("plan", "may be put in force", text.replace("method ", "methods", 1))):
            browser.execute_script("document.querySelector('textarea').value = arguments[0]", sent)
            press(browser, "Check")
            await_in(browser, word, lambda one, word=word: word in one.page_source)
            keep(browser, name)
            wear(1440, "light")
        for name, press_first in (("requests", False), ("request", True)):
            browser.get(url + "requests?route=search" if press_first else url + "requests")
            await_in(browser, "requests", lambda one: len(one.find_elements(By.CSS_SELECTOR, ".req")) > 12)
            browser.find_element(By.ID, "pause").click()
            if press_first:
                # One whose copy differed, if any of them did.
                for one in browser.find_elements(By.CSS_SELECTOR, ".req")[:20]:
                    one.find_element(By.TAG_NAME, "summary").click()
                    await_in(browser, "its copy", lambda _, one=one: one.find_elements(By.CSS_SELECTOR, ".copy *"))
                    if one.find_elements(By.CSS_SELECTOR, ".copy .pill.bad"):
                        browser.execute_script("arguments[0].scrollIntoView({ block: 'center' })", one)
                        break
                    one.find_element(By.TAG_NAME, "summary").click()
            keep(browser, name, whole=False)
            wear(1440, "light")
        wear(1440, "dark")
        take(browser, url, [("dark", "", []), ("dark-route", "route/search", [])])
        wear(390, "light")
        take(browser, url, [("phone", "", []), ("phone-route", "route/search", []), ("phone-journal", "journal", [])], most=2200)
        wear(1440, "light")
        sign_in(browser, Path(folder))
        browser.quit()
    demo.stop()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 120.0)
