"""Fixtures: the servers of the end-to-end tests and the proxy before them."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from broker import Broker
from browser import start_browser
from certificates import self_signed
from children import LOG_TAIL, Child, start_gunicorn, start_on_free_port
from proxy import Proxy
from services.live import Live

HERE = Path(__file__).parent
REPORT = []
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log stderr; worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    SERVERS
}}
"""


@pytest.fixture
def proxy():
    """Starts proxies: `proxy(tables)`, with the options of `Proxy`. Each must end with exit code 0 when the test is over."""
    started = []

    def start(tables, **options):
        started.append(Proxy(tables, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    """What the proxy shows over TLS: a certificate for edge.example and 127.0.0.1."""
    return self_signed(tmp_path_factory.mktemp("pair"), "edge.example")


@pytest.fixture(scope="session")
def report():
    """`report(line)`: a figure for the summary at the end of the run."""
    return REPORT.append


@pytest.fixture(scope="session")
def django_env(tmp_path_factory):
    """What the Django site is started with: a fresh database and one superuser, `admin` with the password `admin`."""
    folder = tmp_path_factory.mktemp("django")
    env = {"MONOLITH_FOLDER": str(folder), "DJANGO_SETTINGS_MODULE": "monolith.settings", "PYTHONPATH": str(HERE)}
    env["DJANGO_SUPERUSER_PASSWORD"] = "admin"
    for verb in (["migrate"], ["createsuperuser", "--username", "admin", "--email", "admin@shop.example"]):
        command = [sys.executable, "-m", "django", *verb, "--no-input", "--verbosity", "0"]
        subprocess.run(command, env={**os.environ, **env}, check=True, stdin=subprocess.DEVNULL)
    return env


@pytest.fixture(scope="session")
def django(django_env):
    """The monolith."""
    child = start_gunicorn("django", "monolith.wsgi:application", cwd=HERE, env=django_env)
    yield child
    child.kill()


@pytest.fixture(scope="session")
def rewritten(django_env):
    """The service that takes over the administration."""
    child = start_gunicorn("rewritten", "services.rewritten:application", cwd=HERE, env=django_env)
    yield child
    child.kill()


@pytest.fixture(scope="session")
def nameko(tmp_path_factory):
    """The service that takes over `/api/users/{id}`."""
    config = tmp_path_factory.mktemp("nameko") / "config.yaml"

    def command(port):
        config.write_text(f"WEB_SERVER_ADDRESS: 127.0.0.1:{port}\n")
        return [Path(sys.executable).with_name("nameko"), "run", "--config", config, "services.users"]

    # Eventlet says at every start that it is deprecated.
    child = start_on_free_port("nameko", command, cwd=HERE, env={"PYTHONPATH": str(HERE), "PYTHONWARNINGS": "ignore"})
    yield child
    child.kill()


@pytest.fixture(scope="session")
def broker(tmp_path_factory, pair):
    """The bus of Nameko. A test that ends it has to start it again."""
    broker = Broker(tmp_path_factory.mktemp("rabbitmq"), pair)
    yield broker
    broker.close()


@pytest.fixture(scope="session")
def people():
    """A service with a host and paths of its own."""
    child = start_gunicorn("people", "services.people:application", cwd=HERE)
    yield child
    child.kill()


@pytest.fixture(scope="session")
def account():
    """A service without sessions of its own."""
    child = start_gunicorn("account", "services.account:application", cwd=HERE)
    yield child
    child.kill()


@pytest.fixture
def browser(tmp_path):
    driver = start_browser(tmp_path)
    yield driver
    driver.quit()


@pytest.fixture
def balancer(tmp_path):
    """Starts HAProxy with a text, or nginx with its servers, in which `{port}` is its own port: `balancer("haproxy", text)`."""
    started = []

    def start(name, text, **words):
        program = shutil.which(name) or shutil.which(name, path="/usr/sbin")
        assert program, f"no {name} here; help: apt-get install {name}"
        whole = NGINX.replace("SERVERS", text) if name == "nginx" else text

        def command(port):
            file = tmp_path / f"{name}-{port}.conf"
            file.write_text(whole.format(port=port, folder=tmp_path, **words))
            return [program, "-f", file, "-db"] if name == "haproxy" else [program, "-c", file, "-p", tmp_path]

        started.append(start_on_free_port(name, command))
        return started[-1]

    yield start
    for child in started:
        child.kill()


@pytest.fixture
def live():
    """A server whose answers wait until something happens."""
    with Live() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def httpbin():
    child = start_gunicorn("httpbin", "httpbin:app")
    yield child
    child.kill()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    result = yield
    if result.failed:
        for child in Child.running:
            result.sections.append((f"log of {child.name}", child.log()[-LOG_TAIL:]))
    return result


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["report"] = REPORT


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    REPORT.extend(getattr(node, "workeroutput", {}).get("report", []))


def pytest_terminal_summary(terminalreporter):
    if REPORT:
        terminalreporter.section("what was seen")
        for line in REPORT:
            terminalreporter.write_line(line)
