"""Texts of the formats that the document names, for schemathesis to send."""

import schemathesis
from hypothesis import strategies as st

from waypost.places import available_timezones

LOCALES = ("de", "en", "pt-BR", "zh-Hant-TW")

schemathesis.openapi.format("email", st.from_regex(r"\A[a-z0-9]{1,20}@[a-z]{1,20}\.example\Z"))
schemathesis.openapi.format("locale", st.sampled_from(LOCALES))
schemathesis.openapi.format("iana-time-zone", st.sampled_from(sorted(available_timezones())))
# No host that there is: a gateway posts to them.
HOOKS = ("https://shop.example", "https://shop.example/hook", "https://a.shop.example:8443/b?c=d")
schemathesis.openapi.format("https-url", st.sampled_from(HOOKS))
