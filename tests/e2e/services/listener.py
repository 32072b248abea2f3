"""A service that hears what the proxy tells: it does something for each exchange, as a function would that events feed."""

import json
import os

from nameko.events import event_handler


class Listener:
    name = "listener"

    @event_handler("multilith", "exchange")
    def exchange(self, event):
        with open(os.environ["LISTENER_HEARD"], "a") as file:
            file.write(json.dumps(event) + "\n")
