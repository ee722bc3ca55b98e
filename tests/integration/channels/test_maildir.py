"""A Maildir on a real disk, and what a disk may do."""

import asyncio
import errno
import mailbox
import os
import stat
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from waypost.channels.channel import ChannelUnavailable
from waypost.channels.maildir import folder as maildir_folder
from waypost.channels.maildir.channel import MaildirChannel
from waypost.model.outcome import Phase, Verdict

pytestmark = pytest.mark.anyio
NOBODY = 65534


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "mails"


@pytest.fixture
async def channel(folder):
    channel = MaildirChannel("maildir", folder, attempt_seconds=5)
    yield channel
    await channel.close()


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def fails(monkeypatch, name, number, when=lambda *_: True):
    """From now on the system call `name` fails with `number` when its arguments are such."""
    usual = getattr(os, name)

    def call(*arguments, **named):
        if when(*arguments):
            raise OSError(number, os.strerror(number), str(arguments[0]))
        return usual(*arguments, **named)

    monkeypatch.setattr(maildir_folder.os, name, call)


def is_folder(descriptor):
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


async def test_a_mail_reader_finds_it_unread(channel, folder, write):
    await channel.send(write("Grüße"))
    (found,) = mailbox.Maildir(folder, create=False)
    assert (found.get_subdir(), found["Subject"], found.get_payload(decode=True)) == (
        "new",
        "5",
        "Grüße\n".encode(),
    )


async def test_its_lines_end_as_every_files_do(channel, folder, write):
    await channel.send(write("one"))
    (name,) = files(folder)
    assert (folder / name).read_bytes() == b"Subject: 3\n\none\n"


async def test_nobody_else_may_read_it(channel, folder, write):
    await channel.send(write())
    modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert modes == {True: 0o700, False: 0o600}


async def test_the_file_is_named_after_the_notification_and_nothing_is_left_beside(channel, folder, write):
    message = write()
    await channel.send(message)
    (name,) = files(folder)
    assert name.startswith("new/")
    assert str(message.notification.id) in name
    assert not set(name.removeprefix("new/")) & set("/:")


async def test_the_same_notification_offered_twice_shows(channel, folder, write):
    message = write()
    for _ in range(2):
        assert (await channel.send(message)).verdict is Verdict.ACCEPTED
    assert [str(message.notification.id) in name for name in files(folder)] == [True, True]


@pytest.mark.parametrize("read", [False, True])
async def test_one_in_doubt_that_is_there_is_not_written_again(channel, folder, write, read):
    message = write()
    await channel.send(message)
    if read:
        (name,) = os.listdir(folder / "new")
        (folder / "new" / name).rename(folder / "cur" / f"{name}:2,S")
    again = replace(message, notification=replace(message.notification, in_doubt=1))
    assert (await channel.send(again)).verdict is Verdict.ACCEPTED
    assert len(files(folder)) == 1


async def test_one_in_doubt_that_is_not_there_is_written(channel, folder, write):
    message = write()
    await channel.send(replace(message, notification=replace(message.notification, in_doubt=1)))
    assert len(files(folder)) == 1


@pytest.mark.parametrize(
    ("call", "number", "verdict"),
    [
        ("open", errno.ENOSPC, Verdict.DEFERRED),
        ("open", errno.EMFILE, Verdict.DEFERRED),
        ("fsync", errno.ENOSPC, Verdict.DEFERRED),
        ("fsync", errno.EDQUOT, Verdict.DEFERRED),
        ("fsync", errno.EIO, Verdict.DEFERRED),
        ("fsync", errno.EFBIG, Verdict.REFUSED),
        ("rename", errno.ENOSPC, Verdict.DEFERRED),
        ("rename", errno.EIO, Verdict.DEFERRED),
    ],
)
async def test_what_fails_before_it_is_moved_in_took_nothing(
    channel, folder, write, monkeypatch, call, number, verdict
):
    await channel.open()
    fails(monkeypatch, call, number)
    outcome = await channel.send(write())
    assert (outcome.verdict, outcome.phase, outcome.words) == (verdict, Phase.DATA, os.strerror(number))
    assert files(folder) == []


@pytest.mark.parametrize(
    ("call", "number"), [("open", errno.EROFS), ("open", errno.EACCES), ("rename", errno.ENOENT)]
)
async def test_a_folder_that_cannot_be_written_to_is_unavailable(
    channel, folder, write, monkeypatch, call, number
):
    await channel.open()
    fails(monkeypatch, call, number)
    with pytest.raises(ChannelUnavailable, match=os.strerror(number)) as down:
        await channel.send(write())
    assert "mails" not in str(down.value)
    assert files(folder) == []


async def test_a_folder_that_may_not_have_reached_the_disk_is_unknown(channel, folder, write, monkeypatch):
    await channel.open()
    fails(monkeypatch, "fsync", errno.EIO, is_folder)
    outcome = await channel.send(write())
    assert (outcome.verdict, outcome.phase, len(files(folder))) == (Verdict.UNKNOWN, Phase.DOT, 1)


async def test_a_file_system_that_syncs_no_folders_takes_mail(channel, folder, write, monkeypatch):
    await channel.open()
    fails(monkeypatch, "fsync", errno.EINVAL, is_folder)
    assert (await channel.send(write())).verdict is Verdict.ACCEPTED


async def test_a_move_that_was_made_and_reported_as_failed_is_unknown(channel, folder, write, monkeypatch):
    await channel.open()
    rename = os.rename

    def moved_but(*paths):
        rename(*paths)
        raise OSError(errno.ETIMEDOUT, "timed out")

    monkeypatch.setattr(maildir_folder.os, "rename", moved_but)
    assert (await channel.send(write())).verdict is Verdict.UNKNOWN
    assert len(files(folder)) == 1


async def test_a_file_in_the_folders_place_is_unavailable(channel, folder, write):
    folder.write_text("")
    with pytest.raises(ChannelUnavailable, match="Not a directory"):
        await channel.open()


async def test_a_folder_that_is_missing_further_up_is_not_made(tmp_path):
    with pytest.raises(ChannelUnavailable, match="No such file") as down:
        await MaildirChannel("maildir", tmp_path / "hunter2" / "mails").open()
    assert "hunter2" not in str(down.value)
    assert not list(tmp_path.glob("hunter2"))


@pytest.fixture
def not_root():
    """A folder of a user's own. Root, who may write everywhere, is that user for the length of the test."""
    with tempfile.TemporaryDirectory() as folder:
        user = os.geteuid() or NOBODY
        os.chown(folder, user, -1)
        with as_user(user):
            yield Path(folder)


@contextmanager
def as_user(user):
    before = os.getresuid()
    os.setresuid(user, user, -1)  # os.access() goes by the real user
    try:
        yield
    finally:
        os.setresuid(*before)


async def test_a_folder_without_permission_is_unavailable(not_root):
    channel = MaildirChannel("maildir", not_root / "mails", attempt_seconds=5)
    await channel.open()
    (not_root / "mails" / "new").chmod(0o500)
    with pytest.raises(ChannelUnavailable, match="no permission"):
        await channel.open()
    await channel.close()


@pytest.fixture
def hangs(monkeypatch):
    """Make a system call wait until it is told to go on."""
    goes_on = threading.Event()

    def make(name):
        usual, reached = getattr(os, name), threading.Event()

        def wait(*arguments):
            reached.set()
            goes_on.wait(5)
            return usual(*arguments)

        monkeypatch.setattr(maildir_folder.os, name, wait)
        return reached

    yield make, goes_on
    goes_on.set()


async def settled(channel):
    """Every thread of the channel is through."""
    await asyncio.to_thread(channel._threads.shutdown)


@pytest.mark.parametrize(
    ("call", "verdict", "phase", "kept"),
    [("fsync", Verdict.DEFERRED, Phase.DATA, 0), ("rename", Verdict.UNKNOWN, Phase.DOT, 1)],
)
async def test_a_disk_that_hangs_is_waited_for_so_long(folder, write, hangs, call, verdict, phase, kept):
    channel = MaildirChannel("maildir", folder, attempt_seconds=0.1)
    await channel.open()
    hang, goes_on = hangs
    hang(call)
    outcome = await channel.send(write())
    goes_on.set()
    await settled(channel)
    assert (outcome.verdict, outcome.phase, outcome.words) == (verdict, phase, "not written within 0.1 s")
    assert len(files(folder)) == kept  # what was called deferred never comes after all


async def test_one_in_doubt_that_is_there_stays_in_doubt_while_the_disk_hangs(folder, write, hangs):
    channel = MaildirChannel("maildir", folder, attempt_seconds=0.1)
    message = write()
    await channel.send(message)
    hang, _ = hangs
    hang("fsync")
    again = replace(message, notification=replace(message.notification, in_doubt=1))
    assert (await channel.send(again)).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("ended", ["cut short", "cancelled"])
async def test_what_is_stopped_before_it_is_moved_in_never_is(channel, folder, write, hangs, ended):
    await channel.open()
    hang, goes_on = hangs
    reached = hang("fsync")
    sending = asyncio.create_task(channel.send(write()))
    await asyncio.to_thread(reached.wait, 5)
    if ended == "cancelled":
        sending.cancel()
    else:
        channel.cancel_sends([sending])
    (outcome,) = await asyncio.gather(sending, return_exceptions=True)
    goes_on.set()
    await settled(channel)
    assert ended == "cancelled" or (outcome.verdict, outcome.words) == (Verdict.DEFERRED, "stopped")
    assert files(folder) == []


async def test_the_loop_goes_on_while_the_disk_does_not(channel, write, hangs):
    await channel.open()
    hang, goes_on = hangs
    hang("fsync")
    sending = asyncio.create_task(channel.send(write()))
    await asyncio.sleep(0.05)
    assert not sending.done()
    goes_on.set()
    assert (await sending).verdict is Verdict.ACCEPTED
