"""A page of another site shows this one in a frame: which of the proxy's cookies Chromium sends back from there."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from browser import await_in, start_browser
from selenium.webdriver.common.by import By

# The page is https too, since a frame's Secure cookies are none of a plain page's business; `localhost` and `127.0.0.1` are two sites.
# Each with whether the person lets frames of other sites have cookies; without, only a jar of their own is left to them.
CASES = {
    ('same_site = "lax"', True): {"framed": False, "alone": True, "shared": False},
    ('same_site = "none"', True): {"framed": True, "alone": True, "shared": True},
    ('same_site = "none"', False): {"framed": False, "alone": True, "shared": False},
    ('same_site = "none"\npartitioned = true', True): {"framed": True, "alone": True, "shared": False},
    ('same_site = "none"\npartitioned = true', False): {"framed": True, "alone": True, "shared": False},
}
ROUTES = """
[monolith]
url = "http://127.0.0.1:{origin}"

[services.users]
url = "http://127.0.0.1:{origin}"

[routes.framed]
path    = "/framed"
service = "users"
stage   = "canary"
weight  = "50%"

[server.cookies]
{cookies}
"""


class Origin(BaseHTTPRequestHandler):
    """`/page` shows `/framed` of the other host; `/framed` says which cookies came with it."""

    def do_GET(self):
        target = self.path.partition("?")
        if target[0] == "/page":
            text = f'<title>page</title><iframe id="frame" src="{target[2]}"></iframe>'
        else:
            text = f'<title>framed</title><p id="cookie">{self.headers.get("Cookie", "none")}</p>'
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def origin():
    with ThreadingHTTPServer(("127.0.0.1", 0), Origin) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def cookie_in_frame(browser, page, framed):
    browser.get(f"{page}/page?{framed}/framed")
    browser.switch_to.frame(browser.find_element(By.ID, "frame"))
    text = await_in(browser, "the frame", lambda one: one.find_element(By.ID, "cookie").text)
    browser.switch_to.default_content()
    return text


def cookie_alone(browser, site):
    browser.get(f"{site}/framed")
    return browser.find_element(By.ID, "cookie").text


@pytest.fixture
def person(tmp_path, let):
    browser = start_browser(tmp_path, {"profile.cookie_controls_mode": 0 if let else 1})
    yield browser
    browser.quit()


@pytest.mark.parametrize(("cookies", "let"), CASES)
def test_a_browser_keeps_the_cookies_that_the_file_says(proxy, person, pair, report, cookies, let):
    browser = person
    with origin() as port:
        edge = proxy(ROUTES.format(origin=port, cookies=cookies), tls=pair)
        page, site = f"https://127.0.0.1:{edge.tls_port}", f"https://localhost:{edge.tls_port}"
        assert cookie_in_frame(browser, page, site) == "none", "nothing was issued before"
        framed = cookie_in_frame(browser, page, site)
        first_alone = cookie_alone(browser, site)
        alone = cookie_alone(browser, site)
        seen = {
            "framed": framed.startswith("multilith_id="),
            "alone": alone.startswith("multilith_id="),
            "shared": first_alone != "none" and first_alone == framed,
        }
        assert seen == CASES[cookies, let], (framed, first_alone, alone)
        jar = [cookie for cookie in browser.get_cookies() if cookie["name"] == "multilith_id"]
        attributes = {(cookie["sameSite"], cookie["secure"], cookie["httpOnly"]) for cookie in jar}
        assert attributes == {("Lax" if "lax" in cookies else "None", True, True)}, jar
        allowed = "allowed" if let else "not allowed"
        report(f"Chromium, third-party cookies {allowed}, {cookies.replace(chr(10), ', ')}: {seen}")
