"""A Nameko service gets copies of what a Django site is asked, and one report tells its mistake from the site's noise."""

import json
import os
import subprocess

import requests
from children import eventually

TABLES = """
[monolith]
url = "http://127.0.0.1:{django}"

[services.users]
url = "http://127.0.0.1:{nameko}"

[routes.read-profile]
path    = "/api/profiles/{{id}}"
service = "users"
stage   = "shadow"
shadow  = {{ compare = {{ examples = "values", noise = {{ replay = "1%", per_second = 100 }}, ignore = {ignore} }} }}
"""

# Django adds them to every answer, and the service does not: true differences, and not the ones that are looked for here.
DJANGOS = [
    "header:cross-origin-opener-policy",
    "header:referrer-policy",
    "header:x-content-type-options",
    "header:x-frame-options",
]

# The most that may be needed until noise is known, and how many at a time: fewer than may be in flight as copies. The
# monolith may be asked twice a hundred times a second: with the five of the default a fast machine would be through before
# the fifty replays have been made.
MOST, AT_ONCE = 5000, 50


def test_the_report_names_the_mistake_of_the_service_and_none_of_the_sites_noise(proxy, django, nameko, report):
    edge = proxy(TABLES.format(django=django.port, nameko=nameko.port, ignore=json.dumps(DJANGOS)))

    def compared(count):
        found = edge.json("/api/v1/routes/read-profile/comparisons")
        return found["compared"] + found["waiting"] >= count and found

    with requests.Session() as visitor:
        for sent in range(AT_ONCE, MOST + 1, AT_ONCE):
            for number in range(AT_ONCE):
                answer = visitor.get(f"{edge.url}/api/profiles/{number}", timeout=30)
                assert answer.json()["contact"]["email"] == f"User.{number}@Shop.example"
            found = eventually(f"{sent} comparisons", lambda: compared(sent))
            if found["noise_known"]:
                break
    assert found["noise_known"], found
    fields = {field["field"]: field for field in found["fields"]}
    regressions = [name for name, field in fields.items() if field["regression"]]
    assert regressions == ["$.contact.email"], fields
    assert found["fields"][0]["field"] == "$.contact.email"
    # Seen at every request, and known to be noise: not one line of the file says so.
    assert {"$.as_of", "$.request_number"} <= fields.keys()
    assert any(name.startswith("$.roles") for name in fields), fields

    command = [os.environ["MULTILITH_BIN"], "diff", "read-profile", "--admin", f"http://127.0.0.1:{edge.admin_port}"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "NO_COLOR": "1"})
    assert "$.contact.email" in printed.stdout
    assert max(map(len, printed.stdout.splitlines())) <= 80
    if folder := os.environ.get("KEEP_REPORTS"):
        with open(os.path.join(folder, "diff.txt"), "w", encoding="utf-8") as file:
            file.write(printed.stdout)
    report(f"shadow: {found['compared']} compared, the mistake found among {len(fields)} fields that differ")
