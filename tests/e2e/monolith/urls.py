"""A page, an endpoint that will move, files, a live stream and the admin."""

import time

from django.contrib import admin
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path, re_path
from django.views.static import serve

from monolith import settings


def home(request):
    """Names the address under which the visitor sees the site."""
    return HttpResponse(f'<h1>The monolith</h1><a href="{request.build_absolute_uri("/admin/")}">admin</a>')


def read_user(request, user_id):
    return JsonResponse({"id": user_id, "served_by": "django", "request_id": request.headers.get("X-Request-Id")})


def events(request):
    """Three server-sent events, a moment apart."""

    def stream():
        for number in range(3):
            yield f"data: {number}\n\n"
            time.sleep(0.3)

    return StreamingHttpResponse(stream(), content_type="text/event-stream")


urlpatterns = [
    path("", home),
    path("api/users/<int:user_id>", read_user),
    path("events/", events),
    path("admin/", admin.site.urls),
    re_path(r"^media/(?P<path>.*)$", serve, {"document_root": settings.MEDIA_ROOT}),
]
