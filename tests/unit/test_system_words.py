"""What the system says of an error, and how a process ended, in words."""

from __future__ import annotations

import signal
import socket
import subprocess

import pytest

from waypost.system.child_process import ending
from waypost.system.os_errors import words_of


def test_a_port_in_use_is_told_without_what_python_adds():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match=r".") as error:
        socket.create_server(("127.0.0.1", taken.getsockname()[1]))
    assert words_of(error.value) == "Address already in use"


def test_a_host_without_an_address_is_told_in_the_resolvers_words():
    with pytest.raises(OSError, match=r".") as error:
        socket.getaddrinfo("nothing.invalid", 1)
    assert words_of(error.value) == error.value.strerror


def test_an_end_by_a_signal_has_its_name():
    child = subprocess.Popen(["sleep", "60"])
    child.send_signal(signal.SIGTERM)
    assert ending(child.wait()) == "was ended by SIGTERM"
    assert ending(3) == "ended with status 3"
    assert ending(-200) == "was ended by signal 200"
