"""What the console's tests do on a page: themes and widths, axe, the console's log, keys."""

import json
import os
from pathlib import Path

from browser import await_in
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

AXE = Path(os.environ["NODE_PATH"]) / "axe-core" / "axe.min.js"
# Every rule of WCAG 2.2 A and AA, and what axe's makers hold to be good besides.
RUN = """
const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ["violations"] }).then(
  result => done(result.violations.map(one => one.id + ": " + one.nodes.map(node => node.html.slice(0, 160)).join(" | "))),
  error => done([String(error)]));
"""


def dress(browser, width, theme):
    """A screen of this width, for a reader whose system is light or dark."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def log(browser):
    """What the browser complained of since it was asked last."""
    return [entry["message"] for entry in browser.get_log("browser")]


def violations(browser):
    if not browser.execute_script("return !!window.axe"):
        browser.execute_script(AXE.read_text())
    return browser.execute_async_script(RUN)


def overflow(browser):
    """By how many pixels the page is wider than its window."""
    return browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")


def dialog(browser):
    return await_in(browser, "a dialog", lambda one: one.find_elements(By.CSS_SELECTOR, "dialog[open] [data-ask]"))[0]


def shown(root, word):
    """The links and buttons that begin with this word; none while the page is drawn anew."""
    path = f".//*[self::a or self::button][starts-with(normalize-space(.), {json.dumps(word, ensure_ascii=False)})]"
    try:
        return [one for one in root.find_elements(By.XPATH, path) if one.is_displayed()]
    except StaleElementReferenceException:
        return []


def press(browser, word, within=None):
    """Presses the link or button that begins with this word."""

    def pressed(_):
        # One that is drawn anew before it is pressed is looked for again.
        for one in shown(within or browser, word)[:1]:
            one.click()
            return True
        return False

    await_in(browser, f"{word} on {browser.current_url}", pressed)


def in_dialog(browser):
    """The focus is in a dialog, or on nothing: beside the last field there is the browser's own."""
    return browser.execute_script(
        "const one = document.activeElement; return one === document.body || !!one.closest('dialog[open]')"
    )


def made_behind(browser, before):
    """Waits until the page behind a press says what was made. `before`: the address from which it was asked."""
    await_in(browser, "what was made", lambda one: one.current_url != before and "made=" in one.current_url)
    await_in(browser, "what was made", lambda one: one.find_elements(By.CSS_SELECTOR, ".say.g"))


def focus(browser):
    """What has the focus, in one question: the page may be drawn anew between two."""
    return browser.execute_script("""
        const one = document.activeElement;
        return { text: (one.innerText || "").trim().slice(0, 400), name: one.getAttribute("name"), id: one.id, type: one.type,
                 classes: [...one.classList], html: one.outerHTML.slice(0, 400) };
    """)


def tab_to(browser, word, most=90):
    """Goes on with Tab until what has the focus begins with this word, or is the field of this name."""
    for _ in range(most):
        keys(browser, Keys.TAB)
        at = focus(browser)
        if at["text"].startswith(word) or at["name"] == word:
            return
    raise AssertionError(f"Tab never came to {word!r} on {browser.current_url}")


def keys(browser, *pressed):
    """Keys for whatever has the focus, as a keyboard sends them: to the window, not to an element."""
    ActionChains(browser).send_keys(*pressed).perform()
