"""A service that was written for a host and paths of its own: it knows nothing of the site that it becomes a part of."""

from http.cookies import SimpleCookie
from urllib.parse import parse_qs

HOST = "people.internal"
PAGE = """\
<!doctype html><title>Person {person}</title>
<h1>Person {person}</h1>
<p id="session">{session}</p><p id="visits">{visits}</p><p id="saved">{saved}</p>
<form method="post" action="{person}/save"><button id="save">Save</button></form>
<a id="leave" href="{person}/leave">Back to the office</a>
"""


def application(environ, start_response):
    assert environ["HTTP_HOST"] == HOST, environ["HTTP_HOST"]
    parts = environ["PATH_INFO"].split("/")
    if parts[:3] != ["", "v2", "people"] or len(parts) < 4:
        start_response("404 Not Found", [("Content-Length", "0")])
        return []
    cookies = SimpleCookie(environ.get("HTTP_COOKIE", ""))
    person, verb = parts[3], parts[4:5]
    if verb == ["save"] and environ["REQUEST_METHOD"] == "POST":
        start_response("303 See Other", [("Location", f"http://{HOST}/v2/people/{person}?saved=yes"), ("Content-Length", "0")])
        return []
    if verb == ["leave"]:
        start_response("302 Found", [("Location", f"http://{HOST}/admin/"), ("Content-Length", "0")])
        return []
    visits = int(cookies["visits"].value) + 1 if "visits" in cookies else 1
    page = PAGE.format(
        person=person,
        visits=visits,
        session="known" if "sessionid" in cookies else "unknown",
        saved=parse_qs(environ["QUERY_STRING"]).get("saved", ["no"])[0],
    ).encode()
    fields = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(len(page))),
        ("Set-Cookie", f"visits={visits}; Domain={HOST}; Path=/v2/people; HttpOnly"),
    ]
    start_response("200 OK", fields)
    return [page]
