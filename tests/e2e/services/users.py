"""The first service beside the monolith: Nameko answers for the users."""

import datetime
import itertools
import json
import random

from nameko.web.handlers import http

NUMBERS = itertools.count(1)


class Users:
    name = "users"

    @http("GET", "/api/users/<int:user_id>")
    def read(self, request, user_id):
        answer = {"id": user_id, "served_by": "nameko", "request_id": request.headers.get("X-Request-Id")}
        return 200, {"Content-Type": "application/json"}, json.dumps(answer)

    @http("GET", "/api/profiles/<int:user_id>")
    def profile(self, request, user_id):
        """As the monolith's, but for one mistake: the address of every tenth loses its capitals."""
        email = f"User.{user_id}@Shop.example"
        roles = ["buyer", "seller", "guest", "editor"]
        random.shuffle(roles)
        answer = {
            "id": user_id,
            "name": f"User {user_id}",
            "contact": {"email": email.lower() if user_id % 10 == 7 else email, "city": "Graz"},
            "roles": roles,
            "as_of": datetime.datetime.now(datetime.UTC).isoformat(),
            "request_number": next(NUMBERS),
        }
        return 200, {"Content-Type": "application/json"}, json.dumps(answer)
