"""Texts of the formats that the document names, for schemathesis to send."""

import schemathesis
from hypothesis import strategies as st

from waypost.places import available_timezones

LOCALES = ("de", "en", "pt-BR", "zh-Hant-TW")

schemathesis.openapi.format("email", st.from_regex(r"\A[a-z0-9]{1,20}@[a-z]{1,20}\.example\Z"))
schemathesis.openapi.format("locale", st.sampled_from(LOCALES))
schemathesis.openapi.format("iana-time-zone", st.sampled_from(sorted(available_timezones())))
# No host that there is: a gateway posts to them.
schemathesis.openapi.format(
    "https-url",
    st.from_regex(r"\Ahttps://[a-z0-9]{1,20}\.example(:[1-9][0-9]{0,3})?(/[a-z0-9._~-]{0,20}){0,3}\Z"),
)
