"""Pages of Django's administration beside a service that renders them anew with a fault: the link, and not the page's noise.

Every page has a token of its own in its forms; who looks has signed in at the monolith, and the service knows the session.
"""

import os
import re
import shutil
import subprocess

import requests
from children import eventually

TABLES = """
[monolith]
url = "http://127.0.0.1:{django}"

[services.admin]
url = "http://127.0.0.1:{rewritten}"

[routes.users]
path    = "/admin/auth/user/{{*rest}}"
service = "admin"
stage   = "shadow"
shadow  = {{ timeout = "60s", compare = {{ examples = "values", noise = {{ replay = "100%", per_second = 100 }} }} }}
"""

# Fewer than may be in flight as copies.
AT_ONCE, MOST = 20, 400
LINK = "#result_list > tr > th.field-username > a@href"


def test_a_wrong_link_in_a_page_is_named_and_no_token(proxy, django, rewritten, report, tmp_path):
    edge = proxy(TABLES.format(django=django.port, rewritten=rewritten.port))

    def compared(count):
        found = edge.json("/api/v1/routes/users/comparisons")
        return found["compared"] + found["waiting"] >= count and found

    with requests.Session() as visitor:
        form = visitor.get(f"{edge.url}/admin/login/", timeout=10).text
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)[1]
        answers = {"username": "admin", "password": "admin", "csrfmiddlewaretoken": token, "next": "/admin/"}
        assert visitor.post(f"{edge.url}/admin/login/", answers, timeout=10).ok
        for sent in range(AT_ONCE, MOST + 1, AT_ONCE):
            for _ in range(AT_ONCE):
                assert "Select user to change" in visitor.get(f"{edge.url}/admin/auth/user/", timeout=30).text
            found = eventually(f"{sent} comparisons", lambda: compared(sent))
            if found["noise_known"]:
                break
    assert found["noise_known"], found
    fields = {field["field"]: field for field in found["fields"]}
    assert [name for name, field in fields.items() if field["regression"]] == [LINK], fields
    tokens = [name for name in fields if name.endswith("input@value")]
    assert tokens, "the token differs in every page, and is known to be noise"
    example = fields[LINK]["examples"][0]
    assert (example["control"], example["candidate"]) == ("/admin/auth/user/1/change/", "/admin/auth/user/7/change/")

    command = [os.environ["MULTILITH_BIN"], "diff", "users", "--admin", f"http://127.0.0.1:{edge.admin_port}"]
    export = tmp_path / "users.sh"
    subprocess.run([*command, "--export", export], check=True)
    session = visitor.cookies["sessionid"]
    assert session not in export.read_text(), "what signs in is concealed"
    # The file runs: every request of it is answered as the monolith answered it.
    env = {**os.environ, "base": edge.url, "_cookie": f"sessionid={session}"}
    ran = subprocess.run(["sh", export], capture_output=True, text=True, check=True, env=env).stdout
    assert ran.count("Select user to change") >= 2, ran[:2000]
    # So does the other one, where Hurl is installed (`cargo install hurl`): Debian has no package of it.
    if hurl := shutil.which("hurl"):
        tests = tmp_path / "users.hurl"
        subprocess.run([*command, "--export", tests], check=True)
        variables = [f"base={edge.url}", f"cookie=sessionid={session}"]
        given = [word for variable in variables for word in ("--variable", variable)]
        subprocess.run([hurl, "--test", *given, tests], check=True)
    if folder := os.environ.get("KEEP_REPORTS"):
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        with open(os.path.join(folder, "pages.txt"), "w", encoding="utf-8") as file:
            file.write(printed)
    report(f"pages: {found['compared']} compared, the link found among {len(fields)} fields that differ")
