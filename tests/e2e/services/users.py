"""The first service beside the monolith: Nameko answers for the users."""

import json

from nameko.web.handlers import http


class Users:
    name = "users"

    @http("GET", "/api/users/<int:user_id>")
    def read(self, request, user_id):
        answer = {"id": user_id, "served_by": "nameko", "request_id": request.headers.get("X-Request-Id")}
        return 200, {"Content-Type": "application/json"}, json.dumps(answer)
