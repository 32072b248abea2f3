"""Takes the pictures of the console: starts `multilith demo`, waits three minutes, and writes dashboards/console/*.png.

`MULTILITH_BIN=… NODE_PATH=target/e2e-node/node_modules target/e2e-venv/bin/python tests/e2e/console_pictures.py`. Needs pngquant
and etcd-server of Debian. Look at each picture before you commit it.
"""

import base64
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from browser import await_in, start_browser
from children import Child, eventually, free_port, listens, start_etcd
from console_page import dialog, dress, press
from proxy import BINARY, Proxy
from selenium.webdriver.common.by import By
from services.shop import Side, visit

OUT = Path(__file__).parent.parent.parent / "dashboards" / "console"
# Name, page, what is pressed on it.
PICTURES = [
    ("board", "", []),
    ("route", "route/search", []),
    ("gate", "route/catalog", []),
    ("inventory", "inventory", []),
    ("journal", "journal", []),
    ("upstreams", "upstreams", []),
    ("explain", "explain?method=GET&url=%2Fsearch%3Fq%3Dtea", []),
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
    save(browser, OUT / f"{name}.png")


def save(browser, file):
    browser.save_screenshot(str(file))
    # Colours of a palette are enough for a page, and a third of the bytes.
    subprocess.run(["pngquant", "--quality=80-98", "--speed=1", "--strip", "--force", "--ext=.png", file], check=True)


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


FLEET = """
[monolith]
url = "http://127.0.0.1:{monolith}"
[services.people]
url = "http://127.0.0.1:{service}"
[routes.read-user]
path    = "/users/{{id}}"
methods = ["GET"]
service = "people"
stage   = "canary"
weight  = "5%"
[routes.orders]
path    = "/orders/{{id}}"
service = "people"
stage   = "canary"
weight  = "1%"
[fleet]
name = "edge-{number}"
etcd = {{ endpoints = ["http://127.0.0.1:{etcd}"], prefix = "/multilith/shop/" }}
"""


def fleet(browser, folder):
    """The consoles of three replicas side by side, a moment after a move on the second."""
    etcd = start_etcd(folder)
    with Side(small_letters=False) as monolith, Side(small_letters=False) as service:
        ports = {"monolith": monolith.port, "service": service.port, "etcd": etcd.port}
        edges = [Proxy(FLEET.format(number=number, **ports)) for number in (1, 2, 3)]
        eventually("all are listed", lambda: all(len(edge.json("/api/v1/fleet")) == 3 for edge in edges))
        eventually("a leader", lambda: any(member["leader"] for member in edges[0].json("/api/v1/fleet")))
        for edge in edges:
            visit(edge.port, [f"/users/{n}" for n in range(300)] + [f"/orders/{n}" for n in range(100)])
        browser.get(f"http://127.0.0.1:{edges[1].admin_port}/console/act?do=promote&route=read-user&weight=25%25")
        browser.find_element(By.NAME, "reason").send_keys("quiet since this morning")
        press(browser, "Go to")
        await_in(browser, "what was made", lambda one: one.find_elements(By.CSS_SELECTOR, ".say.g"))
        said = lambda edge: {route: seq for member in edge.json("/api/v1/fleet") for route, seq in member["seq"].items()}  # noqa: E731
        eventually("it is said everywhere", lambda: all(said(edge).get("read-user") == 1 for edge in edges))
        print(subprocess.run([BINARY, "fleet", "--admin", f"127.0.0.1:{edges[0].admin_port}"], capture_output=True, text=True).stdout)
        pictures = []
        for edge in edges:
            dress(browser, 620, "light")
            browser.get(f"http://127.0.0.1:{edge.admin_port}/")
            await_in(browser, "live", lambda one: one.find_elements(By.CSS_SELECTOR, ".live:not(.off)"))
            height = browser.execute_script("return document.documentElement.scrollHeight")
            metrics = {"width": 620, "height": height, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            time.sleep(0.3)
            pictures.append(base64.b64encode(browser.get_screenshot_as_png()).decode())
        drawn = "".join(f"<img src='data:image/png;base64,{picture}'>" for picture in pictures)
        browser.get("about:blank")
        browser.execute_script(
            "document.body.innerHTML = arguments[0]; document.body.style = 'margin:0;display:flex;gap:10px;background:#8b93a1'", drawn
        )
        metrics = {"width": 620 * 3 + 20, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        time.sleep(0.3)
        save(browser, OUT / "fleet.png")
        for edge in edges:
            edge.stop()
    etcd.kill()


def main(warm):
    demo = Child("demo", [BINARY, "demo", "--for", "10m"])
    eventually("the demo's words", lambda: "the routes" in demo.log())
    url = re.search(r"http://\S+/", demo.log())[0]
    file = Path(re.search(r"the routes +(\S+)", demo.log())[1])
    # The demo's visitors are one client; an endpoint is sure once two were answered.
    proxy = int(re.search(r"the proxy +http://127.0.0.1:(\d+)/", demo.log())[1])
    pages = ["/", "/about", "/search?q=7", "/assets/site.css", "/assets/site.js", *(f"/api/users/{n}" for n in range(40))]
    pages += [f"/{what}/{n}" for what in ("catalog", "reviews", "orders", "blog/posts") for n in range(30)]
    # Spread over the time, or the lines of the board begin with a peak.
    visits = [(page, source) for source in ("127.0.0.21", "127.0.0.22", "127.0.0.23") for page in pages]
    for page, source in visits:
        visit(proxy, [page], source=source)
        time.sleep(warm / len(visits))
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
        demo.stop()
        fleet(browser, Path(folder))
        browser.quit()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 160.0)
