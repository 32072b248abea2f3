"""One route's whole way in a real browser, from `monolith` to `retired`: once with the mouse, once with the keyboard alone.

Its gate waits for a person twice. The requests are the test's, so what the gate knows is no matter of time: without them it
is not sure of anything, and each wait is for something that can be seen.
"""

from http.client import HTTPConnection

import pytest
from browser import await_in
from children import eventually
from console_page import dialog, focus, in_dialog, keys, log, made_behind, press, shown, tab_to
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from services.shop import Side

# Proofs take requests, and a busy machine answers few.
PROVED = 300.0
TABLES = """
[monolith]
url = "http://127.0.0.1:{monolith}"

[services.people]
endpoints = ["127.0.0.1:{service}"]

[routes.orders]
path    = "/orders/{{id}}"
service = "people"
stage   = "monolith"
sticky  = ["header:x-user-id"]

[routes.orders.shadow.compare]
ignore = ["$.as_of"]

[routes.orders.gate]
steps                = ["40%", "100%"]
control              = "40%"
approve              = ["canary", "migrated"]
interval             = "1s"
settle               = "0s"
min_requests         = 20
min_compared         = 20
confidence           = 0.9
max_error_increase   = "20%"
max_latency_increase = "1000%"
max_mismatch         = "20%"
pairs                = false

[routes.other]
path    = "/other/{{id}}"
service = "people"
stage   = "monolith"
"""


def ask(edge, clients=60):
    """Each client asks once."""
    connection = HTTPConnection("127.0.0.1", edge.port, timeout=30)
    for client in range(clients):
        connection.request("GET", f"/orders/{client}", headers={"X-User-Id": str(client)})
        answer = connection.getresponse()
        assert answer.read() and answer.status == 200, answer.status
    connection.close()


def route(edge):
    return edge.json("/api/v1/routes/orders")


def is_waiting(edge):
    return route(edge)["gate"]["state"] == "waiting"


def ask_until_it_waits(edge):
    eventually("the gate waits for a person", lambda: ask(edge) or is_waiting(edge), PROVED)


def stands_at(edge, stage, weight=None):
    now = route(edge)
    return (now["stage"], now.get("weight")) == (stage, weight)


def journal(edge):
    return [entry for entry in edge.json("/api/v1/journal")["entries"] if entry["route"] == "orders"]


class Mouse:
    """A person who points, and types nothing but reasons."""

    def __init__(self, browser):
        self.browser = browser

    def open_route(self):
        press(self.browser, "orders")

    def to_page(self, word):
        press(self.browser, word)

    def change_your_mind(self, word):
        press(self.browser, word)
        press(self.browser, "Leave it", dialog(self.browser))

    def ask_for(self, word):
        press(self.browser, word)

    def answer(self, button, reason):
        card = dialog(self.browser)
        field = card.find_element(By.NAME, "reason")
        field.click()
        field.send_keys(reason)
        press(self.browser, button, card)

    def done(self):
        pass


class Keyboard:
    """A person without a pointer."""

    def __init__(self, browser):
        self.browser = browser
        self.by_button = False

    def open_route(self):
        keys(self.browser, "/")
        assert focus(self.browser)["type"] == "search"
        keys(self.browser, "o", Keys.ENTER)
        await_in(self.browser, "the filter", lambda one: "q=o" in one.current_url)
        live(self.browser)
        # Down to the second row and up again.
        keys(self.browser, "j", "j", "k")
        chosen = self.browser.find_elements(By.CSS_SELECTOR, ".sel")
        assert [row.get_attribute("data-row") for row in chosen] == ["orders"]
        keys(self.browser, Keys.ENTER)

    def to_page(self, word):
        tab_to(self.browser, word)
        keys(self.browser, Keys.ENTER)

    def change_your_mind(self, word):
        """By Escape, and by the link that says so."""
        for leaves in (lambda: keys(self.browser, Keys.ESCAPE), lambda: self.to_page("Leave it")):
            self.ask_for(word)
            leaves()
            await_in(self.browser, "no dialog", lambda one: not one.find_elements(By.CSS_SELECTOR, "dialog[open]"))
            assert focus(self.browser)["text"].startswith(word), focus(self.browser)

    def ask_for(self, word):
        await_in(self.browser, word, lambda one: shown(one, word))
        tab_to(self.browser, word)
        keys(self.browser, Keys.ENTER)
        dialog(self.browser)
        assert in_dialog(self.browser), "the focus is on the page behind the dialog"
        for _ in range(8):
            keys(self.browser, Keys.TAB)
            assert in_dialog(self.browser), "Tab goes to the page behind the dialog"

    def answer(self, button, reason):
        """By Enter in the field and by the button, in turns."""
        tab_to(self.browser, "reason")
        keys(self.browser, reason)
        self.by_button = not self.by_button
        if self.by_button:
            tab_to(self.browser, button)
        keys(self.browser, Keys.ENTER)

    def done(self):
        """What was done is read out, and Tab goes on from it."""
        at = focus(self.browser)
        assert "say" in at["classes"], at


def live(browser):
    await_in(browser, "the page is live", lambda one: one.find_elements(By.CSS_SELECTOR, ".live:not(.off)"))


def act(edge, hand, word, reason, button=None):
    """Asks for it, says why, and waits until it is done and said."""
    browser, before = hand.browser, len(journal(edge))
    live(browser)
    hand.ask_for(word)
    asked_at = browser.current_url
    hand.answer(button or word, reason)
    made_behind(browser, asked_at)
    live(browser)
    assert "/route/orders" in browser.current_url
    assert len(journal(edge)) > before
    hand.done()


@pytest.fixture(params=[Mouse, Keyboard])
def hand(request, browser):
    return request.param(browser)


def test_a_whole_migration_with_the_mouse_and_with_the_keyboard_alone(proxy, browser, hand, report):
    with Side(small_letters=False) as service:
        with Side(small_letters=False) as monolith:
            edge = proxy(TABLES.format(monolith=monolith.port, service=service.port))
            migrate(edge, browser, hand)
        # Nobody is behind the monolith's address any more.
        ask(edge)
    moves = journal(edge)
    done = [(move["action"], move["by"], move["to"]["stage"], move["to"].get("weight")) for move in moves]
    assert done == [
        ("promote", "person", "shadow", None),
        ("approve", "person", "shadow", None),
        ("advance", "gate", "canary", "40%"),
        ("pause", "person", "canary", "40%"),
        ("promote", "person", "canary", "60%"),
        ("resume", "person", "canary", "60%"),
        ("advance", "gate", "canary", "100%"),
        ("approve", "person", "canary", "100%"),
        ("advance", "gate", "migrated", None),
        ("promote", "person", "retired", None),
    ], done
    persons = [move for move in moves if move["by"] == "person"]
    assert all(move["who"].startswith("loopback via console from 127.0.0.1 (Chrome)") for move in persons), persons
    reasons = ["copies first", "the copies agree", "a look first", "the load test", "go on", "all is well"]
    reasons.append("the code can go")
    assert [move["reason"].rsplit(": ", 1)[-1] for move in persons] == reasons, persons
    assert all(move["who"].startswith("gate@") and "surely <" in move["reason"] for move in moves[2:3]), moves
    # And as a person reads it.
    hand.to_page("Journal")
    await_in(browser, "the journal", lambda one: "/journal" in one.current_url)
    text = browser.find_element(By.TAG_NAME, "main").text
    assert all(f"“{reason}”" in text for reason in reasons) and text.count("(Chrome)") >= len(reasons), text
    assert not [line for line in log(browser) if "SEVERE" in line]
    report(f"console: from monolith to retired by {type(hand).__name__.lower()}: {len(moves)} entries of the journal")


def migrate(edge, browser, hand):
    browser.get(f"http://127.0.0.1:{edge.admin_port}/")
    live(browser)
    hand.open_route()
    await_in(browser, "the route's page", lambda one: "/route/orders" in one.current_url)
    act(edge, hand, "Go to shadow", "copies first")
    assert stands_at(edge, "shadow")
    # What has the focus keeps it, however often its part is drawn anew.
    if isinstance(hand, Keyboard):
        tab_to(browser, "Pause")
    ask_until_it_waits(edge)
    await_in(browser, "the button", lambda one: shown(one, "Approve"))
    if isinstance(hand, Keyboard):
        assert focus(browser)["text"].startswith("Pause"), focus(browser)
    act(edge, hand, "Approve", "the copies agree")
    eventually("the gate goes on", lambda: stands_at(edge, "canary", "40%"))
    # Nobody asks now: the gate is not sure, and stays.
    await_in(browser, "the next step", lambda one: shown(one, "Go to canary 60\u00a0%"))
    hand.change_your_mind("Pause")
    assert [entry["action"] for entry in journal(edge)] == ["promote", "approve", "advance"]
    act(edge, hand, "Pause", "a look first")
    act(edge, hand, "Go to canary 60\u00a0%", "the load test")
    assert stands_at(edge, "canary", "60%")
    act(edge, hand, "Resume", "go on")
    ask_until_it_waits(edge)
    assert stands_at(edge, "canary", "100%")
    act(edge, hand, "Approve", "all is well")
    eventually("the gate goes on", lambda: stands_at(edge, "migrated"))
    await_in(browser, "the last stage", lambda one: shown(one, "Go to retired"))
    act(edge, hand, "Go to retired", "the code can go")
    assert stands_at(edge, "retired")
    if isinstance(hand, Keyboard):
        # The keys are where they are said to be, and leaving them leads back.
        before = browser.switch_to.active_element
        keys(browser, "?")
        await_in(browser, "the keys", lambda one: one.find_elements(By.CSS_SELECTOR, "dialog#help[open]"))
        keys(browser, Keys.ESCAPE)
        await_in(browser, "no dialog", lambda one: not one.find_elements(By.CSS_SELECTOR, "dialog[open]"))
        assert browser.switch_to.active_element == before
