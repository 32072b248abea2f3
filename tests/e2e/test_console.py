"""The console in a real browser: every screen in both themes and two widths, what is pressed, attacks."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from browser import await_in, start_browser
from children import Child, eventually, free_port, listens
from console_page import dialog, dress, keys, log, made_behind, overflow, press, shown, tab_to, violations
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from services.shop import Side, visit

HOSTILE = "/a<img src=x onerror=hacked=1>/{id}"
AGENT = "<script>hacked=1</script>\\u202e"
TABLES = """
[monolith]
url = "http://127.0.0.1:{monolith}"

[services.people]
endpoints = ["127.0.0.1:{service}"]

[routes.read-user]
path    = "/users/{{id}}"
methods = ["GET"]
service = "people"
stage   = "shadow"

[routes.read-user.shadow]
in_flight = 1000

[routes.read-user.shadow.compare]
noise    = {{ replay = "60%", per_second = 1000 }}
examples = "values"

[routes.catalog]
path    = "/catalog/{{*rest}}"
service = "people"
stage   = "canary"
weight  = "10%"
gate    = {{}}

[routes.orders]
path    = "/orders/{{id}}"
service = "people"
stage   = "monolith"

[routes.hostile]
path    = '{hostile}'
service = "people"
stage   = "migrated"
"""


@pytest.fixture(scope="module")
def sides():
    with Side(small_letters=False) as monolith, Side(small_letters=True) as service:
        yield monolith, service


def tables(sides):
    return TABLES.format(monolith=sides[0].port, service=sides[1].port, hostile=HOSTILE)


@pytest.fixture
def shop(proxy, sides):
    """A proxy whose route `read-user` has shown that one field in ten differs."""

    def start(server="", compared=True):
        edge = proxy(tables(sides), server=server)
        headers = {"Authorization": "Bearer operator-token-of-the-tests"} if "tokens" in server else {}
        targets = [f"/users/{n}" for n in range(160)] + ["/orders/1", "/other", "/catalog/1"]
        visit(edge.port, targets)
        visit(edge.port, ["/a%3Cimg%20src=x%20onerror=hacked=1%3E/1"], agent="<script>hacked=1</script>")
        if compared:
            path = f"http://127.0.0.1:{edge.admin_port}/api/v1/routes/read-user/comparisons"
            compared_all = lambda: requests.get(path, headers=headers, timeout=10).json()["compared"] > 100  # noqa: E731
            eventually("answers compared", compared_all)
        return edge

    return start


@pytest.fixture
def console(browser):
    """Opens a page of the console, and gives its address."""

    def at(edge, page=""):
        browser.get(f"http://127.0.0.1:{edge.admin_port}/{page}")

    return at


SCREENS = [
    "",
    "?q=stage:none",
    "?q=errors%3Emuch",
    "route/read-user",
    "route/catalog",
    "route/hostile",
    "route/none",
    "inventory",
    "inventory?q=route:none",
    "requests",
    "journal",
    "journal?q=by:nobody",
    "upstreams",
    "fleet",
    "explain",
    "explain?method=GET&url=%2Fusers%2F7",
    "file",
    "console/act?do=press",
    "console/act?do=reload",
    "console/act?do=promote&route=read-user",
    "console/act?do=rollback&route=catalog",
    "console/act?do=rule&key=ignore&route=read-user&field=$.email",
    "console/act?do=rule&key=mask&route=read-user&field=$.email",
    "console/act?do=rule&key=literal&field=/users/{id}",
    "console/logout",
]
WRONG = "[routes.x]\npath = 7\nstagee = 'canary'\n"


def looked_at(browser, screen, seen, answers=200):
    """Holds a screen as it stands against everything that is asked of all of them."""
    said = [line for line in log(browser) if f"status of {answers}" not in line]
    assert not said, f"{screen}: {said}"
    assert overflow(browser) <= 0, f"{screen}: {overflow(browser)} pixels too wide"
    found = violations(browser)
    assert not found, f"{screen}: {found}"
    assert not browser.execute_script("return window.hacked"), screen
    seen.append(screen)


def test_every_screen_is_accessible_quiet_and_as_wide_as_its_window(shop, console, browser, report):
    edge = shop()
    seen = []
    for theme in ("light", "dark"):
        for width in (1440, 390):
            dress(browser, width, theme)
            for screen in SCREENS:
                console(edge, screen)
                looked_at(browser, f"{screen} {theme} {width}", seen, 404 if screen == "route/none" else 200)
            console(edge, "requests")
            await_in(browser, "the stream", lambda one: one.find_elements(By.CSS_SELECTOR, ".live:not(.off)"))
            visit(edge.port, ["/users/7?email=a@b"], agent=AGENT)
            await_in(browser, "a request", lambda one: one.find_elements(By.CSS_SELECTOR, ".req"))
            browser.find_element(By.CSS_SELECTOR, ".req summary").click()
            looked_at(browser, f"one request {theme} {width}", seen)
            for text, found in ((WRONG, "would be refused"), (edge.file.read_text(), "may be put in force")):
                console(edge, "file")
                browser.execute_script("document.querySelector('textarea').value = arguments[0]", text)
                press(browser, "Check")
                await_in(browser, found, lambda one, found=found: found in one.page_source)
                looked_at(browser, f"{found} {theme} {width}", seen)
            # What is live there is drawn from a page that can be asked for.
            # In one question: it may be drawn anew between two.
            number = lambda one: one.execute_script("return document.querySelector('.gen').textContent")
            before = number(browser)
            edge.file.write_text(f"{edge.file.read_text()}# {theme} {width}\n")
            await_in(browser, "the next generation", lambda one: number(one) != before)
            looked_at(browser, f"a checked text, some looks later {theme} {width}", seen)
            console(edge, "route/read-user")
            press(browser, "Ignore")
            dialog(browser)
            looked_at(browser, f"a dialog {theme} {width}", seen)
    report(f"console: {len(seen)} looks (2 themes, 390 and 1440 pixels): 0 violations, console quiet, nothing too wide")


def stage_of(edge, route):
    return edge.json(f"/api/v1/routes/{route}")["stage"]


def journal_of(edge, route):
    return [entry for entry in edge.json("/api/v1/journal")["entries"] if entry["route"] == route]


def is_pressed(edge):
    """The red button, by its metric: a whole line, for the help of it begins alike."""
    lines = edge.metrics().splitlines()
    assert ("multilith_monolith_only 1" in lines) != ("multilith_monolith_only 0" in lines), lines
    return "multilith_monolith_only 1" in lines


def test_a_rule_is_written_and_the_button_pressed_and_released_with_the_mouse(shop, console, browser):
    edge = shop()
    console(edge, "route/read-user")
    press(browser, "Ignore")
    card = dialog(browser)
    assert "+ ignore = [\"$.email\"]" in card.text, card.text
    card.find_element(By.NAME, "reason").send_keys("letters do not matter")
    before = edge.file.read_text()
    press(browser, "Write it", card)
    await_in(browser, "what was made", lambda one: "in force as generation" in one.page_source)
    after = edge.file.read_text()
    assert after == before.replace('examples = "values"\n', 'examples = "values"\nignore = ["$.email"]\n'), after
    rule = journal_of(edge, "read-user")[-1]
    assert rule["action"] == "rule" and rule["reason"] == "ignore $.email: letters do not matter", rule
    for word, pressed in (("Monolith only", True), ("Release", False)):
        console(edge)
        press(browser, word)
        card = dialog(browser)
        card.find_element(By.NAME, "reason").send_keys("a drill")
        press(browser, word, card)
        eventually(word, lambda pressed=pressed: is_pressed(edge) == pressed)
    assert not [line for line in log(browser) if "SEVERE" in line]


def test_a_route_without_a_gate_goes_all_the_way_and_whoever_is_not_sure_says_why(shop, console, browser):
    edge = shop()
    console(edge)
    press(browser, "orders")
    # From `monolith` on; without a gate of its own the steps are those of the defaults.
    for _ in range(9):
        await_in(browser, "the route's page", lambda one: "/route/orders" in one.current_url)
        before = len(journal_of(edge, "orders"))
        if stage_of(edge, "orders") == "retired":
            break
        press(browser, "Go all the same" if shown(browser, "Go all the same") else "Go to")
        card, asked_at = dialog(browser), browser.current_url
        card.find_element(By.NAME, "reason").send_keys("the tests say so")
        press(browser, "Go to", card)
        made_behind(browser, asked_at)
        assert len(journal_of(edge, "orders")) > before
    moves = journal_of(edge, "orders")
    assert moves[-1]["to"]["stage"] == "retired", moves
    assert all("the tests say so" in move["reason"] for move in moves), moves
    assert "not sure yet: the tests say so" in [move["reason"] for move in moves], moves


def test_escape_presses_nothing_and_a_question_mark_shows_the_keys(shop, console, browser):
    edge = shop(compared=False)
    console(edge, "route/catalog")
    await_in(browser, "the script", lambda one: one.find_elements(By.CSS_SELECTOR, ".js"))
    tab_to(browser, "Monolith only")
    keys(browser, Keys.ENTER)
    dialog(browser)
    keys(browser, Keys.ESCAPE)
    await_in(browser, "no dialog", lambda one: not one.find_elements(By.CSS_SELECTOR, "dialog[open]"))
    assert not is_pressed(edge), "Escape does nothing"
    keys(browser, "?")
    await_in(browser, "the keys", lambda one: one.find_elements(By.CSS_SELECTOR, "dialog#help[open]"))


class Foreign(BaseHTTPRequestHandler):
    """A page of another site that means ill."""

    page = ""

    def do_GET(self):
        body = Foreign.page.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def foreign():
    with ThreadingHTTPServer(("127.0.0.1", 0), Foreign) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_pages_of_other_sites_press_nothing_and_frame_nothing(shop, tmp_path, foreign):
    edge = shop(compared=False)
    target = f"http://127.0.0.1:{edge.admin_port}"
    browser = start_browser(tmp_path, flags=["--host-resolver-rules=MAP *.example 127.0.0.1"])
    try:
        browser.get(target + "/console/act?do=press")
        word = browser.find_element(By.NAME, "word").get_attribute("value")
        # The worst case: the other site knows the word, and the browser holds the cookie.
        Foreign.page = f"""<form method=post action="{target}/console/act">
            <input name=word value="{word}"><input name=do value=press></form>
            <script>document.forms[0].submit()</script>"""
        for site in (f"http://evil.example:{foreign}/", f"http://localhost:{foreign}/"):
            browser.get(site)
            await_in(browser, "the answer", lambda one: one.current_url.startswith(target))
            assert "refused" in browser.page_source, browser.page_source
        Foreign.page = f"""<script>
            Promise.all(["/console/act", "/api/v1/monolith-only"].map(path => fetch("{target}" + path, {{ method: "POST",
              mode: "no-cors", credentials: "include", headers: {{ "content-type": "text/plain" }}, body: '{{"on":true}}' }})))
              .then(() => fetch("{target}/api/v1/status", {{ credentials: "include" }}))
              .then(answer => answer.text()).then(text => {{ document.title = "read " + text }}, () => {{ document.title = "not read" }});
            </script>"""
        browser.get(f"http://evil.example:{foreign}/")
        await_in(browser, "the answer", lambda one: "read" in one.title)
        assert browser.title == "not read", browser.title
        Foreign.page = f'<title>frames</title><iframe src="{target}/"></iframe>'
        browser.get(f"http://evil.example:{foreign}/")
        browser.switch_to.frame(0)
        assert "migration" not in browser.page_source, "the console stands in a frame"
        browser.switch_to.default_content()
        # The name of another site leads to us: a page that was loaded from there would be of our origin.
        browser.get(f"http://rebound.example:{edge.admin_port}/")
        assert "not known by that host name" in browser.page_source, browser.page_source
        assert not is_pressed(edge)
    finally:
        browser.quit()


TOKENS = """
[[server.tokens]]
name  = "ops"
token = {{ file = "{folder}/ops" }}
role  = "operate"
[[server.tokens]]
name  = "eve"
token = {{ file = "{folder}/eve" }}
role  = "read"
"""


def sign_in(browser, url, token):
    browser.get(url)
    field = await_in(browser, "the sign-in", lambda one: one.find_elements(By.NAME, "token"))[0]
    field.send_keys(token, Keys.ENTER)
    await_in(browser, "the board", lambda one: "/console/login" not in one.current_url)


def test_who_may_only_look_sees_no_button_and_no_value(shop, browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "ops").write_text("operator-token-of-the-tests")
    (folder / "eve").write_text("reader-token-of-the-tests-too")
    edge = shop(server=TOKENS.format(folder=folder))
    url = f"http://127.0.0.1:{edge.admin_port}/"
    dress(browser, 390, "dark")
    browser.get(url)
    assert not violations(browser) and overflow(browser) <= 0, violations(browser)
    dress(browser, 1440, "light")
    # A token is refused without a word of it; the log has no script's fault.
    field = browser.find_element(By.NAME, "token")
    field.send_keys("a-wrong-one", Keys.ENTER)
    await_in(browser, "the refusal", lambda one: "not known" in one.page_source)
    sign_in(browser, url, "reader-token-of-the-tests-too")
    for page in ("", "route/read-user", "inventory", "journal", "upstreams", "fleet", "explain", "file", "requests"):
        browser.get(url + page)
        source = browser.page_source
        assert "eve · read" in source and "do=press" not in source and "data-dialog" not in source, page
        assert "User.7@Shop" not in source and "user.7@shop" not in source, page
        assert not violations(browser), page
    fetched = "return fetch(arguments[0]).then(answer => answer.status + ' ' + answer.headers.get('content-type'))"
    browser.get(url + "journal")
    for path, status in (("api/v1/journal?limit=1000", 200), ("api/v1/inventory", 200), ("api/v1/config", 200)):
        assert browser.execute_script(fetched, path).startswith(f"{status} application/json"), path
    hurl = browser.execute_script(fetched, "api/v1/routes/read-user/comparisons.hurl")
    assert hurl.startswith("403"), hurl
    press(browser, "Sign out")
    await_in(browser, "the question", lambda one: one.find_elements(By.CSS_SELECTOR, "[data-ask]"))
    press(browser, "Sign out")
    await_in(browser, "the sign-in", lambda one: "/console/login" in one.current_url)
    assert browser.execute_script(fetched, "../api/v1/journal").startswith("401")
    sign_in(browser, url + "route/read-user", "operator-token-of-the-tests")
    assert "ops · operate" in browser.page_source and "7@" in browser.find_element(By.CSS_SELECTOR, ".diff").text


NGINX = """
daemon off; pid {folder}/pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    location /edge/ {{
      proxy_pass http://127.0.0.1:{admin}/;
      proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""


def test_behind_nginx_below_a_path(shop, browser, tmp_path):
    port = free_port()
    edge = shop(server=f'admin_base = "/edge/"\nadmin_hosts = ["127.0.0.1:{port}"]')
    conf = tmp_path / "nginx.conf"
    conf.write_text(NGINX.format(folder=tmp_path, port=port, admin=edge.admin_port))
    nginx = Child("nginx", ["nginx", "-e", "stderr", "-c", conf])
    assert nginx.await_ready(lambda: listens(port)), nginx.log()
    try:
        base = f"http://127.0.0.1:{port}/edge/"
        for screen in SCREENS:
            browser.get(base + screen)
            assert browser.find_element(By.CSS_SELECTOR, ".brand").value_of_css_property("display") == "flex", screen
            links = browser.execute_script("return [...document.querySelectorAll('a[href], form[action]')]"
                                           ".map(one => one.href || one.action)")  # fmt: skip
            assert all(link.startswith(base) for link in links), (screen, links)
        browser.get(base)
        for word in ("Inventory", "Requests", "Journal", "Upstreams", "File", "Board", "orders"):
            press(browser, word)
        await_in(browser, "live", lambda one: one.find_elements(By.CSS_SELECTOR, ".live:not(.off)"))
        press(browser, "Go to shadow")
        press(browser, "Go to shadow", dialog(browser))
        await_in(browser, "what was made", lambda one: one.find_elements(By.CSS_SELECTOR, ".say.g"))
        assert browser.current_url.startswith(base + "route/orders"), browser.current_url
        assert stage_of(edge, "orders") == "shadow"
        cookie = browser.get_cookies()[0]
        assert (cookie["path"], cookie["httpOnly"], cookie["sameSite"]) == ("/edge/", True, "Strict"), cookie
    finally:
        nginx.kill()


def test_without_a_script_everything_is_there(shop, tmp_path):
    edge = shop()
    browser = start_browser(tmp_path, preferences={"profile.managed_default_content_settings.javascript": 2})
    try:
        url = f"http://127.0.0.1:{edge.admin_port}/"
        browser.get(url)
        for word in ("Inventory", "Requests", "Journal", "Upstreams", "File", "Board", "orders"):
            press(browser, word)
            assert browser.find_element(By.TAG_NAME, "h1").text
        press(browser, "Go to shadow")
        press(browser, "Go to shadow")
        await_in(browser, "what was made", lambda one: one.find_elements(By.CSS_SELECTOR, ".say.g"))
        assert stage_of(edge, "orders") == "shadow"
        browser.get(url + "route/read-user")
        press(browser, "Mask")
        browser.find_element(By.NAME, "pattern").send_keys("(", Keys.ENTER)
        await_in(browser, "what is wrong", lambda one: one.find_elements(By.CSS_SELECTOR, ".say.b"))
        browser.find_element(By.NAME, "pattern").clear()
        browser.find_element(By.NAME, "pattern").send_keys(r"[Uu]ser\.\d+", Keys.ENTER)
        reason = await_in(browser, "the lines", lambda one: one.find_elements(By.NAME, "reason"))[0]
        reason.send_keys("names are made anew", Keys.ENTER)
        await_in(browser, "what was made", lambda one: "in force as generation" in one.page_source)
        assert r"""mask = { "$.email" = '[Uu]ser\.\d+' }""" in edge.file.read_text(), edge.file.read_text()
    finally:
        browser.quit()


def test_a_file_that_changed_meanwhile_is_not_written(shop, console, browser):
    edge = shop()
    console(edge, "console/act?do=rule&key=ignore&route=read-user&field=$.email")
    browser.find_element(By.NAME, "reason").send_keys("too late")
    generation = edge.generation()
    edge.append("\n# somebody was faster\n")
    edge.await_generation_after(generation)
    press(browser, "Write it")
    await_in(browser, "the refusal", lambda one: "meanwhile" in one.page_source)
    assert "$.email" not in edge.file.read_text()
    # A link belongs to somebody else: the lines are shown, and not written.
    real = edge.file.with_name("real.toml")
    edge.file.rename(real)
    edge.file.symlink_to(real)
    console(edge, "console/act?do=rule&key=ignore&route=read-user&field=$.email")
    assert "symbolic link" in browser.page_source and not browser.find_elements(By.NAME, "reason")
    assert "[routes.read-user.shadow.compare]" in browser.page_source
