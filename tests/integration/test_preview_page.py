"""`waypost preview` in a project: its page in a real browser, and its pictures."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import struct
import subprocess
import time

import httpx
import pytest
from support import forks
from support.browser import browser, chromium
from support.processes import REPOSITORY, command, environment, waypost
from support.project import FLOW, LIKE_ALERT, project_in
from support.shipped_types import sample

from waypost.cli.preview import PORT
from waypost.config.settings import Settings
from waypost.deployments.registry import find
from waypost.preview.browser import open_page
from waypost.preview.pictures import HIGHEST, TooHigh, take
from waypost.preview.rendered import EMAIL, NAME, Previews
from waypost.testing import sent

TYPE, BRANDS = "parcel-shipped", json.dumps({"acme": {"sender": "Acme <mail@acme.example>"}})
FRAME = "document.querySelector('#frame').contentDocument"
SHOWN = f"({FRAME}?.body?.innerText ?? '')"
BACK = f"({FRAME}?.body && {FRAME}.defaultView.getComputedStyle({FRAME}.body).backgroundColor)"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work") / "shop"
    made = waypost(folder, "init", "shop")
    assert made.returncode == 0, made.stderr
    return folder


def run(project, *arguments, **more):
    return waypost(project / ".waypost", "preview", *arguments, **more)


@pytest.fixture(scope="module")
def address(project):
    """Of a running preview; Ctrl-C ends it."""
    started = forks.Forked(
        command("preview", TYPE, "--port", "0"),
        env=environment(project / ".waypost", WAYPOST_BRANDS=BRANDS), cwd=project,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    found = re.search(
        r"preview at (http://127\.0\.0\.1:\d+/)\?type=parcel-shipped;", started.stdout.readline()
    )
    yield found[1]
    started.send_signal(signal.SIGINT)
    assert started.wait(20) == 0


@pytest.fixture(scope="module")
def opened():
    with browser() as page:
        yield page


@pytest.fixture
def page(project, address, opened):
    """The page of the project's type; its templates are as they were after the test."""
    kept = project.parent / "kept"
    shutil.copytree(project / "templates", kept)
    opened.ask("Emulation.setEmulatedMedia", features=[])
    show(opened, address, TYPE)
    yield opened
    shutil.rmtree(project / "templates")
    kept.rename(project / "templates")


def show(page, address, type, width=1280, **more):
    page.open(
        f"{address}?type={type}{''.join(f'&{name}={value}' for name, value in more.items())}", width, 900
    )
    page.wait(f"document.querySelector('#subject').textContent && {SHOWN}")


def choose(page, id, value):
    page.run(
        f"(() => {{ const e = document.getElementById({json.dumps(id)}); e.value = {json.dumps(value)};"
        "e.dispatchEvent(new Event('change', {bubbles: true})) })()"
    )


def write(page, facts):
    """Replace the facts, as a person who pastes them."""
    page.run("document.querySelector('#facts').select()")
    page.type(json.dumps(facts))


def visible(page, id):
    """The words of an element that is shown."""
    return page.run(
        f"(() => {{ const e = document.getElementById('{id}'); return e.hidden ? '' : e.innerText }})()"
    )


def test_a_type_is_shown_in_each_language(page, address):
    show(page, address, "order-confirmation", locale="de")
    page.wait("document.querySelectorAll('#locale option').length == 6")
    titles = {
        "de": "Bestellung 1042 bestätigt",
        "en": "Order 1042 confirmed",
        "es": "",
        "fr": "",
        "pt": "",
        "zh": "",
    }
    for locale, title in titles.items():
        choose(page, "locale", locale)
        page.wait(f"document.querySelector('#frame').contentDocument?.documentElement?.lang == '{locale}'")
        page.wait(f"{SHOWN}.includes({json.dumps(title)})")
    assert page.run("location.search") == "?type=order-confirmation&locale=zh"


def test_every_part_is_shown_beside_the_mail(page):
    assert visible(page, "subject") == "Parcel shipped: 1042"
    assert visible(page, "preheader") == "1042"
    assert visible(page, "short").startswith("Parcel shipped: 1042")
    assert "https://shop.example/1042" in page.run("document.querySelector('#text').textContent")
    assert f"To{NAME} <{EMAIL}>" in page.run("document.querySelector('#headers').textContent")
    assert re.match(r"\d+\.\d kB of HTML", visible(page, "size"))
    assert visible(page, "findings-card") == ""


def test_an_edit_appears_by_itself(page, project):
    file = project / "templates" / TYPE / "body.mjml"
    file.write_text(file.read_text().replace("Open it", "See where it is"))
    began = time.monotonic()
    page.wait(f"{SHOWN}.includes('See where it is')")
    assert time.monotonic() - began < 2
    (project / "templates" / TYPE / "sample.json").write_text(
        json.dumps({"facts": {"reference": "77", "url": "https://shop.example/77"}})
    )
    page.wait("document.querySelector('#subject').textContent == 'Parcel shipped: 77'")
    assert json.loads(page.run("document.querySelector('#facts').value"))["reference"] == "77"


def test_a_new_catalogue_is_shown_and_a_broken_one_told(page, project):
    folder = project / "templates" / "_locales" / "nl" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    head = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\n'
    own = (("Parcel shipped: %(reference)s", "Pakket verzonden: %(reference)s"), ("Open it", "Openen"))
    texts = "\n".join(f'msgid "{english}"\nmsgstr "{dutch}"\n' for english, dutch in own)
    (folder / "messages.po").write_text(head + texts)
    page.wait("[...document.querySelector('#locale').options].some((one) => one.value == 'nl')")
    choose(page, "locale", "nl")
    page.wait(f"{SHOWN}.includes('Openen')")
    assert "no translation into nl" in visible(page, "findings-card")
    (folder / "messages.po").write_text(head + "no catalogue")
    page.wait("document.querySelector('#fault').innerText.includes('messages.po, line 5')")


def test_a_broken_template_shows_its_fault_and_recovers(page, project):
    file = project / "templates" / TYPE / "body.mjml"
    good = file.read_text()
    file.write_text(good.replace("{% block content %}", "{% block content %}\n{{ nobody }}"))
    page.wait("!document.querySelector('#fault').hidden")
    assert visible(page, "fault") == f"templates/{TYPE}/body.mjml, line 5: 'nobody' is undefined"
    assert page.run("document.querySelector('#stage').classList.contains('old')")
    file.write_text(good.replace("Open it", "It works again"))
    page.wait(f"{SHOWN}.includes('It works again')")
    assert visible(page, "fault") == ""
    assert not page.run("document.querySelector('#stage').classList.contains('old')")


def test_pasted_facts_are_shown_and_a_wrong_field_is_named(page):
    write(page, {"reference": "A-9", "url": "https://shop.example/9"})
    page.wait("document.querySelector('#subject').textContent == 'Parcel shipped: A-9'")
    write(page, {"reference": "A-9", "url": "ftp://secret", "more": 1})
    page.wait("!document.querySelector('#facts-fault').hidden")
    assert visible(page, "facts-fault").startswith("url: not a web address")
    assert "more: no such field" in visible(page, "facts-fault")
    page.click("document.querySelector('#reset')")
    page.wait("document.querySelector('#subject').textContent == 'Parcel shipped: 1042'")
    page.wait("document.querySelector('#facts').value.includes('1042')")
    assert visible(page, "facts-fault") == ""


def test_a_hostile_value_does_nothing(page, project):
    page.run("window.harmed = false")
    body = project / "templates" / TYPE / "body.mjml"
    bad = "<mj-raw><script>parent.harmed = true</script><img src='x' onerror='parent.harmed = true'></mj-raw>"
    body.write_text(body.read_text().replace("{% block content %}", "{% block content %}" + bad))
    hostile = "<script>window.harmed = true</script><img src=x onerror=harmed=true>"
    write(page, {"reference": hostile, "url": "https://shop.example/1"})
    page.wait(
        f"document.querySelector('#subject').textContent.includes('<script>') && {SHOWN}.includes('<script>')"
    )
    page.wait(f"!!{FRAME}?.querySelector('img[onerror]')")
    time.sleep(0.5)
    assert page.run("window.harmed") is False
    assert page.run("document.querySelectorAll('main script, main img').length") == 0


@pytest.mark.parametrize("browsers", ["light", "dark"])
def test_dark_is_dark_whatever_the_browser_is_set_to(page, address, browsers):
    page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": browsers}])
    show(page, address, TYPE)
    for scheme, colour in (("dark", "rgb(18, 21, 22)"), ("light", "rgb(242, 243, 241)")):
        page.click(f"document.querySelector('input[value={scheme}]')")
        page.wait(f"{BACK} == '{colour}'")


def test_the_frame_is_as_wide_as_the_device_and_as_high_as_the_mail(page):
    size = "[document.querySelector('#frame').offsetWidth, document.querySelector('#frame').offsetHeight]"
    for value in ("375", "700"):
        page.click(f"document.querySelector(\"input[value='{value}']\")")
        page.wait(f"{size}[0] == {value}")
        high = page.run("document.querySelector('#frame').contentDocument.documentElement.scrollHeight")
        assert page.run(size)[1] == high > 300


def test_a_brand_is_chosen(page):
    choose(page, "brand", "acme")
    page.wait(f"{SHOWN}.startsWith('Acme')")


@pytest.mark.parametrize("width", [375, 1280])
def test_the_page_does_not_scroll_sideways(page, address, width):
    show(page, address, "order-confirmation", width)
    assert page.run("document.documentElement.scrollWidth") <= width


def test_the_page_is_used_with_the_keyboard(page):
    seen = []
    page.run("document.activeElement.blur()")
    for _ in range(9):
        for kind in ("keyDown", "keyUp"):
            page.ask("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        seen.append(
            page.run(
                "document.activeElement.id || document.activeElement.name || document.activeElement.tagName"
            )
        )
    wanted = ["type", "locale", "brand", "width", "scheme", "stage", "facts"]
    assert [one for one in seen if one in wanted] == wanted


@pytest.mark.long
def test_a_type_that_is_added_asks_for_a_restart(page, project):
    file = project / "flows" / "later.py"
    file.write_text("")
    page.wait("!document.querySelector('#changed').hidden")
    assert visible(page, "changed").startswith("flows/later.py changed after this preview began.")
    file.unlink()
    page.wait("document.querySelector('#changed').hidden")


def test_a_port_that_is_taken_is_told(project, address):
    port = re.search(r":(\d+)/", address)[1]
    done = run(project, "--port", port)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port} (address already in use)" in done.stderr
    assert "--port" in done.stderr


BLOCKS = """
import time

def attach(facts):
    time.sleep(600)

TYPE = replace(ALERT, name="slow", attachments=attach)
"""


def test_ctrl_c_ends_it_while_a_mail_is_rendered_that_takes_for_ever(tmp_path):
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "slow.py").write_text(LIKE_ALERT + BLOCKS + FLOW)
    (tmp_path / "templates" / "slow").mkdir(parents=True)
    facts = json.dumps({"facts": sample("alert")})
    (tmp_path / "templates" / "slow" / "sample.json").write_text(facts)
    with forks.Forked(
        command("preview", "--port", "0"), env=environment(tmp_path / ".waypost"), cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as started:  # fmt: skip
        address = re.search(r"http://\S+/", started.stdout.readline())[0]
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{address}shown", json={"type": "slow", "locale": "en"}, timeout=2, trust_env=False)
        started.send_signal(signal.SIGINT)
        _, told = started.communicate(timeout=30)
        assert (started.returncode, told) == (0, "")


@pytest.mark.long
def test_what_is_shown_is_what_is_sent(tmp_path, monkeypatch):
    with project_in(tmp_path / "project", monkeypatch):
        ada = {"email": EMAIL, "name": NAME, "locale": "de"}
        [mail] = sent("order-confirmation", {"recipient": ada, "data": sample("order-confirmation")})
        shown = asyncio.run(Previews(Settings()).of(find("order-confirmation").type, "de"))
        assert (shown.html.split(), shown.text.split()) == (mail.html.split(), mail.text.split())
        assert shown.subject == mail.mail["Subject"]


def pixels(file):
    """The width and height of a PNG, from its header (RFC 2083, section 4.1.1)."""
    return struct.unpack(">II", file.read_bytes()[16:24])


@pytest.mark.long
def test_pictures_have_the_widths_and_the_heights_of_the_mails(project, tmp_path):
    chromium()
    done = run(project, TYPE, "--png", str(tmp_path / "new"), "--locale", "en", "--locale", "de", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["faults"] == []
    names = {f"{TYPE}-{locale}-{width}-{scheme}.png"
             for locale in ("en", "de") for width in (375, 700) for scheme in ("light", "dark")}  # fmt: skip
    assert {file.name for file in (tmp_path / "new").iterdir()} == names
    assert {one["file"] for one in told["pictures"]} == {str(tmp_path / "new" / name) for name in names}
    for one in told["pictures"]:
        width, height = pixels(tmp_path / "new" / one["file"])
        assert width == one["width"]
        assert 300 < height < 900
    schemes = [
        (tmp_path / "new" / f"{TYPE}-en-700-{scheme}.png").read_bytes() for scheme in ("light", "dark")
    ]
    assert schemes[0] != schemes[1]


@pytest.mark.long
def test_a_mail_without_a_picture_is_named_and_the_others_are_written(project, tmp_path):
    chromium()
    types = {"WAYPOST_SHIPPED_TYPES": "message,alert"}
    done = run(project, "--png", str(tmp_path), **types)
    assert done.returncode == 0
    assert "message in en has no picture: its mail is plain text" in done.stderr
    alone = run(project, "message", "--png", str(tmp_path), **types)
    assert (alone.returncode, alone.stderr) == (
        1, "waypost: message in en: its mail is plain text, which has no picture\n"
    )  # fmt: skip
    assert len(done.stdout.splitlines()) == 4 * 3  # the project's type, alert and its digest


def test_without_a_chromium_no_picture_is_written(project, tmp_path):
    done = run(project, TYPE, "--png", str(tmp_path), PATH="")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no Chromium on this machine: install" in done.stderr


@pytest.mark.long
def test_a_picture_is_as_high_as_its_mail_and_has_an_end(tmp_path):
    chromium()
    high = "<!doctype html><style>body{{margin:0}}</style><div style='height:{}px;background:red'>a</div>"
    with open_page() as page:
        file = tmp_path / "high.png"
        file.write_bytes(take(page, high.format(9000), 375, "light"))
        assert pixels(file) == (375, 9000)
        file.write_bytes(take(page, high.format(400), 700, "light"))
        assert pixels(file) == (700, 400)
        with pytest.raises(TooHigh):
            take(page, high.format(HIGHEST + 1), 375, "light")


def test_options_of_pictures_alone_are_refused():
    done = forks.run(command("preview", "--json"), 60)
    assert (done.returncode, "--json: only together with --png" in done.stderr) == (2, True)


@pytest.mark.long
def test_the_commands_of_the_document_run_as_they_are_shown(project, tmp_path):
    chromium()
    section = (REPOSITORY / "docs" / "templates.md").read_text().partition("## Preview\n")[2]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)[1]
    served, begun, taken = (re.sub(r" +#.*", "", line).split()[1:] for line in block.splitlines())
    for arguments in (served, begun):
        with forks.Forked(
            command(*arguments, "--port", "0"),
            env=environment(project / ".waypost"), cwd=project, stdout=subprocess.PIPE, text=True,
        ) as started:  # fmt: skip
            assert started.stdout.readline().startswith("preview at http://127.0.0.1:")
            started.send_signal(signal.SIGTERM)
        assert started.returncode == 0
    assert f"127.0.0.1:{PORT}/" in block
    done = waypost(project / ".waypost", *taken)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 4)
    assert {file.name for file in (project / "pictures").iterdir()} == {
        f"order-confirmation-en-{width}-{scheme}.png" for width in (375, 700) for scheme in ("light", "dark")
    }
