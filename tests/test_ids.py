"""engine.ids"""

import os
import uuid

from engine.ids import new_call_sid, new_dial_id, random_bytes


def test_a_call_sid_is_a_version_4_uuid_in_canonical_form() -> None:
    for _ in range(200):
        sid = new_call_sid()
        parsed = uuid.UUID(sid)
        assert str(parsed) == sid
        assert parsed.version == 4
        assert parsed.variant == uuid.RFC_4122


def test_ids_do_not_repeat() -> None:
    assert len({new_dial_id() for _ in range(1000)}) == 1000


def test_random_bytes_of_any_size_never_repeat() -> None:
    drawn = [random_bytes(9) for _ in range(2000)]
    assert {len(piece) for piece in drawn} == {9}
    assert len(set(drawn)) == len(drawn)
    assert len(random_bytes(10_000)) == 10_000
    assert random_bytes(0) == b""


def test_a_forked_child_draws_other_random_bytes_than_its_parent() -> None:
    random_bytes(1)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, random_bytes(16))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    told = os.read(reading, 16)
    os.close(reading)
    os.close(writing)
    assert len(told) == 16
    assert told != random_bytes(16)
