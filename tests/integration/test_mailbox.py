"""The development mailbox: what is sent to it can be looked at, and by nobody else."""

import smtplib
import socket
import subprocess
import sys
import time
from base64 import b64encode
from email.message import EmailMessage
from urllib.parse import quote

import httpx
import pytest

MANY = b",\r\n ".join([b"a@b.example"] * 20_000)
ODD_CHARSETS = (b"idna", b"punycode", b"utf-7")
NESTED = b"".join(
    b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000)
)
PIXEL = b"\x89PNG not really"


def mail(subject="Order 7 is on its way", html="<p>On its <b>way</b></p>"):
    written = EmailMessage()
    written["From"], written["To"], written["Subject"] = "Shop <s@a.example>", "Ada <a@b.example>", subject
    written.set_content("On its way\n")
    written.add_alternative(html, subtype="html")
    return written


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Mailbox:
    def __init__(self, folder, smtp_port, port):
        self.folder, self.smtp_port = folder, smtp_port
        self.page = httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=False, timeout=60)

    def answers(self):
        try:
            return self.page.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def send(self, message, sender="s@a.example"):
        content = message if isinstance(message, bytes) else message.as_bytes()
        with smtplib.SMTP("127.0.0.1", self.smtp_port) as client:
            client.sendmail(sender, "a@b.example", content)
        return sorted(path.name for path in self.folder.glob("*.eml"))[-1]


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory):
    folder, smtp_port, port = tmp_path_factory.mktemp("box") / "mail", free_port(), free_port()
    command = [sys.executable, "-m", "waypost.mailbox", str(folder), "127.0.0.1", str(smtp_port), str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        box = Mailbox(folder, smtp_port, port)

        until = time.monotonic() + 60
        while not box.answers():
            assert time.monotonic() < until
            time.sleep(0.05)
        yield box
        process.terminate()


def test_a_mail_can_be_found_and_read(mailbox):
    name = mailbox.send(mail("Bücher <b>& more</b>"))
    page = mailbox.page.get("/").text
    assert f"/mails/{name}" in page
    assert "Bücher &lt;b&gt;&amp; more&lt;/b&gt;" in page
    assert "From Shop &lt;s@a.example&gt;" in page
    shown = mailbox.page.get(f"/mails/{name}").text
    assert "Ada &lt;a@b.example&gt;" in shown
    assert "On its way" in shown
    assert "On its <b>way</b>" in mailbox.page.get(f"/mails/{name}/html").text
    assert "Content-Type: multipart/alternative" in mailbox.page.get(f"/mails/{name}/source").text


def test_a_mails_html_runs_nothing_and_loads_nothing(mailbox):
    name = mailbox.send(mail(html="<script>parent.location='https://evil.example'</script>"))
    policy = mailbox.page.get(f"/mails/{name}/html").headers["content-security-policy"]
    assert policy.startswith("sandbox")
    assert "allow-scripts" not in policy
    assert "default-src 'none'" in policy
    assert "allow-scripts" not in policy


def test_an_inline_image_is_shown(mailbox):
    message = mail(html='<img src="cid:logo@shop.example">')
    part = message.get_payload()[1]
    part.add_related(PIXEL, maintype="image", subtype="png", cid="<logo@shop.example>")
    name = mailbox.send(message)
    html = mailbox.page.get(f"/mails/{name}/html").text
    assert f"data:image/png;base64,{b64encode(PIXEL).decode()}" in html


def test_a_text_can_be_read(mailbox):
    kept = mailbox.page.post("/text/+41000000013", json={"message": "On its way"}).json()["kept"]
    assert "+41000000013" in mailbox.page.get("/").text
    assert "On its way" in mailbox.page.get(f"/texts/{kept}").text


@pytest.mark.parametrize("content", [b'{"message": "\\ud800"}', b"[" * 100_000, b"7", b""])
def test_a_text_that_is_odd_harms_no_page(mailbox, content):
    kept = mailbox.page.post("/text/1", content=content).json()["kept"]
    for path in ("/", f"/texts/{kept}"):
        assert mailbox.page.get(path).status_code == 200


def test_a_page_of_another_site_adds_no_text(mailbox):
    assert (
        mailbox.page.post("/text/1", json={}, headers={"Origin": "https://evil.example"}).status_code == 403
    )


def test_a_folder_or_an_impossible_date_harms_no_page(mailbox):
    (mailbox.folder / "20260101T000000000000-000001.eml").mkdir(exist_ok=True)
    (mailbox.folder / "99999999T999999999999-000001.eml").write_bytes(b"Subject: odd\r\n\r\n")
    assert mailbox.page.get("/").status_code == 200
    (mailbox.folder / "99999999T999999999999-000001.eml").unlink()
    (mailbox.folder / "20260101T000000000000-000001.eml").rmdir()


def test_a_text_that_is_no_json_can_be_read(mailbox):
    kept = mailbox.page.post("/text/+41000000013", content=b"[1, plain \xff words").json()["kept"]
    assert "plain" in mailbox.page.get(f"/texts/{kept}").text


@pytest.mark.parametrize(
    "content",
    [
        b"no header at all",
        b"",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\nno part",
        b"Content-Type: text/html; charset=no-such\r\n\r\n<p>hi \xff</p>",
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!not base64",
        b"Subject: =?utf-8?q?half\r\nTo: <<<>>>,,\r\nDate: never\r\n\r\nhi",
        b"Content-Type: multipart/related\r\n\r\nhi",
        "Subject: 8 bit ü\r\n\r\nü".encode("latin-1"),
        *(b"To: %s\r\n\r\nhi" % to for to in (b"<", b'"', b"a@[", MANY)),
        b"Subject: =?utf-7?q?+2AA-?=\r\n\r\nhi",
        b"Subject: =?unicode_escape?q?=5Cud800?=\r\n\r\nhi",
        b"Message-ID: <[\r\n\r\nhi",
        *(b"Content-Type: text/plain; charset=%s\r\n\r\n\xff" % name for name in ODD_CHARSETS),
        NESTED,
    ],
)
def test_a_mail_that_is_none_harms_no_page(mailbox, content):
    name = mailbox.send(content)
    for path in ("/", f"/mails/{name}", f"/mails/{name}/html", f"/mails/{name}/source"):
        assert mailbox.page.get(path).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
def test_a_page_of_another_site_reads_nothing(mailbox, host):
    assert mailbox.page.get("/", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "20260101T000000000000-000001.eml", "a.eml"]
)
def test_no_other_file_is_shown(mailbox, name):
    for path in (f"/mails/{quote(name, safe='')}", f"/mails/{name}/source", f"/texts/{name}"):
        assert mailbox.page.get(path).status_code == 404


def test_the_list_has_the_newest(mailbox):
    for number in range(210):
        (mailbox.folder / f"20200101T{number:012}-000001.eml").write_bytes(b"Subject: old\r\n\r\n")
    mailbox.send(mail("the newest"))
    page = mailbox.page.get("/").text
    assert page.count('href="/mails/') + page.count('href="/texts/') == 200
    assert "the newest" in page.split("</a>")[0]
