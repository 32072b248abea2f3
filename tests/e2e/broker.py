"""A RabbitMQ of its own: Debian's server, without its service manager."""

import os
import signal

from children import Child, eventually, free_port, listens

SCRIPT = "/usr/lib/rabbitmq/bin/rabbitmq-server"


class Broker:
    """Listens on one port over all restarts; what is durable is kept in between."""

    def __init__(self, folder, pair=None):
        """With a pair of certificate and key it listens for TLS, too."""
        self.folder = folder
        self.port, self.distribution, self.names, self.tls_port = (free_port() for _ in range(4))
        (folder / "plugins").write_text("[].\n")
        lines = ["disk_free_limit.absolute = 1MB"]
        if pair:
            lines += [f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}", f"ssl_options.certfile = {pair.cert}", f"ssl_options.keyfile = {pair.key}"]
        (folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        self.start()

    @property
    def url(self):
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def tls_url(self, host):
        return f"amqps://guest:guest@{host}:{self.tls_port}/"

    def start(self):
        folder = self.folder
        env = {
            "HOME": folder,
            "RABBITMQ_MNESIA_BASE": folder / "mnesia",
            "RABBITMQ_LOG_BASE": folder / "log",
            "RABBITMQ_NODENAME": f"t{self.port}@localhost",
            "RABBITMQ_NODE_PORT": self.port,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": self.distribution,
            "ERL_EPMD_PORT": self.names,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_PID_FILE": folder / "pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": folder / "plugins",
            "RABBITMQ_CONFIG_FILE": folder / "rabbitmq",
            "RABBITMQ_CONF_ENV_FILE": folder / "none",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
        }
        self.child = Child("rabbitmq", [SCRIPT], env={name: str(value) for name, value in env.items()})
        ready = self.child.await_ready(lambda: "Starting broker... completed" in self.child.log() and listens(self.port))
        assert ready, f"rabbitmq did not start:\n{self.child.log()}"

    def signal(self, number):
        """To the broker's virtual machine."""
        os.kill(int((self.folder / "pid").read_text().split()[0]), number)

    def kill(self):
        """Ends the broker's virtual machine at once, and the script before it."""
        for line in (self.folder / "pid").read_text().split():
            try:
                os.kill(int(line), signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.child.kill()
        eventually("a dead broker", lambda: not listens(self.port))

    def restart(self):
        self.kill()
        self.start()

    def close(self):
        self.kill()
        # The daemon that knows the names of Erlang's nodes outlives them; ours has a port of its own.
        os.system(f"ERL_EPMD_PORT={self.names} epmd -kill >/dev/null 2>&1")
