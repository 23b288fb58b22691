"""Where the blobs of a record live: short enough for S3, and no record's place within another's."""

from itertools import pairwise, permutations

import pytest

from ai_coordination_engine.store.records import write_tokens
from ai_coordination_engine.store.records.blob_places import blob_prefix
from ai_coordination_engine.store.records.entities import ENTITIES, Entity

LONGEST = ["x" * 256, "%" * 256, "😀" * 64, "ß" * 128, "/" * 256]
TENANT = "😀" * 128 + "#" + "😀" * 128
# the longest attribute, and the hash of what it holds
NAME = "coordination_description/" + "0" * 64


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.name)
@pytest.mark.parametrize("uuid", LONGEST, ids=lambda uuid: uuid[0])
def test_a_key_has_at_most_what_s3_allows(entity: Entity, uuid: str) -> None:
    assert (
        len((blob_prefix(entity, TENANT, (uuid, uuid), write_tokens.new_nonce()) + NAME).encode())
        <= 1024
    )


def test_no_place_lies_within_another() -> None:
    ids = [
        "a",
        "a/b",
        "b",
        "=",
        "~",
        "..",
        "",
        "x" * 199,
        "x" * 200,
        "x" * 256,
        "y" * 256,
        "😀" * 64,
        "a+0f",
    ]
    ids += [
        place.strip("/")
        for place in blob_prefix(ENTITIES[0], "x" * 256, ("y" * 256, "a"), "0f").split("/")
    ]
    keys = [
        (entity, tenant, (one, two), nonce)
        for entity in ENTITIES[:2]
        for tenant in ids
        for one, two in permutations(ids, 2)
        for nonce in (None, "0f")
    ]
    places = sorted({blob_prefix(*key) for key in keys})
    assert len(places) == len({(entity.name, *key) for entity, *key in keys})
    assert not any(after.startswith(before) for before, after in pairwise(places))
