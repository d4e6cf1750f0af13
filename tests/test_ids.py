"""engine.ids"""

import uuid

from engine.ids import new_call_sid, new_dial_id


def test_a_call_sid_is_a_version_4_uuid_in_canonical_form() -> None:
    for _ in range(200):
        sid = new_call_sid()
        parsed = uuid.UUID(sid)
        assert str(parsed) == sid
        assert parsed.version == 4
        assert parsed.variant == uuid.RFC_4122


def test_ids_do_not_repeat() -> None:
    assert len({new_dial_id() for _ in range(1000)}) == 1000
