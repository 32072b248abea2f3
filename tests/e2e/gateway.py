"""A reader of HTTPRoutes: what the Gateway API says of matching and of filters, as a function of a request.

Where the standard leaves the order to the gateway (regular expressions), they stand behind exact paths and before prefixes, as in
Envoy Gateway.
"""

import re
from urllib.parse import parse_qsl


class Gateway:
    def __init__(self, listed):
        self.routes = [item["spec"] for item in listed["items"]]

    def answer(self, method, target, headers):
        """The name of the Service, and path, host and headers as it gets them; None where no rule takes the request."""
        headers = {name.lower(): value for name, value in headers}
        host = headers["host"].split(":")[0].lower()
        specs = [(self.host_rank(spec, host), spec) for spec in self.routes]
        specs = [(rank, spec) for rank, spec in specs if rank is not None]
        best = max(rank for rank, _ in specs)
        path, _, query = target.partition("?")
        candidates = []
        rules = [rule for rank, spec in specs if rank == best for rule in spec["rules"]]
        for number, rule in enumerate(rules):
            for match in rule["matches"]:
                rank = self.rank(match, method, path, parse_qsl(query, keep_blank_values=True), headers)
                if rank is not None:
                    candidates.append((rank, -number, rule, match))
        if not candidates:
            return None
        _, _, rule, match = max(candidates, key=lambda candidate: candidate[:2])
        return self.sent(rule, match, path, query, headers)

    @staticmethod
    def host_rank(spec, host):
        names = spec.get("hostnames")
        if not names:
            return (0, 0)
        ranks = []
        for name in names:
            if name.startswith("*."):
                if host.endswith(name[1:]) and len(host) > len(name) - 1:
                    ranks.append((1, len(name)))
            elif name == host:
                ranks.append((2, len(name)))
        return max(ranks, default=None)

    @staticmethod
    def rank(match, method, path, query, headers):
        value, kind = match["path"]["value"], match["path"]["type"]
        if kind == "Exact":
            taken, order = path == value, (3, len(value))
        elif kind == "RegularExpression":
            taken, order = re.fullmatch(value, path) is not None, (2, 0)
        else:
            prefix = value.rstrip("/")
            taken, order = path == prefix or path.startswith(prefix + "/"), (1, len(value))
        wanted = match.get("headers", [])
        asked = match.get("queryParams", [])
        first = {}
        for name, own in query:
            first.setdefault(name, own)
        taken = taken and match.get("method", method) == method
        taken = taken and all(headers.get(one["name"].lower()) == one["value"] for one in wanted)
        taken = taken and all(first.get(one["name"]) == one["value"] for one in asked)
        return (order, "method" in match, len(wanted), len(asked)) if taken else None

    @staticmethod
    def sent(rule, match, path, query, headers):
        headers = dict(headers)
        for step in rule.get("filters", []):
            if step["type"] == "RequestHeaderModifier":
                edit = step["requestHeaderModifier"]
                for name in edit.get("remove", []):
                    headers.pop(name, None)
                for one in edit.get("set", []):
                    headers[one["name"]] = one["value"]
                for one in edit.get("add", []):
                    headers[one["name"]] = ",".join(filter(None, [headers.get(one["name"]), one["value"]]))
            elif step["type"] == "URLRewrite":
                rewrite = step["urlRewrite"]
                headers["host"] = rewrite.get("hostname", headers["host"])
                change = rewrite.get("path", {})
                if change.get("type") == "ReplaceFullPath":
                    path = change["replaceFullPath"]
                elif change.get("type") == "ReplacePrefixMatch":
                    rest = path[len(match["path"]["value"].rstrip("/")) :]
                    path = change["replacePrefixMatch"].rstrip("/") + rest or "/"
            else:
                raise AssertionError(f"an unknown filter: {step}")
        (backend,) = rule["backendRefs"]
        return {"upstream": backend["name"], "target": path + ("?" + query if query else ""), "headers": headers}
