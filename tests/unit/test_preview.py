"""What a preview shows: every shipped type, other facts, faults with their place; and not to other sites."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from contextlib import suppress
from itertools import cycle

import httpx
import pytest
from support.project import FLOW, LIKE_ALERT
from support.shipped_mails import LANGUAGES, TYPES
from support.templates import mjml
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

from waypost.config.settings import Settings
from waypost.deployments.registry import find, registered
from waypost.local_page.mail_frame import framed, in_scheme
from waypost.preview import browser
from waypost.preview.app import LARGEST, make_app
from waypost.preview.browser import NoBrowser
from waypost.preview.changes import state_of
from waypost.preview.remote_images import without_remote_images
from waypost.preview.rendered import CannotShow, Previews, WrongFacts

BRANDS = json.dumps({"acme": {"sender": "Acme <mail@acme.example>", "accent": "#123456"}})
ALERT = {
    "severity": "info",
    "source": "db-1",
    "summary": "Disk full",
    "started_at": "2026-03-25T03:14:09+01:00",
}


def shown(type, locale="en", brand=None, facts=None):
    given = None if facts is None else json.dumps(facts)
    return asyncio.run(Previews(Settings()).of(find(type).type, locale, brand, given))


@pytest.mark.parametrize(("type", "locale"), [*zip(TYPES, cycle(LANGUAGES), strict=False)])
def test_every_shipped_type_and_every_language_is_shown(project, type, locale):
    mail = shown(type, locale)
    headers = dict(mail.headers)
    subject = " ".join(mail.subject.split())
    assert (headers["Subject"], headers["To"]) == (subject, "Ada Lovelace <ada@shop.example>")
    assert f'lang="{locale}"' in mail.html
    assert mail.preheader
    assert mail.preheader == mail.preheader.rstrip("\xa0\u200c\n")
    assert mail.text
    assert mail.size == len(mail.html.encode())
    assert (mail.short is not None) == (TYPES[type].kinds != ("email",))


@pytest.mark.parametrize(
    ("type", "categories", "has_footer"),
    [
        ("alert", {}, True),
        ("order-confirmation", {}, False),
        ("order-confirmation", {"transactional": {"optional": True}}, True),
        ("alert", {"alert": {"optional": False}}, False),
    ],
)
def test_a_category_that_may_be_turned_off_has_placeholders_for_its_links(
    project, monkeypatch, type, categories, has_footer
):
    monkeypatch.setenv("WAYPOST_CATEGORIES", json.dumps(categories))
    mail = shown(type)
    assert ("List-Unsubscribe" in dict(mail.headers)) is has_footer
    for link in ("https://waypost.invalid/u/unsubscribe", "https://waypost.invalid/p/preferences"):
        assert (f'href="{link}"' in mail.html, link in mail.text) == (has_footer, has_footer)
    assert not Previews(Settings()).findings(find(type).type, "en")


def test_a_mail_of_an_author_is_shown_as_from_the_sender(project, monkeypatch):
    monkeypatch.setenv("WAYPOST_SENDER", "Shop <post@shop.example>")
    mail = shown("message")
    assert dict(mail.headers)["From"] == "Harbour Books <post@shop.example>"
    assert (bool(mail.text), mail.short, mail.version) == (True, None, None)


def test_a_mail_of_an_author_is_shown_if_its_sender_may_send(project):
    sample = Previews(Settings()).sample(find("message").type)
    facts = json.loads(sample.replace("waypost.example", "other.example"))
    with pytest.raises(CannotShow, match="sender not allowed"):
        shown("message", facts=facts)


def test_a_code_is_one_of_the_minters_and_no_installations(project):
    first, second = shown("sign-in-code"), shown("sign-in-code")
    assert re.search(r"\b\d{6}\b", first.text)
    assert first.html == second.html


def test_what_a_minter_of_the_project_would_make_has_a_placeholder(project):
    never = "async def mint(context, notifications):\n    raise SystemExit\n"
    declared = 'TYPE = replace(ALERT, name="mine", mint=mint, minted=("voucher",))\n'
    project.write(mine=LIKE_ALERT + never + declared + FLOW)
    for part in ("subject.txt", "body.txt", "short.txt"):
        project.template(f"mine/{part}", "{{ voucher }}")
    project.template("mine/body.mjml", mjml("{{ voucher }}"))
    project.template("mine/sample.json", json.dumps({"facts": ALERT}))
    assert shown("mine").subject == "[voucher]"


def test_attachments_are_made_and_an_inline_image_is_in_the_page(project):
    attach = (
        "from waypost import Attachment\n"
        "async def attach(facts):\n"
        "    return [Attachment('a.png', b'pixel', cid='a@b'), Attachment('list.csv', b'a,b')]\n"
    )
    project.write(
        mine=LIKE_ALERT + attach + 'TYPE = replace(ALERT, name="mine", attachments=attach)\n' + FLOW
    )
    for part in ("subject.txt", "body.txt", "short.txt"):
        project.template(f"mine/{part}", "words")
    project.template("mine/body.mjml", mjml('<img src="cid:a@b" />'))
    project.template("mine/sample.json", json.dumps({"facts": ALERT}))
    mail = shown("mine")
    assert "list.csv" in mail.files
    assert 'src="data:image/png;base64,' in mail.html


def test_other_facts_are_shown_and_a_wrong_field_is_named_without_its_value(project):
    assert shown("alert", facts={**ALERT, "summary": "Tap leaks"}).subject.endswith("Tap leaks")
    with pytest.raises(WrongFacts) as error:
        shown("alert", facts={**ALERT, "severity": "secret"})
    assert str(error.value).startswith("severity: not one of")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("written", "said"),
    [("{", "facts: not JSON: "), ("[]", "facts: not an object"), ("[" * 9999, "not JSON")],
)
def test_facts_that_are_no_object_are_told(project, written, said):
    with pytest.raises(WrongFacts, match=said):
        asyncio.run(Previews(Settings()).of(find("alert").type, "en", None, written))


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("alert/subject.txt", "one\n{% if %}", r"templates/alert/subject\.txt, line 2: "),
        ("alert/body.txt", "a\n{{ sumary }}", r"templates/alert/body\.txt, line 2: 'sumary' is undefined"),
        ("alert/body.mjml", "<mjml>\n<mj-body>", r"templates/alert/body\.mjml, line "),
        ("alert/sample.json", "{", r"templates/alert/sample\.json cannot be read"),
        ("alert/sample.json", f'{{"facts": {"[" * 99_999}}}', r"templates/alert/sample\.json cannot be read"),
        ("alert/sample.json", '{"facts": {}}', r"templates/alert/sample\.json: severity: missing"),
        ("_locales/en/LC_MESSAGES/m.po", "", None),
        ("_locales/de/LC_MESSAGES/m.po", 'msgid "a"\nno', r"_locales/de/LC_MESSAGES/m\.po, line 2"),
    ],
)
def test_a_fault_in_a_file_is_told_with_its_place(project, file, text, said):
    project.template(file, text)
    if said is None:
        shown("alert", "de")
        return
    with pytest.raises(CannotShow, match=said):
        shown("alert", "de")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"brand": "acm"}, "there is no brand acm; brands: default, acme"),
        ({"locale": "xx-bogus"}, "locale: "),
    ],
)
def test_a_brand_or_locale_that_does_not_exist_is_told(project, monkeypatch, asked, said):
    monkeypatch.setenv("WAYPOST_BRANDS", BRANDS)
    assert "#123456" in shown("welcome", brand="acme").html
    with pytest.raises(CannotShow, match=said):
        shown("welcome", **asked)


def test_a_scheme_is_that_of_the_reader_and_not_of_the_browser():
    page = (
        '<meta name="color-scheme" content="light dark">'
        '<meta name="supported-color-schemes" content="light dark">'
        ":root { color-scheme: light dark } @media (PREFERS-color-scheme:dark) and (color) {}"
    )
    dark, light = in_scheme(page, "dark"), in_scheme(page, "light")
    assert "@media (min-width: 0px) and (color)" in dark
    assert "@media (max-width: 0px) and (color)" in light
    assert 'name="color-scheme" content="dark"' in dark
    assert "{ color-scheme: light }" in light
    assert dark.count("light dark") == 1


def test_a_framed_mail_begins_with_its_own_doctype():
    assert framed("<!doctype html><html><head lang=x><title>") == (
        '<!doctype html><html><head lang=x><base target="_blank"><title>'
    )
    assert framed("<p>words") == '<base target="_blank"><p>words'


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        ('<img src="https://a.example/x.png" alt="A &amp; B" style="height:32px">', "A &amp; B"),
        ('<IMG alt=\'Sho"es\' src=\'//a.example/x.png\' width="300" height="100" />', "Sho&quot;es"),
        ('<img src=http://a.example/x.png alt="a > b">', "a &gt; b"),
        ('<img src="https://a.example/x.png" alt="">', ""),
    ],
)
def test_an_image_on_another_server_is_its_alternative_text_in_a_picture(image, shown):
    found = without_remote_images(f"<p>{image}</p>")
    assert re.fullmatch(r'<p><span style="[^"]*">(.*)</span></p>', found)[1] == shown
    for style in ("height:32px", "width:300px"):
        assert (style in found) == (style in image or style.replace(":", '="').replace("px", '"') in image)


@pytest.mark.parametrize("image", ['<img src="data:image/png;base64,AA" alt="a">', "<img alt='a'>", "<imgx>"])
def test_an_image_in_the_mail_stays_as_it_is(image):
    assert without_remote_images(image) == image


def test_the_state_of_the_files_changes_with_every_kind_of_change(tmp_path):
    states = [state_of([tmp_path])]
    (tmp_path / "a").mkdir()
    for change in (
        lambda: (tmp_path / "a" / "b.txt").write_text("one"),
        lambda: (tmp_path / "a" / "b.txt").write_text("other"),
        lambda: (tmp_path / "a" / "b.txt").rename(tmp_path / "a" / "c.txt"),
        lambda: (tmp_path / "a" / "c.txt").unlink(),
    ):
        change()
        states.append(state_of([tmp_path]))
    assert len(set(states)) == 5
    assert state_of([tmp_path]) == states[-1]


class Page:
    """Asks the application."""

    def __init__(self, app):
        self.app = app
        self._transport = httpx.ASGITransport(app)

    def get(self, path, **more):
        return asyncio.run(self._ask("GET", path, **more))

    def post(self, path, **more):
        return asyncio.run(self._ask("POST", path, **more))

    async def _ask(self, method, path, **more):
        async with httpx.AsyncClient(transport=self._transport, base_url="http://127.0.0.1:8026") as client:
            return await client.request(method, path, **more)


@pytest.fixture
def page(project):
    types = {name: one.type for name, one in registered().items()}
    app = make_app("127.0.0.1", types, Previews(Settings()), list)
    return Page(app)


def ask(page, **more):
    return page.post("/shown", json={"type": "alert", "locale": "en", **more})


def test_the_page_loads_nothing_from_elsewhere_and_is_in_no_frame(page):
    answer = page.get("/?type=%3Cscript%3E&locale=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    policy = answer.headers["content-security-policy"]
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= {*policy.split("; ")}
    assert "<script>alert" not in answer.text
    assert re.findall(r'(?:src|href)="([^"]*)"', answer.text) == [
        "data:,", "/page.css", "/preview.css", "/preview.js",
    ]  # fmt: skip
    for path in ("/page.css", "/preview.css", "/preview.js"):
        file = page.get(path)
        assert (file.status_code, "http:" in file.text, "https:" in file.text) == (200, False, False)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
def test_a_name_of_another_site_is_not_answered(page, host):
    for answer in (page.get("/", headers={"Host": host}), page.post("/shown", headers={"Host": host})):
        assert answer.status_code == 400


def test_a_page_of_another_site_is_not_answered(page):
    question = {"type": "alert", "locale": "en"}
    for origin in ("https://evil.example", "null", "http://127.0.0.1:9999", "http://127.0.0.1"):
        assert page.post("/shown", json=question, headers={"Origin": origin}).status_code == 403
    own = page.post("/shown", json=question, headers={"Origin": "http://127.0.0.1:8026"})
    assert own.status_code == 200


def test_an_answer_says_what_is_shown_and_is_empty_until_a_file_changes(page, project):
    found = ask(page, scheme="dark").json()
    assert found["subject"]
    assert found["languages"] == [*LANGUAGES]
    assert json.loads(found["sample"])["severity"] == "critical"
    assert "prefers-color-scheme" not in found["html"]
    assert found["findings"] == []
    assert ask(page, state=found["state"]).status_code == 204
    project.template("alert/subject.txt", "{{ sumary }}")
    broken = ask(page, state=found["state"]).json()
    assert "templates/alert/subject.txt, line 1: 'sumary' is undefined" in broken["fault"]
    assert any("is it summary?" in one for one in broken["findings"])
    assert "html" not in broken


def test_an_answer_has_the_findings_of_the_mail(page, project):
    image = '<mj-image src="https://shop.example/a.png" width="20px" />'
    shipped = Settings().template_folders[-1] / "welcome" / "body.mjml"
    text = shipped.read_text().replace("{% block body %}\n", f"{{% block body %}}\n{image}\n")
    project.template("welcome/body.mjml", text)
    [found] = ask(page, type="welcome").json()["findings"]
    line = text[: text.index(image)].count("\n") + 1
    assert found.startswith(f"templates/welcome/body.mjml:{line}: ")
    assert "alt" in found


def test_a_mail_in_another_language_than_asked_for_has_no_finding_about_it(page):
    found = ask(page, locale="it").json()
    assert 'lang="en"' in found["html"]
    assert not [one for one in found["findings"] if "language is" in one]


def test_an_answer_has_the_segments_of_an_sms(page):
    found = ask(page, type="sign-in-code").json()
    assert found["short"]
    assert re.fullmatch(r"1 segment \(\d+ GSM characters\); \d+ left", found["short_size"])
    chinese = ask(page, type="sign-in-code", locale="zh").json()
    assert re.match(
        r"1 segment \(\d+ UCS-2 characters\); \d+ left; UCS-2 is needed for ", chinese["short_size"]
    )


def test_a_mail_is_shown_though_its_sms_is_too_long_to_be_sent(page, project):
    project.write(
        mine=LIKE_ALERT
        + 'TYPE = replace(ALERT, name="mine", route=("email", "sms"), sms_segments=1)\n'
        + FLOW
    )
    for part in ("subject.txt", "body.txt"):
        project.template(f"mine/{part}", "words")
    project.template("mine/body.mjml", mjml("words"))
    project.template("mine/short.txt", "{{ summary * 40 }}")
    project.template("mine/sample.json", json.dumps({"facts": ALERT}))
    types = {"mine": find("mine").type}
    answer = ask(Page(make_app("127.0.0.1", types, Previews(Settings()), list)), type="mine").json()
    assert ("fault" in answer, answer["subject"], "words" in answer["html"]) == (False, "words", True)
    advice = "shorten the text, or raise sms_segments of mine"
    size = "3 segments (360 GSM characters), more than the limit of 1"
    assert answer["findings"][0] == f"templates/mine/short.txt: the SMS takes {size}; {advice}"


def test_an_answer_names_a_wrong_field_and_an_unknown_type(page):
    assert ask(page, facts="{}").json()["facts_fault"].startswith("severity: missing")
    assert ask(page, type="nix").json()["fault"] == "there is no type nix"


def test_a_sample_with_half_a_character_is_shown_as_the_file_writes_it(page, project):
    project.template("alert/sample.json", '{"facts": {"summary": "\\ud800"}}')
    assert ask(page).json()["sample"] == '{\n  "summary": "\\ud800"\n}'


def test_a_client_that_leaves_while_it_asks_is_no_fault(page):
    async def left():
        return {"type": "http.disconnect"}

    async def sent(message):
        said.append(message)

    said = []
    head = {"host": "127.0.0.1:8026", "content-length": "900000", "content-type": "application/json"}
    headers = [(name.encode(), value.encode()) for name, value in head.items()]
    scope = {"type": "http", "method": "POST", "path": "/shown", "query_string": b"", "headers": headers}
    asyncio.run(page.app(scope, left, sent))
    assert [message["type"] for message in said][:1] in ([], ["http.response.start"])


@pytest.mark.parametrize(
    ("content", "status"), [(b"{", 400), (b"{}", 400), (b"[" * 5000, 400), (b" " * (LARGEST + 1), 413)]
)
def test_a_question_that_is_none_is_refused(page, content, status):
    assert page.post("/shown", content=content).status_code == status


def test_without_a_chromium_the_reader_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(browser, "PROGRAMS", ("no-such-browser",))
    with pytest.raises(NoBrowser, match="install Chromium or Google Chrome"):
        browser.program()


def test_a_browser_that_tells_events_and_no_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(browser, "ANSWERS_WITHIN", 0.2)

    def chatter(socket):
        with suppress(ConnectionClosed):
            while True:
                socket.send('{"method": "Page.event"}')

    with serve(chatter, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.socket.getsockname()[1]
        with (
            connect(f"ws://127.0.0.1:{port}", proxy=None) as socket,
            pytest.raises(NoBrowser, match="answer"),
        ):
            browser.Page(socket).ask("Page.enable")


def test_a_chromium_that_does_not_start_is_told_with_its_words(monkeypatch, tmp_path):
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\necho the disk is full >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(browser, "PROGRAMS", (str(program),))
    with pytest.raises(NoBrowser, match="does not start: the disk is full"), browser.open_page():
        pass
