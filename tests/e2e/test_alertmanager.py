"""A roll-back is an alert in Prometheus' Alertmanager, and the promotion behind it ends that alert."""

import os
import subprocess

import pytest
import requests
from children import Child, eventually, free_port

TABLES = """
[monolith]
url = "http://127.0.0.1:{django}"

[services.users]
url = "http://127.0.0.1:{django}"

[routes.read-user]
path    = "/api/users/{{id}}"
service = "users"
stage   = "canary"
weight  = "5%"

[notify.alerts]
url    = "http://127.0.0.1:{alertmanager}"
format = "alertmanager"
"""
CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


@pytest.fixture
def alertmanager(tmp_path):
    config = tmp_path / "alertmanager.yml"
    config.write_text(CONFIG)
    port = free_port()
    command = ["prometheus-alertmanager", f"--config.file={config}", f"--storage.path={tmp_path}/data"]
    # Alone, without gossip.
    child = Child("alertmanager", [*command, f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="])
    child.port = port

    def ready():
        try:
            return requests.get(f"http://127.0.0.1:{port}/-/ready", timeout=10).ok
        except requests.ConnectionError:
            return False

    assert child.await_ready(ready), child.log()
    yield child
    child.kill()


def test_a_roll_back_is_an_alert_until_somebody_promotes(proxy, django, alertmanager):
    edge = proxy(TABLES.format(django=django.port, alertmanager=alertmanager.port))

    def multilith(*arguments):
        command = [os.environ["MULTILITH_BIN"], *arguments, "--admin", f"http://127.0.0.1:{edge.admin_port}"]
        subprocess.run(command, capture_output=True, text=True, check=True)

    def alerts():
        found = requests.get(f"http://127.0.0.1:{alertmanager.port}/api/v2/alerts", timeout=10)
        assert found.ok, found.text
        return found.json()

    multilith("rollback", "read-user", "--weight", "0%", "--reason", "wrong prices")
    [alert] = eventually("an alert", alerts)
    assert alert["labels"] == {"alertname": "MultilithRolledBack", "route": "read-user"}
    assert "canary 5% -> 0%" in alert["annotations"]["summary"] or "wrong prices" in alert["annotations"]["summary"]
    assert alert["annotations"]["command"] == "multilith gate read-user"
    assert alert["status"]["state"] in ("active", "unprocessed")
    # It goes on for as long as the route is latched: nobody has to repeat it.
    assert alert["endsAt"] > alert["startsAt"]

    multilith("promote", "read-user", "--reason", "mended")
    assert eventually("no alert", lambda: not alerts())
