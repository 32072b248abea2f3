"""What a person holds while the console's pages are drawn anew, and the questions that ask for more than a reason."""

import itertools
import re
import threading

import pytest
from browser import await_in, start_browser
from children import eventually
from console_page import dialog, dress, focus, keys, log, overflow, press, violations
from proxy import Proxy
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from services.shop import visit
from test_console import TOKENS, console, journal_of, shop, sign_in, sides, stage_of, tables  # noqa: F401: fixtures

# An element is another one, and its part not as the server draws it, until that is drawn anew.
MARK = "for (const one of document.querySelectorAll(arguments[0])) one.dataset.old = 1"
OLD = "return [...document.querySelectorAll('[data-old]')].map(one => one.closest('[data-live]').id)"


def old(browser):
    return browser.execute_script(OLD)


def redrawn(browser, *parts):
    await_in(browser, f"{parts} drawn anew", lambda one: not set(parts) & set(old(one)))


# Page, and what has the focus: a link, a text that is scrolled by keys, a button, a link whose address another one has, too.
HELD = [
    ("route/catalog", "#toml pre"),
    ("route/catalog", "#head .btn.red"),
    ("route/catalog", "#gate a.link"),
    ("", "#rows tr:nth-child(3) a.name"),
    ("journal", "#who .btn"),
    ("inventory", "#next a.btn"),
    ("inventory", "#next button"),
]


def test_what_has_the_focus_keeps_it_when_its_part_is_drawn_anew(shop, console, browser):  # noqa: F811
    edge = shop(compared=False)
    # An endpoint is sure once two clients were answered.
    for source in ("127.0.0.21", "127.0.0.22"):
        visit(edge.port, ["/about"] * 3, source=source)
    eventually("a proposal", lambda: edge.json("/api/v1/next"))
    for page, held in HELD:
        console(edge, page)
        await_in(browser, "the script", lambda one: one.find_elements(By.CSS_SELECTOR, ".js"))
        browser.execute_script("document.querySelector(arguments[0]).focus()", held)
        browser.execute_script(MARK, held)
        part = old(browser)[0]
        redrawn(browser, part)
        kept = browser.execute_script("return document.activeElement.matches(arguments[0])", held)
        assert kept, (page, held, focus(browser))
    # What had it is gone: Tab goes on from its part.
    console(edge, "route/catalog")
    await_in(browser, "the script", lambda one: one.find_elements(By.CSS_SELECTOR, ".js"))
    browser.execute_script("""
        const gone = document.createElement("details");
        gone.innerHTML = "<summary data-old=1>gone</summary>";
        document.getElementById("moves").append(gone);
        gone.firstChild.focus();
    """)
    redrawn(browser, "moves")
    assert focus(browser)["id"] == "moves"


def test_text_that_is_selected_and_what_a_pointer_is_down_on_stay(shop, console, browser):  # noqa: F811
    edge = shop(compared=False)
    console(edge, "route/catalog")
    await_in(browser, "live", lambda one: one.find_elements(By.CSS_SELECTOR, ".live:not(.off)"))
    browser.execute_script("getSelection().selectAllChildren(document.querySelector('#answers p'))")
    browser.execute_script(MARK, "#answers p, #track ol")
    redrawn(browser, "track")
    assert old(browser) == ["answers"]
    assert "The dial was set" in browser.execute_script("return String(getSelection())")
    browser.execute_script("getSelection().removeAllRanges()")
    redrawn(browser, "answers")
    hand = ActionChains(browser)
    hand.click_and_hold(browser.find_element(By.CSS_SELECTOR, "#toml h2")).perform()
    browser.execute_script("getSelection().removeAllRanges()")
    browser.execute_script(MARK, "#toml pre, #track ol")
    redrawn(browser, "track")
    assert old(browser) == ["toml"]
    hand.release().perform()
    redrawn(browser, "toml")


def test_a_page_that_was_drawn_anew_says_that_nobody_is_there(sides, browser):  # noqa: F811
    edge = Proxy(tables(sides))
    browser.get(f"http://127.0.0.1:{edge.admin_port}/")
    await_in(browser, "live", lambda one: one.find_elements(By.CSS_SELECTOR, ".live:not(.off)"))
    browser.execute_script(MARK, "#who .live")
    redrawn(browser, "who")
    edge.stop()
    await_in(browser, "no connection", lambda one: one.find_elements(By.CSS_SELECTOR, ".live.off"))
    assert "no connection" in browser.find_element(By.ID, "who").text


def test_seven_windows_of_one_browser_leave_connections_for_pages_and_for_what_is_pressed(sides, browser):  # noqa: F811
    """Over HTTP/1.1 a browser has six connections for a host."""
    edge = Proxy(tables(sides))
    for number, page in enumerate(["", "requests", "journal", "inventory", "upstreams", "file", ""]):
        if number:
            browser.switch_to.new_window("window")
        browser.get(f"http://127.0.0.1:{edge.admin_port}/{page}")
        assert not browser.execute_script("return document.hidden")
    press(browser, "Monolith only")
    press(browser, "Monolith only", dialog(browser))
    paused = set()
    for window in browser.window_handles:
        browser.switch_to.window(window)

        # Those that have no stream come back for it.
        def knows(one):
            shown = one.find_element(By.CSS_SELECTOR, ".live")
            if "paused" in shown.text:
                paused.add(window)
                dress(one, 390, "light")
                assert "off" not in shown.get_attribute("class") and overflow(one) <= 0
            return one.find_elements(By.CSS_SELECTOR, ".who .pill.bad")

        await_in(browser, "what was pressed in another window", knows)
        assert not [line for line in log(browser) if "SEVERE" in line]
    assert paused, "no window made room"
    edge.stop()


def test_a_mask_asks_until_its_expression_can_be_read(shop, console, browser):  # noqa: F811
    edge = shop()
    for theme, width in (("light", 1440), ("dark", 390)):
        dress(browser, width, theme)
        console(edge, "route/read-user")
        press(browser, "Mask")
        card = dialog(browser)
        pattern = card.find_element(By.NAME, "pattern")
        assert browser.switch_to.active_element == pattern, "the field waits for the expression"
        pattern.send_keys("(", Keys.ENTER)
        await_in(browser, "what is wrong", lambda one: one.find_elements(By.CSS_SELECTOR, "dialog[open] .say.b"))
        assert "route/read-user" in browser.current_url and not violations(browser) and overflow(browser) <= 0
        pattern = dialog(browser).find_element(By.NAME, "pattern")
        assert pattern.get_attribute("value") == "("
        pattern.clear()
        pattern.send_keys(r"[Uu]ser\.\d+", Keys.ENTER)
        await_in(browser, "the lines", lambda one: one.find_elements(By.CSS_SELECTOR, "dialog[open] #lines"))
        assert not violations(browser) and overflow(browser) <= 0
        assert r"[Uu]ser\.\d+" in dialog(browser).find_element(By.ID, "lines").text
    dialog(browser).find_element(By.NAME, "reason").send_keys("names are made anew", Keys.ENTER)
    await_in(browser, "what was made", lambda one: "in force as generation" in one.page_source)
    assert r"""mask = { "$.email" = '[Uu]ser\.\d+' }""" in edge.file.read_text(), edge.file.read_text()
    assert not [line for line in log(browser) if "SEVERE" in line]


GATED = """
[monolith]
url = "http://127.0.0.1:{monolith}"
[services.people]
endpoints = ["127.0.0.1:{service}"]
[routes.users]
path    = "/users/{{id}}"
service = "people"
stage   = "canary"
weight  = "60%"
[routes.users.gate]
steps = ["40%", "100%"]
interval = "1s"
settle = "2s"
min_requests = 20
confidence = 0.9
max_error_increase = "20%"
max_latency_increase = "1000%"
control = "40%"
"""


@pytest.fixture
def visitors():
    """Visitors who ask until the test is over: `visitors(port)`. Each is another client."""
    over, threads, numbers = threading.Event(), [], itertools.count()

    def ask(port):
        while not over.is_set():
            visit(port, [f"/users/{next(numbers)}" for _ in range(50)])

    def start(port):
        threads.append(threading.Thread(target=ask, args=(port,)))
        threads[-1].start()

    yield start
    over.set()
    for thread in threads:
        thread.join()


def test_a_move_that_waits_for_a_person_is_approved(proxy, sides, visitors, console, browser):  # noqa: F811
    edge = proxy(GATED.format(monolith=sides[0].port, service=sides[1].port))
    visitors(edge.port)
    gate = lambda: edge.json("/api/v1/routes/users")["gate"] or {}  # noqa: E731
    eventually("the gate waits", lambda: gate().get("state") == "waiting", limit=180)
    dress(browser, 390, "dark")
    console(edge)
    note = browser.find_element(By.ID, "todo")
    assert "approve" in note.text and "no worse than allowed" in note.text, note.text
    press(browser, "Approve", note)
    card = dialog(browser)
    assert not violations(browser) and overflow(browser) <= 0
    assert "`" not in card.text and not card.find_elements(By.NAME, "write"), card.text
    assert "Let users go to migrated?" in card.text and "sure and waits for you" in card.text, card.text
    # At 100 % nothing is left to compare with: what the step before showed.
    assert "found no worse than allowed" in card.text and "Answers without failures" in card.text, card.text
    press(browser, "Leave it", card)
    await_in(browser, "no dialog", lambda one: not one.find_elements(By.CSS_SELECTOR, "dialog[open]"))
    assert focus(browser)["text"].startswith("Approve"), "the focus is where it was"
    assert stage_of(edge, "users") == "canary"
    dress(browser, 1440, "light")
    console(edge, "route/users")
    press(browser, "Approve")
    dialog(browser).find_element(By.NAME, "reason").send_keys("the load test was fine", Keys.ENTER)
    await_in(browser, "what was made", lambda one: one.find_elements(By.CSS_SELECTOR, ".say.g"))
    eventually("the move", lambda: stage_of(edge, "users") == "migrated")
    made = [entry for entry in journal_of(edge, "users") if entry["action"] == "approve"]
    assert made and made[0]["reason"] == "the load test was fine", made
    assert not [line for line in log(browser) if "SEVERE" in line]


def test_every_request_names_its_route_and_side_on_a_phone(shop, console, browser):  # noqa: F811
    edge = shop(compared=False)
    dress(browser, 390, "light")
    console(edge, "requests")
    await_in(browser, "the stream", lambda one: one.find_elements(By.CSS_SELECTOR, ".live:not(.off)"))
    visit(edge.port, ["/catalog/7"])
    line = await_in(browser, "a request", lambda one: one.find_elements(By.CSS_SELECTOR, ".req summary"))[0]
    assert re.search(r"/catalog/7\s+catalog\s+(monolith|service)", line.text), line.text
    assert overflow(browser) <= 0


def test_a_browser_that_keeps_passwords_has_nothing_to_say_of_the_sign_in(shop, browser, tmp_path):  # noqa: F811
    (tmp_path / "ops").write_text("operator-token-of-the-tests")
    (tmp_path / "eve").write_text("reader-token-of-the-tests-too")
    edge = shop(server=TOKENS.format(folder=tmp_path), compared=False)
    browser.get(f"http://127.0.0.1:{edge.admin_port}/")
    await_in(browser, "the sign-in", lambda one: one.find_elements(By.NAME, "token"))
    assert not log(browser)
    keys(browser, "operator-token-of-the-tests", Keys.ENTER)
    await_in(browser, "the board", lambda one: "ops · operate" in one.page_source)


ROWS = ".req"


def test_a_request_that_is_open_stays_and_new_ones_wait(shop, console, browser):  # noqa: F811
    edge = shop(compared=False)
    console(edge, "requests")
    await_in(browser, "the stream", lambda one: one.find_elements(By.CSS_SELECTOR, ".live:not(.off)"))
    rows = lambda: len(browser.find_elements(By.CSS_SELECTOR, ROWS))  # noqa: E731
    waits = lambda one: " new" in one.find_element(By.ID, "waits").text  # noqa: E731
    visit(edge.port, ["/catalog/7"])
    await_in(browser, "a request", lambda one: rows() == 1)
    summary = browser.find_element(By.CSS_SELECTOR, ".req summary")
    summary.click()
    visit(edge.port, ["/catalog/8"] * 250)
    await_in(browser, "new ones wait", waits)
    assert rows() == 1 and browser.find_elements(By.CSS_SELECTOR, ".req[open]")
    summary.click()
    await_in(browser, "they are shown", lambda one: rows() > 1 and not waits(one))
    press(browser, "Hold")
    held = rows()
    visit(edge.port, ["/catalog/9"])
    await_in(browser, "one waits", waits)
    assert rows() == held
    press(browser, "Go on")
    await_in(browser, "it is shown", lambda one: not waits(one))


def test_a_session_that_ended_is_told_from_a_lost_connection(shop, browser, tmp_path):  # noqa: F811
    (tmp_path / "ops").write_text("operator-token-of-the-tests")
    (tmp_path / "eve").write_text("reader-token-of-the-tests-too")
    edge = shop(server=TOKENS.format(folder=tmp_path), compared=False)
    url = f"http://127.0.0.1:{edge.admin_port}/"
    sign_in(browser, url + "requests", "operator-token-of-the-tests")
    await_in(browser, "live", lambda one: one.find_elements(By.CSS_SELECTOR, ".live:not(.off)"))
    (tmp_path / "ops").write_text("another-token-of-the-tests")
    await_in(browser, "signed out", lambda one: "signed out" in one.find_element(By.CSS_SELECTOR, ".live.off").text)
    press(browser, "Sign in")
    await_in(browser, "the sign-in", lambda one: "/console/login?next=requests" in one.current_url)


def test_a_long_user_agent_stays_in_its_card(shop, console, browser):  # noqa: F811
    edge = shop(compared=False)
    for source in ("127.0.0.21", "127.0.0.22"):
        visit(edge.port, ["/about"] * 3, source=source, agent="Crawler/" + "x" * 300)
    eventually("the endpoint", lambda: edge.json("/api/v1/inventory")["endpoints"])
    for width in (1440, 390):
        dress(browser, width, "light")
        console(edge, "inventory")
        cell, card = browser.execute_script("""
            const cell = [...document.querySelectorAll("[data-l='Last asked']")].find(one => one.textContent.includes("Crawler"));
            return [cell, cell.closest(".card")].map(one => [one.getBoundingClientRect(), one.scrollWidth, one.clientWidth]);
        """)
        assert cell[0]["right"] <= card[0]["right"] and cell[1] <= cell[2] and card[1] <= card[2], (width, cell, card)
        assert width > 1000 or cell[0]["width"] > card[0]["width"] * 0.8, (cell, card)
        assert overflow(browser) <= 0


def test_no_key_and_no_button_is_named_where_it_does_nothing(shop, console, browser, tmp_path):  # noqa: F811
    edge = shop()
    for source in ("127.0.0.21", "127.0.0.22"):
        visit(edge.port, ["/about"] * 3, source=source)
    eventually("a proposal", lambda: edge.json("/api/v1/next"))
    for page, named in (("", True), ("upstreams", False), ("route/read-user", False)):
        console(edge, page)
        assert browser.find_element(By.CSS_SELECTOR, ".k-open").is_displayed() == named, page
    plain = start_browser(tmp_path / "plain", preferences={"profile.managed_default_content_settings.javascript": 2})
    try:
        for page in ("requests", "inventory"):
            plain.get(f"http://127.0.0.1:{edge.admin_port}/{page}")
            dead = plain.find_elements(By.CSS_SELECTOR, "#pause, [data-copy]")
            assert dead and not [one for one in dead if one.is_displayed()], page
    finally:
        plain.quit()


def test_many_tabs_leave_each_other_connections(sides, browser):  # noqa: F811
    edge = Proxy(tables(sides))
    first, opened = browser.current_window_handle, []
    try:
        # A browser has six connections for a host.
        for page in ("", "requests", "journal") * 4:
            browser.switch_to.new_window("tab")
            opened.append(browser.current_window_handle)
            browser.get(f"http://127.0.0.1:{edge.admin_port}/{page}")
            await_in(browser, f"tab {len(opened)}", lambda one: one.find_elements(By.CSS_SELECTOR, ".live:not(.off)"))
        browser.switch_to.window(opened[0])
        browser.execute_script(MARK, "#who .live")
        redrawn(browser, "who")
    finally:
        for tab in opened:
            browser.switch_to.window(tab)
            browser.close()
        browser.switch_to.window(first)
        edge.stop()
