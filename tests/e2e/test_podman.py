"""Endpoints that Podman knows: its API service, from Debian, beside the stand-in that tests/black_box plays events with.

A container needs cgroups and limits that a container of tests may not have; where none can be started, the service is asked all the
same, and a container that was only made is none that answers.
"""

import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
import requests
from children import Child, eventually

WAITS = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n"
TABLES = """
[monolith]
url = "http://127.0.0.1:{httpbin}"

[services.users]
discover.docker = {{ label = "multilith.service=users", socket = "{socket}" }}

[routes.users]
path    = "/uuid"
service = "users"
stage   = "migrated"
"""


class Podman:
    def __init__(self, folder):
        self.socket = folder / "podman.sock"
        self.base = ["podman", "--root", folder / "root", "--runroot", folder / "run", "--storage-driver", "vfs"]
        self.base += ["--cgroup-manager", "cgroupfs"]
        self.child = Child("podman", [*self.base, "system", "service", "--time=0", f"unix://{self.socket}"])
        assert self.child.await_ready(self.socket.exists), self.child.log()

    def do(self, *arguments):
        done = subprocess.run([*map(str, self.base), *map(str, arguments)], capture_output=True, text=True)
        return done.returncode == 0, (done.stdout + done.stderr).strip()


@pytest.fixture
def podman(tmp_path):
    # Podman takes no path of more than 50 characters.
    folder = tempfile.TemporaryDirectory(prefix="podman-")
    engine = Podman(Path(folder.name))
    # An image of one program that waits.
    source, program, image = tmp_path / "wait.c", tmp_path / "wait", tmp_path / "image.tar"
    source.write_text(WAITS)
    subprocess.run(["gcc", "-static", "-O1", "-o", program, source], check=True)
    with tarfile.open(image, "w") as archive:
        archive.add(program, arcname="wait")
    done, said = engine.do("import", image, "waits:1")
    assert done, said
    yield engine
    engine.do("rm", "--all", "--force", "--time", "0")
    engine.child.kill()
    folder.cleanup()


def test_containers_of_podman_are_endpoints(proxy, podman, httpbin, report):
    edge = proxy(TABLES.format(httpbin=httpbin.port, socket=podman.socket))

    def metric(name):
        lines = edge.metrics().splitlines()
        return [line.rsplit(" ", 1)[1] for line in lines if line.startswith(f'multilith_{name}{{upstream="users"}}')]

    eventually("the engine asked", lambda: metric("discovery_up") == ["1"])
    assert requests.get(f"{edge.url}/uuid", timeout=20).status_code == 503

    def addresses():
        users = next(one for one in edge.json("/api/v1/upstreams") if one["name"] == "users")
        return [endpoint["address"] for endpoint in users["endpoints"]]

    labels = ["--label", "multilith.service=users", "--label", f"multilith.address=127.0.0.1:{httpbin.port}"]
    limits = ["--network", "host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
    made, said = podman.do("create", "--name", "users", *labels, *limits, "waits:1", "/wait")
    assert made, said
    started, said = podman.do("start", "users")
    if not started:
        report(f"podman: no container can be started here ({said.splitlines()[-1]}); its API was asked, and one that was made is no endpoint")
        running, said = podman.do("ps", "--all", "--format", "{{.Names}} {{.State}}")
        assert running and "users" in said
        assert addresses() == [] and metric("discovery_up") == ["1"]
        return
    eventually("the container an endpoint", lambda: addresses() == [f"127.0.0.1:{httpbin.port}"])
    assert requests.get(f"{edge.url}/uuid", timeout=20).status_code == 200
    stopped, said = podman.do("kill", "users")
    assert stopped, said
    eventually("the container gone", lambda: addresses() == [])
