"""systemd listens, and multilith takes its sockets: with systemd's own program for trying that."""

import shutil

import pytest
import requests
from children import Child, eventually, free_port
from proxy import BINARY, FILE


def test_a_client_that_came_before_the_program_is_answered(httpbin, tmp_path):
    activate = shutil.which("systemd-socket-activate")
    if not activate:
        pytest.skip("no systemd-socket-activate (apt-get install systemd)")
    port, other = free_port(), free_port()
    file = tmp_path / "routes.toml"
    file.write_text(FILE.format(port=port, admin=free_port(), folder=tmp_path, lines="", monolith=httpbin.port))
    # It starts the program, in its own place, when somebody connects.
    command = [activate, "-l", f"127.0.0.1:{port}", "-l", f"127.0.0.1:{other}", BINARY, "run", "-c", file]
    child = Child("multilith", command)
    eventually("systemd listens", lambda: child.log().count("Listening on") == 2)
    assert "multilith listens" not in child.log()
    assert requests.get(f"http://127.0.0.1:{port}/status/204", timeout=60).status_code == 204
    with pytest.raises(requests.ConnectionError):
        # Nobody would accept there.
        requests.get(f"http://127.0.0.1:{other}/", timeout=60)
    assert child.stop() == 0, child.log()
