"""Short messages through Apprise, to a real web service."""

import json
import logging
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

from waypost.channels.apprise.channel import AppriseChannel
from waypost.channels.channel import ChannelUnavailable
from waypost.model.outcome import Phase, Verdict

pytestmark = pytest.mark.anyio


@pytest.fixture
def channel(web):
    return AppriseChannel("apprise", "*", f"json://127.0.0.1:{web.port}/{{phone}}/{{email}}/{{id}}")


async def test_the_recipients_phone_email_and_id_stand_in_the_url(channel, web, write):
    await channel.send(write(channel="sms", phone="+49 170", to="a&b?#@a.example"))
    ((path, _),) = web.posts
    assert [unquote(part) for part in path.split("/")] == ["", "+49170", "a&b?#@a.example", "ada"]


@pytest.mark.parametrize("phone", ["../../1", "1/../../2", "..", "1/2", "/1"])
async def test_a_phone_cannot_lead_to_another_page(web, write, phone):
    hook = AppriseChannel("apprise", "*", f"json://127.0.0.1:{web.port}/hook/{{phone}}/end")
    await hook.send(write(channel="sms", phone=phone))
    paths = [path.split("/") for path, _ in web.posts]
    assert all(len(path) == 4 and path[1::2] == ["hook", "end"] for path in paths)


async def test_the_title_goes_with_it(channel, web, write):
    await channel.send(write(channel="sms"))
    assert web.posts[0][1]["title"] == "A title"


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (400, Verdict.REFUSED),
        (401, Verdict.DEFERRED),
        (404, Verdict.REFUSED),
        (429, Verdict.DEFERRED),
        (500, Verdict.DEFERRED),
        (503, Verdict.DEFERRED),
    ],
)
async def test_a_status_makes_the_answer_definite(channel, web, write, status, verdict):
    web.status = status
    outcome = await channel.send(write(channel="sms"))
    assert (outcome.verdict, outcome.code) == (verdict, status)


@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        "the log says error=404",
        "error=500",
        "Connection refused by db-1",
        "Name or service not known",
    ],
)
async def test_a_service_that_hangs_up_leaves_it_unknown_whatever_the_message_says(channel, web, write, text):
    web.hangs_up = True
    outcome = await channel.send(write(text, channel="sms"))
    assert (outcome.verdict, outcome.phase, outcome.code) == (Verdict.UNKNOWN, Phase.DOT, None)


@pytest.mark.parametrize("text", ["Hello", "the log says error=404"])
async def test_a_service_that_is_not_there_is_unavailable_whatever_the_message_says(write, text):
    with pytest.raises(ChannelUnavailable):
        await AppriseChannel("apprise", "*", "json://127.0.0.1:1/").send(write(text, channel="sms"))


async def test_a_service_that_says_nothing_in_time_leaves_it_unknown(web, write):
    web.waits = 0.5
    slow = AppriseChannel("apprise", "*", f"json://127.0.0.1:{web.port}/", attempt_seconds=0.1)
    outcome = await slow.send(write(channel="sms"))
    assert (outcome.verdict, outcome.words) == (Verdict.UNKNOWN, "no response within 0.1 s")


@pytest.fixture
def logged():
    """What Apprise says where anybody can read it."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize(
    "url", ["nosuch://u:hunter2@h", "json://", "u:hunter2@h", "twilio://hunter2@hunter2", ""]
)
async def test_a_wrong_url_is_refused_without_repeating_or_logging_it(logged, url):
    with pytest.raises(ValueError, match="not a valid Apprise URL") as refused:
        AppriseChannel("apprise", "*", url)
    assert "hunter2" not in str(refused.value) + "".join(logged)


@pytest.mark.parametrize(
    "url",
    [
        "signal://localhost:8080/+12025550111/{phone}",
        "bulksms://user:password@{phone}",
        "clicksend://user:key@{phone}",
        "voipms://password:a@b.example/12025550111/{phone}",
    ],
)
def test_a_service_that_needs_a_whole_phone_number_is_known(url):
    AppriseChannel("apprise", "sms", url)


TWILIO = f"twilio://AC{'a' * 32}:{'b' * 32}@+12025550111"


@pytest.mark.parametrize(
    "url",
    [
        TWILIO,  # would text its own number
        f"{TWILIO}/{{email}}",
        "httpsms://0123456789@+12025550111",
        "clickatell://hunter2",  # would send nothing
        "clickatell://hunter2/{email}",
        "tgram://123456789:abcdefghijklmnopqrstuvwxyzabcdefghi",  # would write to whoever wrote last
    ],
)
def test_a_url_that_gives_its_service_no_target_is_refused_before_anything_is_sent(url):
    with pytest.raises(ValueError, match="an Apprise URL without a target") as refused:
        AppriseChannel("apprise", "*", url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "mmost://localhost/3ccdd113474722377935511fc85d3dd4",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
        "dingtalk://aaaaaaaaaaaa",
        f"{TWILIO}/+12025550122",
    ],
)
def test_a_url_that_has_its_own_target_needs_none_of_the_recipient(url):
    AppriseChannel("apprise", "chat", url)


class Hook(BaseHTTPRequestHandler):
    """A chat's incoming webhook."""

    def do_POST(self):
        self.server.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


async def test_a_chats_incoming_webhook_takes_every_message_whoever_it_is_for(write):
    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        server.posts = []
        threading.Thread(target=partial(server.serve_forever, 0.01), daemon=True).start()
        url = f"mmost://127.0.0.1:{server.server_address[1]}/3ccdd113474722377935511fc85d3dd4"
        outcome = await AppriseChannel("ops", "chat", url).send(write(channel="chat"))
        server.shutdown()
    assert outcome.verdict is Verdict.ACCEPTED
    assert ["Hello" in post["text"] for post in server.posts] == [True]


@pytest.mark.parametrize(
    ("url", "phone"),
    [
        ("msgbird://aaaaaaaaaaaaaaaaaaaaaaaaa/+12025550111/{phone}", "1"),
        (f"{TWILIO}/{{phone}}", "1"),
        (f"{TWILIO}/+12025550122/{{phone}}", "1"),
    ],
)
async def test_a_phone_that_is_no_target_is_not_replaced_by_the_services_own(url, phone, write):
    outcome = await AppriseChannel("apprise", "sms", url).send(write(channel="sms", phone=phone))
    assert (outcome.verdict, outcome.phase) == (Verdict.REFUSED, Phase.RCPT)


async def test_nothing_about_a_message_is_logged(logged, channel, web, write):
    web.status = 400
    await channel.send(write("your code is 123456", channel="sms", phone="+4917099999"))
    assert not [line for line in logged if "123456" in line or "17099999" in line]


async def test_a_phone_the_service_does_not_take_is_never_accepted_nor_logged(logged, write):
    sms = AppriseChannel("apprise", "sms", "clickatell://hunter2/{phone}")
    outcome = await sms.send(write(channel="sms", phone="none"))
    assert outcome.verdict is not Verdict.ACCEPTED
    assert "hunter2" not in "".join(logged)


@pytest.mark.parametrize(
    ("url", "needed"),
    [
        ("json://127.0.0.1:1/{phone}", "a phone number"),
        ("json://127.0.0.1:1/{email}", "an email address"),
        ("json://127.0.0.1:1/{phone}/{email}", "a phone number and an email address"),
    ],
)
async def test_a_recipient_known_by_an_id_alone_is_refused_with_what_the_url_needs(write, url, needed):
    outcome = await AppriseChannel("texts", "*", url).send(write(channel="chat", phone=None, to=None))
    assert str(outcome) == f"the URL of texts needs {needed}, and none is known for this recipient"
