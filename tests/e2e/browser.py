"""A person's browser: Debian's Chromium, driven by Selenium."""

import shutil

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

# Without these Chromium asks hosts of its maker, and under root it does not start in its sandbox.
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run
--disable-background-networking --disable-component-update --disable-sync""".split()
PATIENCE = 60


def start_browser(folder, preferences=None, flags=()):
    """A browser that keeps what it knows in this folder. It believes every certificate: those of the tests are nobody's."""
    programs = [shutil.which("chromium"), shutil.which("chromedriver")]
    assert all(programs), "help: apt-get install chromium chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    options.accept_insecure_certs = True
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if preferences:
        options.add_experimental_option("prefs", preferences)
    for flag in [*FLAGS, *flags, f"--user-data-dir={folder}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(programs[1]))
    driver.set_page_load_timeout(PATIENCE)
    return driver


def await_in(browser, what, ask):
    """Asks until the answer is true, and gives it. The page may draw anew between two looks of one question."""
    gone = (NoSuchElementException, StaleElementReferenceException)
    return WebDriverWait(browser, PATIENCE, ignored_exceptions=gone).until(ask, f"in vain: {what}")
