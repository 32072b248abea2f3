"""A Wagtail site in one database. With FAULT set it is the service that renders the same pages, with that fault in one answer of a hundred."""

import os
from pathlib import Path

FOLDER = Path(__file__).parent
SECRET_KEY = "of a test"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
WAGTAIL_SITE_NAME = "Shop"
WAGTAILADMIN_BASE_URL = "http://shop.example"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
STATIC_URL = "/static/"
FAULT = os.environ.get("FAULT", "")
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "site.db", "OPTIONS": {"timeout": 30}}}
INSTALLED_APPS = [
    "shop",
    *(f"wagtail.{app}" for app in ("users", "images", "documents", "search", "admin", "sites", "api.v2")),
    "wagtail",
    "modelcluster",
    "taggit",
    "rest_framework",
    *(f"django.contrib.{app}" for app in ("admin", "auth", "contenttypes", "sessions", "messages", "staticfiles")),
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
