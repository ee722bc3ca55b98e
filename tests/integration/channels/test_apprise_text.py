"""A text arrives through Apprise as it was written, and is markup to nobody."""

import json
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import apprise
import pytest
from apprise.manager_plugins import NotificationManager

from waypost.channels.apprise.channel import AppriseChannel
from waypost.channels.apprise.text import as_text, spoken
from waypost.model.outcome import Verdict

pytestmark = pytest.mark.anyio
HTML, MARKDOWN, TEXT = apprise.NotifyFormat.HTML, apprise.NotifyFormat.MARKDOWN, apprise.NotifyFormat.TEXT
TELEGRAM = apprise.Apprise.instantiate("tgram://123456789:abcdefghijklmnopqrstuvwxyzabcdefghi/12345")


class Shown(HTMLParser):
    """What Telegram makes of a message in HTML: its letters, and its markup; other tags it refuses."""

    def __init__(self, text):
        super().__init__()
        self.letters, self.markup, self.refused = "", [], False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, _attributes):
        if tag in ("b", "i", "u", "s", "a", "code", "pre", "blockquote"):
            self.markup.append(tag)
        else:
            self.refused = True

    def handle_data(self, data):
        self.letters += data


class BotApi(BaseHTTPRequestHandler):
    """The bot API's sendMessage."""

    def do_POST(self):
        post = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path.endswith("/sendMessage")
        shown = Shown(post["text"]) if post.get("parse_mode") == "HTML" else None
        refused = shown is None or shown.refused
        if not refused:
            self.server.shown.append(shown)
        answer = {"ok": not refused, "result": {}, "description": "Bad Request: can't parse entities"}
        body = json.dumps(answer).encode()
        self.send_response(400 if refused else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def telegram(monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), BotApi) as server:
        server.shown = []
        threading.Thread(target=partial(server.serve_forever, 0.01), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/bot"
        monkeypatch.setattr(type(TELEGRAM), "notify_url", url)
        yield server
        server.shutdown()


@pytest.mark.parametrize("asked", ["", "?format=text", "?format=markdown", "?format=html"])
@pytest.mark.parametrize(
    "text",
    [
        "latency <p99> over 2 s",
        "<b>bold</b> & <a href='https://evil.example'>here</a>",
        "a < b > c && d",
        "&lt;p99&gt; &amp;amp;",
        "*not bold* _nor italic_ `nor code` [nor](https://evil.example)",
        "two lines\nand  two blanks",
        "Grüße 😀 -- !",
    ],
)
async def test_telegram_shows_every_letter_and_no_markup(telegram, write, text, asked):
    url = f"tgram://123456789:abcdefghijklmnopqrstuvwxyzabcdefghi/12345{asked}"
    message = write(text, channel="chat")
    outcome = await AppriseChannel("tg", "chat", url).send(message)
    assert outcome.verdict is Verdict.ACCEPTED
    [shown] = telegram.shown
    letters = shown.letters.replace("\r\n", "\n").replace("\N{NO-BREAK SPACE}", " ")
    assert letters.startswith("A title")
    assert letters.endswith(text)
    assert shown.markup in ([], ["b"])  # the title


SERVICES = sorted(set(NotificationManager().plugins()), key=lambda one: one.__name__)


def test_no_service_is_spoken_to_in_markdown_whatever_its_default_or_url_says():
    defaults = {spoken(service, service.notify_format) for service in SERVICES}
    assert (len(SERVICES) > 100, defaults) == (True, {TEXT, HTML})
    assert MARKDOWN not in {spoken(service, MARKDOWN) for service in SERVICES}


CHATS = {
    "discord": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
    "mattermost": "mmost://localhost/3ccdd113474722377935511fc85d3dd4",
    "rocketchat": "rocket://user:password@localhost/#general",
    "google chat": "gchat://workspace/key/token",
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    "twist": "twist://password:user@a.example",
    "zulip": "zulip://bot@org/abcdefghijklmnopqrstuvwxyz123456",
}


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("markup", ["*bold*", "_italic_", "[text](x)", "`code`", "~gone~", "> said", "# big"])
def test_a_chat_that_renders_plain_text_finds_no_markup_in_a_fact(name, markup):
    service = apprise.Apprise.instantiate(CHATS[name])
    _, body = as_text(service, "title", f"{markup} is what it says")
    assert service.notify_format == TEXT
    if name == "slack":
        assert body == f"{markup.replace('>', '&gt;')} is what it says"  # sent with mrkdwn off
    else:
        assert body.replace("\\", "").replace("\u2060", "") == f"{markup} is what it says"
        assert not body.startswith(markup)


@pytest.mark.parametrize("text", ["@everyone look", "hello @here", "@channel: x", "@All"])
@pytest.mark.parametrize("name", ["discord", "mattermost", "rocketchat"])
def test_a_fact_calls_nobody(name, text):
    _, body = as_text(apprise.Apprise.instantiate(CHATS[name]), "", text)
    assert body.replace("\u2060", "") == text
    assert "@\u2060" in body


@pytest.mark.parametrize("name", CHATS)
def test_a_link_stays_whole(name):
    link = "https://a.example/x_y_z?a=1#b~c"
    _, body = as_text(apprise.Apprise.instantiate(CHATS[name]), "", f"see {link} (_now_)")
    assert link in body


def test_slack_reads_no_mention_in_a_fact():
    _, body = as_text(apprise.Apprise.instantiate(CHATS["slack"]), "", "<!channel> a & b")
    assert body == "&lt;!channel&gt; a &amp; b"


async def test_a_service_that_takes_text_gets_it_as_it_is(web, write):
    text = "<b>*bold*</b> & [x](y) @everyone"
    await AppriseChannel("hook", "chat", f"json://127.0.0.1:{web.port}/").send(write(text, channel="chat"))
    assert web.posts[0][1]["message"] == text
