"""A service that listens on a bus, and its next version, which greets one person in another way."""

import os
import time

from nameko.extensions import DependencyProvider
from nameko.rpc import Rpc, rpc

CALLED = os.environ.get("GREETING_CALLED", os.devnull)


class NotFound(Exception):
    """Nobody has this name."""


def note(what):
    with open(CALLED, "a") as file:
        file.write(f"{what}\n")


class NotedRpc(Rpc):
    """Notes also the messages that the broker hands out once more, because somebody had taken them and ended."""

    def handle_message(self, body, message):
        if message.delivery_info["redelivered"]:
            note(f"again {body['args'][0]}")
        super().handle_message(body, message)


noted_rpc = NotedRpc.decorator


class Context(DependencyProvider):
    """What the caller says beside the arguments; where a call is traced, the instrumentation of Nameko looks here for the trace."""

    def get_dependency(self, worker_ctx):
        return worker_ctx.context_data


class Greeting:
    name = "greeting_service"
    context = Context()

    @rpc
    def hello(self, name):
        note(f"hello {name}")
        return f"Hello, {name}!"

    @noted_rpc
    def order(self, number, amount=1):
        """Changes something: it must never be done twice for one request."""
        note(f"order {number}")
        return {"number": number, "amount": amount, "price": 1.50}

    @rpc
    def trace(self):
        return {name: self.context.get(name) for name in ("traceparent", "tracestate")}

    @rpc
    def length(self, text):
        return {"length": len(text), "text": text}

    @rpc
    def sleep(self, seconds):
        time.sleep(float(seconds))
        return None

    @rpc
    def fail(self, how):
        if how == "missing":
            raise NotFound("secret")
        if how == "unserializable":
            return object()
        raise ValueError("secret")


class GreetingNext(Greeting):
    name = "greeting_service_v2"

    @rpc
    def hello(self, name):
        return f"Hello, {name}{'?' if name.endswith('7') else '!'}"
