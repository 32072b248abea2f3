"""Applications that say how they believe to have been asked: by which scheme, for which host, by whom."""

import falcon
from flask import Flask, jsonify, request
from werkzeug.middleware.proxy_fix import ProxyFix


class Asked:
    def on_get(self, req, resp):
        # Falcon believes Forwarded before X-Forwarded-*.
        resp.media = {"scheme": req.forwarded_scheme, "host": req.forwarded_host, "client": req.access_route[0], "uri": req.forwarded_uri}


falcon_application = falcon.App()
falcon_application.add_route("/asked", Asked())

flask_application = Flask(__name__)


@flask_application.get("/asked")
def asked():
    return jsonify(scheme=request.scheme, host=request.host, client=request.remote_addr, uri=request.url)


# One balancer, and multilith behind it.
flask_application.wsgi_app = ProxyFix(flask_application.wsgi_app, x_for=2, x_proto=1, x_host=1, x_port=1)
