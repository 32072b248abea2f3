"""A service that has no sessions: it believes the header in which the edge says who the client is."""

import json


def application(environ, start_response):
    who = {key: environ.get(f"HTTP_{key}") for key in ("X_USER_ID", "X_USER_NAME")}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"served_by": "account", **who}).encode()]
