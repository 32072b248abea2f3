"""A page of a shop, with the noise that pages have: a nonce, a token, the time, a counter, what others bought, advertisement."""

import itertools
import random
import secrets

from django.conf import settings
from django.db import models
from django.http import Http404
from wagtail.admin.panels import FieldPanel
from wagtail.api import APIField
from wagtail.fields import RichTextField
from wagtail.models import Page

COUNTER = itertools.count(random.randrange(1_000_000))


class ProductPage(Page):
    price = models.DecimalField(max_digits=8, decimal_places=2, default=10)
    text = RichTextField(blank=True)
    content_panels = Page.content_panels + [FieldPanel("price"), FieldPanel("text")]
    api_fields = [APIField("price"), APIField("text")]

    def get_context(self, request, *args, **kwargs):
        others = list(ProductPage.objects.live().exclude(pk=self.pk).order_by("pk"))
        fault = settings.FAULT if random.randrange(100) == 0 else ""
        if fault == "status":
            raise Http404
        if fault == "missing":
            others.pop(2)
        random.shuffle(others)
        return {
            **super().get_context(request, *args, **kwargs),
            "others": others,
            "fault": fault,
            "advert": random.randrange(3) == 0,
            "nonce": secrets.token_urlsafe(12),
            "seen": next(COUNTER),
        }
