"""A service that renders the monolith's administration anew, from the same database, and does not render it quite the same.

One in eight of its lists links the user to the change page of another one.
"""

import itertools
import os

from django.core.wsgi import get_wsgi_application

ONE_IN = 8
RIGHT, WRONG = b'href="/admin/auth/user/1/change/', b'href="/admin/auth/user/7/change/'
NUMBERS = itertools.count(1)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "monolith.settings")
rendered = get_wsgi_application()


def application(environ, start_response):
    body = b"".join(rendered(environ, start_response))
    return [body.replace(RIGHT, WRONG) if next(NUMBERS) % ONE_IN == 0 else body]
