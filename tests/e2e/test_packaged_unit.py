"""The command of packaging/multilith.service, with the sockets, the notifications and the watchdog that systemd gives it."""

import re
import shlex
import shutil
import signal
import socket

import pytest
import requests
from children import PATIENCE, Child, eventually, free_port
from proxy import BINARY, FILE
from test_readme import PACKAGING


def test_the_unit_starts_reloads_and_stops_as_systemd_expects(httpbin, tmp_path):
    activate = shutil.which("systemd-socket-activate")
    if not activate:
        pytest.skip("no systemd-socket-activate (apt-get install systemd)")
    unit = (PACKAGING / "multilith.service").read_text()
    assert "Type=notify\n" in unit and "ExecReload=/bin/kill -HUP $MAINPID\n" in unit
    port, file, manager = free_port(), tmp_path / "routes.toml", tmp_path / "notify"
    file.write_text(FILE.format(port=port, admin=free_port(), folder=tmp_path, lines="", monolith=httpbin.port))
    command = re.search(r"^ExecStart=(.+)$", unit, re.MULTILINE).group(1)
    command = command.replace("/usr/bin/multilith", BINARY).replace("/etc/multilith/routes.toml", str(file))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(manager))
        told.settimeout(PATIENCE)
        given = ["-E", f"NOTIFY_SOCKET={manager}", "-E", "WATCHDOG_USEC=400000"]
        child = Child("multilith", [activate, "-l", f"127.0.0.1:{port}", *given, *shlex.split(command)])

        def hear(word):
            eventually(word, lambda: word in told.recv(4096).decode())

        eventually("systemd listens", lambda: "Listening on" in child.log())
        assert requests.get(f"http://127.0.0.1:{port}/status/204", timeout=PATIENCE).status_code == 204
        hear("READY=1")
        hear("WATCHDOG=1")
        child.signal(signal.SIGHUP)
        hear("RELOADING=1")
        hear("READY=1")
        child.signal(signal.SIGTERM)
        hear("STOPPING=1")
        # A second SIGTERM would cut the end short.
        assert child.process.wait(PATIENCE) == 0, child.log()
        Child.running.remove(child)
