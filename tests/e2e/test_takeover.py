"""A Django site behind the proxy: nobody notices, and then an endpoint moves to a Nameko service while requests run."""

import hashlib
import os
import re
import threading
import time
from collections import Counter

import pytest
import requests
from children import eventually

VISITORS = 8
# Large enough that Django puts it in a file and no buffer on the way holds it.
UPLOAD = 3 * 1024 * 1024 + 17

MONOLITH = """
[monolith]
url = "http://127.0.0.1:{django}"

[services.users]
url = "http://127.0.0.1:{nameko}"
"""
FOUR_LINES = """\
[routes.read-user]
path    = "/api/users/{id}"
service = "users"
stage   = "migrated"
"""


@pytest.fixture
def edge(proxy, django, nameko):
    return proxy(MONOLITH.format(django=django.port, nameko=nameko.port))


class Browser(requests.Session):
    """A session that sends what a browser sends with a form: the origin that Django checks against the Host."""

    def __init__(self, site):
        super().__init__()
        self.site = site

    def open(self, path, **options):
        response = self.get(self.site + path, timeout=30, **options)
        assert response.status_code < 400, f"{path}: {response.status_code} {response.text[:500]}"
        return response

    def submit(self, path, fields, files=None, form=None, origin=None):
        """Opens the page with the form (at `path` itself unless `form` says otherwise) and sends it filled in."""
        page = self.open(form or path)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text).group(1)
        headers = {"Origin": origin or self.site, "Referer": self.site + (form or path)}
        data = {**fields, "csrfmiddlewaretoken": token}
        return self.post(self.site + path, data=data, files=files, headers=headers, timeout=60, allow_redirects=False)

    def log_in(self, **options):
        fields = {"username": "admin", "password": "admin", "next": "/admin/"}
        return self.submit("/admin/login/?next=/admin/", fields, **options)


def test_the_site_names_itself_as_the_visitor_does(edge):
    page = requests.get(edge.url + "/", timeout=10)
    assert f'href="{edge.url}/admin/"' in page.text
    assert page.headers["X-Request-Id"]


def test_redirects_stay_on_the_proxy(edge):
    response = requests.get(edge.url + "/admin", timeout=10)
    assert [step.status_code for step in response.history] == [301, 302]
    assert response.url == f"{edge.url}/admin/login/?next=/admin/"


def test_the_admin_with_session_upload_download_and_logout(edge, report):
    browser = Browser(edge.url)
    content = os.urandom(UPLOAD)
    welcome = browser.log_in()
    assert (welcome.status_code, welcome.headers["Location"]) == (302, "/admin/")
    assert "sessionid" in browser.cookies
    assert "Log out" in browser.open("/admin/").text

    files = {"file": ("scan of café.bin", content, "application/octet-stream")}
    saved = browser.submit("/admin/documents/document/add/", {"title": "A scan", "_save": "Save"}, files)
    assert saved.status_code == 302, saved.text[:2000]
    listing = browser.open("/admin/documents/document/").text
    change = re.search(r'href="(/admin/documents/document/\d+/change/)[^"]*">A scan<', listing).group(1)
    download = re.search(r'href="(/media/[^"]+)"', browser.open(change).text).group(1)
    response = browser.open(download)
    assert hashlib.sha256(response.content).digest() == hashlib.sha256(content).digest()
    assert int(response.headers["Content-Length"]) == UPLOAD

    assert browser.submit("/admin/logout/", {}, form="/admin/").status_code == 200
    assert browser.get(edge.url + "/admin/", timeout=30).url.startswith(edge.url + "/admin/login/")
    report(f"django admin: logged in, {UPLOAD} bytes up and down alike, logged out")


def test_a_form_from_a_foreign_origin_is_still_refused_by_the_monolith(edge):
    response = Browser(edge.url).log_in(origin="http://evil.example")
    assert response.status_code == 403


def test_static_files_arrive_as_they_are(edge, django):
    for path in ("/static/admin/css/base.css", "/static/admin/js/core.js", "/static/admin/img/icon-yes.svg"):
        through = requests.get(edge.url + path, timeout=30)
        direct = requests.get(f"http://127.0.0.1:{django.port}{path}", timeout=30)
        assert (through.status_code, through.content) == (200, direct.content), path
        assert through.headers["Content-Type"] == direct.headers["Content-Type"], path
        unchanged = {"If-Modified-Since": through.headers["Last-Modified"]}
        assert requests.get(edge.url + path, headers=unchanged, timeout=30).status_code == 304, path


def test_events_of_the_monolith_arrive_one_by_one(edge):
    with requests.get(edge.url + "/events/", stream=True, timeout=30) as response:
        arrivals = [time.monotonic() for line in response.iter_lines(chunk_size=1) if line]
    assert len(arrivals) == 3
    # The monolith takes 0.6 s from the first to the last; an answer held back arrives in one piece.
    assert arrivals[2] - arrivals[0] > 0.2


class Visitors:
    """Threads that ask without a pause and note every answer, half of them on kept connections."""

    def __init__(self, url):
        self.url = url
        self.answers = []
        self.failures = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(n,)) for n in range(VISITORS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _visit(self, number):
        session = requests.Session()
        while not self._stop.is_set():
            if number % 2:
                session = requests.Session()
            try:
                self._ask(session, number)
            except Exception as failure:  # noqa: BLE001 - whatever it is, the visitor saw it
                self.failures.append(repr(failure))

    def _ask(self, session, number):
        response = session.get(f"{self.url}/api/users/{number}", timeout=30)
        answer = response.json()
        if response.status_code != 200 or answer["id"] != number:
            self.failures.append(f"{response.status_code}: {response.text}")
        elif not answer["request_id"] or answer["request_id"] != response.headers.get("X-Request-Id"):
            self.failures.append(f"request id {response.headers.get('X-Request-Id')} here, {answer['request_id']} there")
        else:
            self.answers.append(answer["served_by"])

    def await_answers(self, count):
        goal = len(self.answers) + count
        eventually(f"{count} more answers", lambda: len(self.answers) >= goal or self.failures)
        assert not self.failures, self.failures[:5]

    def await_all_from(self, who):
        """Waits until as many answers in a row as could still be on their way come from there."""
        eventually(f"answers from {who}", lambda: set(self.answers[-4 * VISITORS :]) == {who} or self.failures)


def test_four_lines_move_an_endpoint_to_nameko_and_their_removal_moves_it_back(edge, report):
    def served_by():
        response = requests.get(edge.url + "/api/users/7", timeout=10)
        return response.json()["served_by"]

    assert served_by() == "django"
    original = edge.file.read_text()
    with Visitors(edge.url) as visitors:
        visitors.await_answers(200)
        before = edge.generation()
        start = time.monotonic()
        edge.append(FOUR_LINES)
        edge.await_generation_after(before)
        there = time.monotonic() - start
        assert served_by() == "nameko"
        visitors.await_all_from("nameko")
        visitors.await_answers(200)

        before = edge.generation()
        start = time.monotonic()
        edge.write(original)
        edge.await_generation_after(before)
        back = time.monotonic() - start
        assert served_by() == "django"
        visitors.await_all_from("django")
        visitors.await_answers(200)
    assert visitors.failures == []
    count = Counter(visitors.answers)
    assert count["django"] >= 400 and count["nameko"] >= 200
    report(
        f"takeover: {sum(count.values())} requests ({count['django']} django, {count['nameko']} nameko), 0 failed; "
        f"in force after {there * 1000:.0f} ms, back after {back * 1000:.0f} ms"
    )


def test_the_rest_of_the_site_stays_with_the_monolith(edge):
    edge.reload(edge.file.read_text().removeprefix(edge.head) + FOUR_LINES)
    browser = Browser(edge.url)
    browser.log_in()
    assert "Log out" in browser.open("/admin/").text
    assert requests.get(edge.url + "/api/users/7", timeout=10).json()["served_by"] == "nameko"
    assert requests.get(edge.url + "/", timeout=10).text.startswith("<h1>The monolith")
    routes = {route["name"]: route for route in edge.json("/api/v1/status")["routes"]}
    assert routes["read-user"]["stage"] == "migrated"
    assert "multilith_requests_total{" in edge.metrics()
