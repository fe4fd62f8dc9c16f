"""The store of packages on a real disk: what it keeps, what it removes, and what it never does."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from tasks.store import IN_USE_S, Known, Store

DAY_S = 86_400.0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, max_bytes=2500, max_age_s=DAY_S)


def put(store: Store, number: int, *, unused_s: float = 0.0) -> Path:
    """Store a thousand bytes that were last used so long ago."""
    body = bytes([number]) * 1000
    part = store.address(f"http://host/{number}").part
    part.write_bytes(body)
    path = store.put(part, hashlib.sha256(body).hexdigest())
    return aged(path, unused_s)


def aged(path: Path, unused_s: float) -> Path:
    then = time.time() - unused_s
    os.utime(path, (then, then))
    return path


def test_what_was_stored_is_found_by_its_content(store: Store) -> None:
    path = put(store, 1)

    assert store.take(path.name) == path
    assert store.is_intact(path.name)
    assert store.take("0" * 64) is None


def test_old_content_goes_and_content_that_was_used_since_stays(store: Store) -> None:
    old, used = put(store, 1, unused_s=2 * DAY_S), put(store, 2, unused_s=2 * DAY_S)
    assert store.take(used.name) == used

    store.prune()

    assert (old.exists(), used.exists()) == (False, True)


def test_beyond_the_size_the_longest_unused_goes_first(store: Store) -> None:
    paths = [put(store, number, unused_s=IN_USE_S + 100 * number) for number in range(1, 5)]

    store.prune()

    assert [path.exists() for path in paths] == [True, True, False, False]


def test_what_is_in_use_is_never_removed_however_much_it_is(store: Store) -> None:
    paths = [put(store, number) for number in range(1, 6)]
    for path in paths:
        aged(path, IN_USE_S + 60)
        store.use(path.name, "")

    assert store.prune() == []
    assert all(path.exists() for path in paths)


def test_unpacked_folders_and_broken_downloads_are_pruned_alike(store: Store) -> None:
    folders = [store.unpacked / name for name in ("a", "b", ".unpack-left-by-a-crash")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "m.pt").write_bytes(bytes(100))
        aged(folder, 2 * DAY_S)
    address = store.address("http://host/broken")
    address.part.write_bytes(b"half")
    aged(address.part, 2 * DAY_S)
    store.use("", "b")

    store.prune()

    assert [folder.exists() for folder in folders] == [False, True, False]
    assert not address.part.exists()


def test_what_a_crash_left_between_two_steps_of_removing_goes_next_time(store: Store) -> None:
    left = put(store, 1)
    gone = aged(left.rename(left.with_name(f".gone-{left.name}")), 2 * DAY_S)

    store.prune()

    assert not gone.exists()


def test_pruning_waits_for_nobody(store: Store, tmp_path: Path) -> None:
    old = put(store, 1, unused_s=2 * DAY_S)

    with FileLock(tmp_path / "lock"):
        assert store.prune() == []

    assert old.exists()


def test_a_damaged_record_of_an_address_counts_as_none(store: Store) -> None:
    address = store.address("http://user:secret@host/m.mpta")
    address.note(Known(content="ab", etag='"1"'))
    assert address.known()[0] == Known(content="ab", etag='"1"')

    address.stem.with_suffix(".json").write_bytes(b'{"content": ')

    assert address.known()[0] is None
    assert "secret" not in str(address.stem)


HOLD = """
import sys
from pathlib import Path
from tasks.store import Store
with Store(Path(sys.argv[1]), max_bytes=1, max_age_s=1).address("http://host/m").locked(1):
    print("mine", flush=True)
    sys.stdin.readline()
"""


def test_the_lock_of_a_killed_process_is_free(store: Store, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=-1, stdout=-1) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        with pytest.raises(TimeoutError), store.address("http://host/m").locked(0.1):
            pass

        other.kill()
        other.wait()

        with store.address("http://host/m").locked(5):
            pass
