"""The key that codes and links are made with."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from waypost.config.secret_key import secret_key
from waypost.config.settings import Settings


def test_a_key_is_made_once_and_kept(tmp_path):
    settings = Settings(home=tmp_path)
    assert secret_key(settings) == secret_key(settings)
    assert len(secret_key(settings)) >= 32


def test_two_homes_have_two_keys(tmp_path):
    assert secret_key(Settings(home=tmp_path / "a")) != secret_key(Settings(home=tmp_path / "b"))


def test_the_key_is_its_owners_alone_and_leaves_nothing_beside_it(tmp_path):
    secret_key(Settings(home=tmp_path))
    (key,) = tmp_path.iterdir()
    assert (key.name, key.stat().st_mode & 0o777) == ("secret.key", 0o600)


def test_a_key_from_the_settings_is_used_and_nothing_is_written(tmp_path):
    assert secret_key(Settings(home=tmp_path / "home", secret_key="hunter2" * 4)) == b"hunter2" * 4
    assert not (tmp_path / "home").exists()


def test_threads_that_begin_at_once_end_with_the_same_key(tmp_path):
    together = Barrier(4)

    def begin(home):
        together.wait()
        return secret_key(Settings(home=home))

    with ThreadPoolExecutor(4) as threads:
        for time in range(30):
            home = tmp_path / str(time)
            assert set(threads.map(begin, [home] * 4)) == {secret_key(Settings(home=home))}
