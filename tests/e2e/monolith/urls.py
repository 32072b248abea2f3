"""A page, an endpoint that will move, files, a live stream and the admin."""

import datetime
import itertools
import random
import time
from django.contrib import admin
from django.http import Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.static import serve

from monolith import settings


def home(request):
    """Names the address under which the visitor sees the site."""
    return HttpResponse(f'<h1>The monolith</h1><a href="{request.build_absolute_uri("/admin/")}">admin</a>')


def read_user(request, user_id):
    return JsonResponse({"id": user_id, "served_by": "django", "request_id": request.headers.get("X-Request-Id")})


def whoami(request):
    """Who has signed in, for services that cannot read the session."""
    if not request.user.is_authenticated:
        return HttpResponse("sign in first", status=401)
    return HttpResponse(headers={"X-User-Id": str(request.user.pk), "X-User-Name": request.user.get_username()})


def greet(request, name):
    if name == "nobody":
        raise Http404
    return JsonResponse(f"Hello, {name}!", safe=False)


NUMBERS = itertools.count(1)


def read_profile(request, user_id):
    """A person as legacy code tells of one: with the time, a number and an order that are others at every request."""
    roles = ["buyer", "seller", "guest", "editor"]
    random.shuffle(roles)
    answer = {
        "id": user_id,
        "name": f"User {user_id}",
        "contact": {"email": f"User.{user_id}@Shop.example", "city": "Graz"},
        "roles": roles,
        "as_of": datetime.datetime.now(datetime.UTC).isoformat(),
        "request_number": next(NUMBERS),
    }
    return JsonResponse(answer)


def events(request):
    """Three server-sent events, a moment apart."""

    def stream():
        for number in range(3):
            yield f"data: {number}\n\n"
            time.sleep(0.3)

    return StreamingHttpResponse(stream(), content_type="text/event-stream")


@csrf_exempt
def upload(request):
    """How many bytes of the body arrived."""
    return HttpResponse(str(len(request.body)))


def long(request):
    """More than all socket buffers take."""
    return HttpResponse(b"x" * (32 * 1024 * 1024), content_type="application/octet-stream")


urlpatterns = [
    path("", home),
    path("api/users/<int:user_id>", read_user),
    path("api/profiles/<int:user_id>", read_profile),
    path("api/greet/<str:name>", greet),
    path("whoami", whoami),
    path("events/", events),
    path("upload/", upload),
    path("long/", long),
    path("admin/", admin.site.urls),
    re_path(r"^media/(?P<path>.*)$", serve, {"document_root": settings.MEDIA_ROOT}),
]
