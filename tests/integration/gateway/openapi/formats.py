"""Texts of the formats that the document names, for schemathesis to send."""

from importlib.resources import files

import schemathesis
from hypothesis import strategies as st

LOCALES = ("de", "en", "pt-BR", "zh-Hant-TW")

ZONES = sorted(set(files("tzdata").joinpath("zones").read_text("utf-8").split()) - {"Factory"})

schemathesis.openapi.format("email", st.from_regex(r"\A[a-z0-9]{1,20}@[a-z]{1,20}\.example\Z"))
schemathesis.openapi.format("locale", st.sampled_from(LOCALES))
schemathesis.openapi.format("iana-time-zone", st.sampled_from(ZONES))
# No host that there is: a gateway posts to them.
HOOKS = ("https://shop.example", "https://shop.example/hook", "https://a.shop.example:8443/b?c=d")
schemathesis.openapi.format("https-url", st.sampled_from(HOOKS))
PHONES = ("+4930123456", "+49 (0)30 123456", "0049 30 123456", "+1 212 555 0100")
schemathesis.openapi.format("phone-number", st.sampled_from(PHONES))
WHO = ("mailto:ada@a.example", "mailto:b.b@b.example", "tel:+4930123456", "MAILTO:ada@a.example")
schemathesis.openapi.format("address-url", st.sampled_from(WHO))
schemathesis.openapi.format("address", st.sampled_from(("ada@a.example", "b.b@b.example", "+4930123456")))
REGULAR = ("at once", "hourly", "daily at 09:00", "weekly", "weekly on friday at 17:30", "monthly on 31")
schemathesis.openapi.format("cadence", st.sampled_from((*REGULAR, "never")))
schemathesis.openapi.format("cadence-not-never", st.sampled_from(REGULAR))
CURSORS = ("WyJtYWlsdG86YWRhQGEuZXhhbXBsZSIsInNob3AiLCIiLCJtYW51YWwiXQ",)
schemathesis.openapi.format("suppression-cursor", st.sampled_from(CURSORS))
