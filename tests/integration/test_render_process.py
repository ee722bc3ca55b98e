"""The process that renders for a worker: what it makes, and what becomes of its work when it fails."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from support.templates import mjml

from waypost import Category, Facts, NotificationType
from waypost.channels.memory import MemoryChannel
from waypost.config.settings import Settings
from waypost.delivery.batch_rendering import RenderingHere, RenderJob
from waypost.delivery.runtime import Runtime
from waypost.deployments.render_process import link, render_process
from waypost.deployments.render_process.render_process import (
    LEAST,
    STARTS_AT,
    RenderProcess,
    rendering_in_another_process,
)
from waypost.flows.order_confirmation import TYPE as ORDER
from waypost.ledger import open_ledger
from waypost.mail.attachment import Attachment
from waypost.model.brand import BrandTerms
from waypost.model.mail_links import MailLinks
from waypost.model.notification import Notification, ResolvedRecipient
from waypost.rendering import live_templates
from waypost.rendering.samples import sample_of
from waypost.system.clock import now
from waypost.system.ids import new_id

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="Linux only")]

MANY = LEAST + 20
BOMB = """
import os
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from prefect import State, flow
from pydantic import field_validator

from waypost import Category, Facts, NotificationType, Report, Request
from waypost.tasks import deliver, fallback, lookup, render, report

KEPT = []


class BombFacts(Facts):
    does: str

    @field_validator("does")
    @classmethod
    def _does(cls, does: str) -> str:
        if does == "ends":
            os._exit(3)
        if does == "hangs":
            time.sleep(60)
        if does == "grows":
            KEPT.append(os.urandom(1 << 20) * 30)
        if does == "bursts":
            KEPT.append(bytearray(1 << 31))
        return does


TYPE = NotificationType(
    name="bomb",
    facts=BombFacts,
    category=Category.TRANSACTIONAL,
    route=("email",),
    deadline=timedelta(days=1),
)


@flow(name=TYPE.name)
async def bomb(requests: list[Request[BombFacts]] = [], batch: UUID | None = None) -> State[Report]:
    notifications = await lookup(TYPE, requests, batch)
    return await report(await fallback(await deliver(await render(notifications))))
"""


class BombFacts(Facts):
    """The same, without what would end this process."""

    does: str


TYPE = NotificationType(
    name="bomb",
    facts=BombFacts,
    category=Category.TRANSACTIONAL,
    route=("email",),
    deadline=timedelta(days=1),
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a type whose facts end, hang or fill the process that reads them."""
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "bomb.py").write_text(BOMB)
    folder = tmp_path / "templates" / "bomb"
    folder.mkdir(parents=True)
    parts = {"subject.txt": "{{ does }}", "body.txt": "x", "short.txt": "x", "body.mjml": mjml("x")}
    for name, text in parts.items():
        (folder / name).write_text(text)
    monkeypatch.setenv("WAYPOST_PROJECT", str(tmp_path))
    return tmp_path


@asynccontextmanager
async def opened(tmp_path, **settings):
    """A runtime, and a process that renders for it."""
    found = Settings(home=tmp_path / "home", sender="Shop <s@a.example>", **settings)
    runtime = Runtime(found, open_ledger(found.ledger_url, found.lease), [MemoryChannel(kind="email")])
    process = RenderProcess(found, runtime.rendering, runtime.renderer, runtime.templates.faults, now())
    try:
        yield process, runtime
    finally:
        await process.close()
        await runtime.close()


@pytest.fixture
async def process(tmp_path, project):
    async with opened(tmp_path) as (found, _):
        yield found


def job(type, facts, locale="en", **more):
    moment = now()
    person = ResolvedRecipient("ada", "ada@a.example", None, "Ada", locale, "UTC")
    accepted = {"accepted_at": moment, "expires_at": moment + timedelta(hours=1)}
    return RenderJob(
        Notification(new_id(), type.name, type.lane, person, facts, 1, **accepted, **more.pop("of", {})),
        **more,
    )


def bombs(*does, count=MANY):
    return [job(TYPE, {"does": one}) for one in (*does, *["nothing"] * (count - len(does)))]


async def ready(process, type, jobs):
    """Until the process takes work: earlier batches are rendered here."""
    async with asyncio.timeout(60):
        while process.pid is None:
            await process.render(type, [jobs[number % len(jobs)] for number in range(STARTS_AT)])
            await asyncio.sleep(0.05)
    return process.pid


def subjects(made):
    return [one.messages["email"].title if one.messages else one for one in made]


def undated(one):
    mails = [
        (
            kind,
            re.sub(rb"\r\nDate: [^\r]*", b"", mail.content),
            mail.title,
            mail.address,
            mail.private,
            mail.sender,
        )
        for kind, mail in one.messages.items()
    ]
    return mails, one.error, one.deferred_until, one.template_version


async def test_it_makes_the_same_mails_as_the_worker(tmp_path):
    brands = {"harbour": BrandTerms(sender="Harbour <h@b.example>")}
    async with opened(tmp_path, brands=brands) as (process, runtime):
        facts = sample_of(ORDER.name, runtime.settings.template_folders, "s@a.example").facts
        of_all = [
            job(ORDER, facts, locale, of={"brand": brand})
            for locale in ("en", "de", "fr", "es", "pt", "zh")
            for brand in ("default", "harbour")
        ]
        jobs = [
            *(of_all * (MANY // len(of_all))),
            job(ORDER, facts, files=[Attachment("a.txt", b"words")]),
            job(ORDER, facts, links=MailLinks("https://a.example/u/T", "https://a.example/p/T")),
            job(ORDER, {**facts, "order_id": 7}),
            job(ORDER, {**facts, "newer": True}),
            job(ORDER, facts, of={"brand": "nobody"}),
        ]
        here = await RenderingHere(runtime.renderer).render(ORDER, jobs)
        await ready(process, ORDER, jobs)
        for one, other in zip(here, await process.render(ORDER, jobs), strict=True):
            assert one.notification is other.notification
            assert undated(one) == undated(other)
        assert b"<https://a.example/u/T>" in here[-4].messages["email"].content
        assert here[-3].error
        assert here[-2].deferred_until
        assert here[-1].deferred_until


async def test_a_process_that_starts_after_a_faulty_edit_leaves_the_type_to_the_worker(
    tmp_path, project, monkeypatch
):
    monkeypatch.setattr(render_process, "REST_SECONDS", 1.0)
    monkeypatch.setattr(live_templates, "LOOKS_EVERY", 0.0)
    subject = project / "templates" / "bomb" / "subject.txt"
    async with opened(tmp_path) as (process, runtime):
        await process.render(TYPE, bombs(count=3))
        subject.write_text("{% if %}")
        for _ in range(2):
            await ready(process, TYPE, bombs())
            assert subjects(await process.render(TYPE, bombs())) == ["nothing"] * MANY
        assert "subject.txt, line 1" in runtime.templates.faults["bomb"]
        subject.write_text("{{ does }}!")
        await asyncio.sleep(1.1)
        assert subjects(await process.render(TYPE, bombs())) == ["nothing!"] * MANY
        assert runtime.templates.faults == {}


async def test_what_cannot_be_pickled_is_rendered_here(process):
    class Code(str):
        __slots__ = ()

    jobs = [job(TYPE, {"does": "nothing"}, private={"code": Code("123456")}) for _ in range(MANY)]
    await ready(process, TYPE, bombs())
    assert subjects(await process.render(TYPE, jobs)) == ["nothing"] * MANY


async def test_a_process_that_is_killed_at_work_costs_nothing(process):
    pid = await ready(process, TYPE, bombs())
    working = asyncio.create_task(process.render(TYPE, bombs(count=2000)))
    await asyncio.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    assert subjects(await working) == ["nothing"] * 2000
    assert await ready(process, TYPE, bombs()) != pid


@pytest.mark.long
async def test_a_process_that_stands_still_is_replaced(process, monkeypatch):
    monkeypatch.setattr(link, "HANGS_AFTER", 0.5)
    pid = await ready(process, TYPE, bombs())
    os.kill(pid, signal.SIGSTOP)
    assert subjects(await process.render(TYPE, bombs())) == ["nothing"] * MANY
    assert process.pid != pid


@pytest.mark.parametrize("does", ["ends", pytest.param("hangs", marks=pytest.mark.long)])
async def test_the_notification_that_ends_the_process_is_put_off_and_no_other(process, monkeypatch, does):
    monkeypatch.setattr(link, "HANGS_AFTER", 2.0)
    await ready(process, TYPE, bombs())
    first, *others = await process.render(TYPE, bombs(does))
    assert first.deferred_until == "rendering it ended its process (see the log)"
    assert subjects(others) == ["nothing"] * (MANY - 1)


@pytest.mark.long
async def test_a_process_that_grows_retires_after_its_work(process):
    pid = await ready(process, TYPE, bombs())
    assert subjects(await process.render(TYPE, bombs(*["grows"] * 12)))[:12] == ["grows"] * 12
    for _ in range(3):
        assert subjects(await process.render(TYPE, bombs())) == ["nothing"] * MANY
    assert await ready(process, TYPE, bombs()) != pid


async def test_a_notification_that_needs_too_much_memory_fails_alone(process):
    pid = await ready(process, TYPE, bombs())
    first, *others = await process.render(TYPE, bombs("bursts"))
    assert "MemoryError" in first.error
    assert subjects(others) == ["nothing"] * (MANY - 1)
    assert process.pid == pid


@pytest.mark.long
async def test_a_process_that_would_know_newer_types_is_not_used(process, project):
    later = time.time() + 5
    os.utime(project / "flows" / "bomb.py", (later, later))
    for _ in range(40):
        assert subjects(await process.render(TYPE, bombs(count=STARTS_AT))) == ["nothing"] * STARTS_AT
        await asyncio.sleep(0.05)
    assert process.pid is None


async def test_few_start_no_process(process):
    await process.render(TYPE, bombs(count=STARTS_AT - 1))
    await asyncio.sleep(0.2)
    assert process.pid is None


async def test_with_one_processor_all_are_rendered_here(process, tmp_path, project):
    before = os.sched_getaffinity(0)
    async with opened(tmp_path / "other") as (_, runtime):
        os.sched_setaffinity(0, {min(before)})
        try:
            async with rendering_in_another_process(runtime, now()):
                assert isinstance(runtime.rendering, RenderingHere)
        finally:
            os.sched_setaffinity(0, before)
        if len(before) > 1:
            async with rendering_in_another_process(runtime, now()):
                assert isinstance(runtime.rendering, RenderProcess)


@pytest.mark.long
async def test_it_ends_with_a_worker_that_is_killed(project, tmp_path):
    program = (
        "import asyncio, time\n"
        "from waypost.config.settings import Settings\n"
        "from waypost.deployments.render_process.frames import Start\n"
        "from waypost.deployments.render_process.link import Link\n"
        "from waypost.system.clock import now\n"
        "async def main():\n"
        "    found = await Link.start(Start(Settings(), now(), 'bomb'))\n"
        "    print(found.pid, flush=True)\n"
        "    time.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    given = {**os.environ, "WAYPOST_HOME": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=given) as worker:
        pid = int(await asyncio.to_thread(worker.stdout.readline))
        worker.kill()
    async with asyncio.timeout(20):
        while is_running(pid):
            await asyncio.sleep(0.05)


def is_running(pid):
    """A process that has ended and that nobody has waited for has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False
