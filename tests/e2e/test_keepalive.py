"""Servers close idle connections after some seconds: no POST may be lost to that, and none is sent twice.

A thousand POSTs to each server, at idle gaps around the server's own limit, all servers at once.
"""

import http.client
import os
import random
import shutil
import sys
import threading
import time
from pathlib import Path

from children import start_on_free_port

POSTS = int(os.environ.get("KEEPALIVE_POSTS", "1000"))
CLIENTS = 125

WSGI = """
def application(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
ASGI = """
async def application(scope, receive, send):
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""
NODE = """
require('http').createServer((request, response) => {
  request.resume();
  request.on('end', () => response.end('ok'));
}).listen(PORT, '127.0.0.1');
"""
APACHE = """
ServerName localhost
ServerRoot {folder}
Listen 127.0.0.1:{port}
PidFile {folder}/pid
DefaultRuntimeDir {folder}
ErrorLog {folder}/error.log
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
DocumentRoot {folder}
"""


def gunicorn(folder, port):
    (folder / "wsgi.py").write_text(WSGI)
    bind = ["--bind", f"127.0.0.1:{port}", "--threads", "8", "--no-control-socket", "wsgi:application"]
    return [sys.executable, "-m", "gunicorn", *bind]


def uvicorn(folder, port):
    (folder / "asgi.py").write_text(ASGI)
    return [sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "warning", "asgi:application"]


def node(_, port):
    return ["node", "-e", NODE.replace("PORT", str(port))]


def apache(folder, port):
    (folder / "orders").write_text("ok")
    (folder / "apache.conf").write_text(APACHE.format(folder=folder, port=port))
    folder.chmod(0o755)
    return ["apache2", "-D", "FOREGROUND", "-f", folder / "apache.conf"]


# The command, and after how many idle seconds it closes a connection by default.
SERVERS = {"gunicorn": (gunicorn, 2.0), "uvicorn": (uvicorn, 5.0), "node": (node, 5.0), "apache": (apache, 5.0)}


def start(name, folder):
    return start_on_free_port(name, lambda port: SERVERS[name][0](folder, port), cwd=folder)


def client(url, limit, seed, posts, begun, outcomes):
    """POSTs over one connection to the proxy, all clients at nearly the same times: so each takes another connection to the server,
    which has idled for about as long as the server waits."""
    draw = random.Random(seed)
    host, port = url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    for number in range(posts):
        due = begun + number * limit + draw.uniform(-0.1, 0.1)
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            connection.request("POST", "/orders", body=b"order")
            answer = connection.getresponse()
            outcomes.append((answer.status, answer.read()))
        except (OSError, http.client.HTTPException) as error:
            outcomes.append((0, repr(error)))
            connection.close()
    connection.close()


def test_no_post_is_lost_at_idle_gaps_around_the_servers_limit(proxy, report, tmp_path):
    names = [name for name in SERVERS if name != "apache" or shutil.which("apache2")]
    running, threads = {}, []
    try:
        for name in names:
            # Apache's own user must reach it.
            folder = Path(os.path.realpath(tmp_path)) / name if name != "apache" else Path(f"/tmp/multilith-apache-{os.getpid()}")
            folder.mkdir()
            running[name] = (folder, start(name, folder), [])
        begun = time.monotonic() + 1.0
        for name, (_, child, outcomes) in running.items():
            one = proxy(f'[logs]\nformat = "off"\n[monolith]\nurl = "http://127.0.0.1:{child.port}"\n')
            for number in range(CLIENTS):
                arguments = (one.url, SERVERS[name][1], number, POSTS // CLIENTS, begun, outcomes)
                threads.append(threading.Thread(target=client, args=arguments))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lost = {}
        for name, (_, _, outcomes) in running.items():
            lost[name] = [outcome for outcome in outcomes if outcome != (200, b"ok")]
            report(f"POST at idle gaps around {SERVERS[name][1]:g} s before {name}: {len(outcomes)} sent, {len(lost[name])} lost")
            assert len(outcomes) == POSTS // CLIENTS * CLIENTS
        report(f"POST at idle gaps: {time.monotonic() - begun:.0f} s in all")
        assert not any(lost.values()), lost
    finally:
        for folder, child, _ in running.values():
            child.kill()
            shutil.rmtree(folder, ignore_errors=True)
