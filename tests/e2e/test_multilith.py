"""The multi-lith: a Django site and a service of Nameko under one address, as multilith/README.md prints it."""

import collections
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from children import Child, eventually
from proxy import BINARY

HERE = Path(__file__).parent
PAGE = (HERE / "multilith/README.md").read_text()
BLOCKS = collections.defaultdict(list)
for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
    BLOCKS[language].append(text)
VIEW, SERVICE = BLOCKS["python"]
SHADOW, CANARY, MIGRATED = BLOCKS["toml"]
PRINTED_BROKER = "amqp://guest:guest@127.0.0.1:5672/"
VISITORS = 60


@pytest.fixture
def greetings(broker, tmp_path):
    """Starts the service, which is killed when the test is over."""
    (tmp_path / "greetings.py").write_text(SERVICE)
    command = [Path(sys.executable).with_name("nameko"), "run", "--broker", broker.url, "greetings"]
    child = Child("greetings", command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), "PYTHONWARNINGS": "ignore"})
    assert child.await_ready(lambda: "Connected to amqp" in child.log()), child.log()
    yield child
    child.kill()


def test_the_monolith_has_the_view_that_is_printed():
    assert VIEW in (HERE / "monolith/urls.py").read_text()


def test_the_readme_has_the_same_service_and_call():
    readme = (HERE.parents[1] / "README.md").read_text()
    for line in SHADOW.splitlines():
        if line.startswith(("nameko", "path")):
            assert line.replace("path     =", "path    =") in readme, line
    assert 'call    = { method = "hello", kwargs = { name = "{name}" } }' in readme


def test_a_piece_moves_from_django_to_a_bus_and_nobody_notices(broker, greetings, django, proxy, tmp_path):
    monolith = f'[monolith]\nurl = "http://127.0.0.1:{django.port}"\n'

    def tables(stage):
        file = re.sub(r'stage.*\nshadow.*\n', stage, SHADOW) if stage else SHADOW
        assert PRINTED_BROKER in file
        return monolith + file.replace(PRINTED_BROKER, broker.url)

    front = proxy(tables(None))

    def served(side):
        pattern = rf'^multilith_requests_total{{(?=[^}}]*route="greet")(?=[^}}]*side="{side}")[^}}]*}} (\d+)'
        return sum(int(count) for count in re.findall(pattern, front.metrics(), re.MULTILINE))

    def visit():
        """Every visitor asks once; how many each side has answered of that."""
        before = served("monolith"), served("service")
        for visitor in range(VISITORS):
            answer = requests.get(f"{front.url}/api/greet/v{visitor}", headers={"x-user-id": str(visitor)})
            assert (answer.status_code, answer.text) == (200, f'"Hello, v{visitor}!"')
            assert answer.headers["content-type"] == "application/json"
        # The site is where it was.
        assert "Django administration" in requests.get(front.url + "/admin/login/").text
        return served("monolith") - before[0], served("service") - before[1]

    state = lambda: {one["name"]: one["endpoints"][0]["state"] for one in front.json("/api/v1/upstreams")}["greeter"]
    eventually("a service that listens", lambda: state() == "healthy")
    assert visit() == (VISITORS, 0)

    def compared():
        found = front.json("/api/v1/routes/greet/comparisons")
        return found["compared"] + found["waiting"] >= VISITORS and found

    found = eventually("all copies", compared)
    assert [one for one in found["fields"] if one["raw"]] == [], "Nameko says what Django says"

    file = tmp_path / "routes.toml"
    file.write_text(tables(None))
    said = subprocess.run([BINARY, "explain", "-c", file, "GET", "/api/greet/Ada"], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert BLOCKS[""][0] in said.stdout

    front.reload(tables(CANARY))
    monolith_has, service_has = visit()
    assert monolith_has > 0 and service_has > 0 and monolith_has + service_has == VISITORS

    front.reload(tables(MIGRATED))
    assert visit() == (0, VISITORS)
    assert requests.get(front.url + "/api/greet/nobody").status_code == 404

    greetings.kill()
    eventually("the monolith in the place of a service that has ended", lambda: visit() == (VISITORS, 0))
