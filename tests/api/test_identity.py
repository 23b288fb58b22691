import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_coordination_engine.api.identity import (
    claimed_grants,
    granted_tenant,
    local_tenant,
    principal_grants,
    tenant_of,
)
from ai_coordination_engine.errors import BadUserInput, Forbidden


@pytest.mark.parametrize(
    ("endpoint_id", "part_id", "tenant"),
    [
        ("acme", None, "acme"),
        ("acme", "eu", "acme#eu"),
        ("größe-1", "x" * 128, "größe-1#" + "x" * 128),
    ],
)
def test_a_tenant_is_the_endpoint_and_the_part(
    endpoint_id: str, part_id: str | None, tenant: str
) -> None:
    assert tenant_of(endpoint_id, part_id) == tenant


SPACES = [
    " ",
    "a b",
    " a",
    "a ",
    "a\tb",
    "a\u00a0b",
    "a\u3000b",
    "a\u2028b",
    "a\u200bb",
    "a\u2066b",
    "\ufeffa",
    "a\U000e0001",
]


@pytest.mark.parametrize(
    "ill_formed",
    ["", "a#b", "#", "*", "a\nb", "a\x00", "\x7f", "a\u202eb", "\ud800", "x" * 129, *SPACES],
)
def test_an_ill_formed_id_is_bad_user_input_in_either_place(ill_formed: str) -> None:
    with pytest.raises(BadUserInput):
        tenant_of(ill_formed)
    with pytest.raises(BadUserInput):
        tenant_of("acme", ill_formed)


@pytest.mark.parametrize("not_text", [None, 7, ["acme"], {}])
def test_an_endpoint_id_that_is_no_text_is_bad_user_input(not_text: str) -> None:
    with pytest.raises(BadUserInput):
        tenant_of(not_text)


ids = st.text(max_size=6) | st.text("ab#", max_size=4)


@given(st.tuples(ids, st.none() | ids), st.tuples(ids, st.none() | ids))
def test_two_pairs_of_ids_are_never_one_tenant(
    one: tuple[str, str | None], other: tuple[str, str | None]
) -> None:
    try:
        tenants = {tenant_of(*one), tenant_of(*other)}
    except BadUserInput:
        return
    assert (len(tenants) == 1) == (one == other)


@pytest.mark.parametrize(
    ("grants", "endpoint_id", "part_id", "tenant"),
    [
        (["acme"], "acme", None, "acme"),
        (["acme#eu"], "acme", "eu", "acme#eu"),
        (["acme#*"], "acme", "us", "acme#us"),
        (["acme#*"], "acme", None, "acme"),
        (["acme", "other"], "other", None, "other"),
        (["acme"], None, None, "acme"),
        (["acme", "acme"], None, None, "acme"),
        (["acme#eu"], None, None, "acme#eu"),
        (["acme", "other#*"], None, None, "acme"),
        (["acme#*"], None, "eu", "acme#eu"),
        (["acme#eu", "acme#us"], None, "us", "acme#us"),
    ],
)
def test_a_granted_tenant_is_taken(
    grants: list[str], endpoint_id: str | None, part_id: str | None, tenant: str
) -> None:
    assert granted_tenant(grants, endpoint_id, part_id) == tenant


@pytest.mark.parametrize(
    ("grants", "endpoint_id", "part_id"),
    [
        ([], None, None),
        ([], "acme", None),
        (["acme"], "other", None),
        (["acme"], "acme", "eu"),
        (["acme#eu"], "acme", None),
        (["acme#eu"], "acme", "us"),
        (["acme#*"], "acme2", None),
        (["acme#*"], None, None),
        (["acme", "other"], None, None),
        (["acme", "other"], None, "eu"),
        (["*"], "acme", None),
        (["*#*"], "acme", None),
        (["a#b#c"], None, None),
        (["acme#"], "acme", None),
        ([""], None, None),
        (["ACME"], "acme", None),
        (["acme "], "acme", None),
        (["ac me"], None, None),
    ],
)
def test_a_tenant_outside_the_grants_is_forbidden(
    grants: list[str], endpoint_id: str | None, part_id: str | None
) -> None:
    with pytest.raises(Forbidden):
        granted_tenant(grants, endpoint_id, part_id)


def test_a_request_that_leaves_a_choice_is_told_to_name_the_tenant() -> None:
    with pytest.raises(Forbidden, match=r"^name the tenant"):
        granted_tenant(["acme", "other"], None, None)


@pytest.mark.parametrize("ill_formed", ["*", "eu#x", ""])
def test_an_ill_formed_request_is_bad_user_input_whatever_the_grants(ill_formed: str) -> None:
    with pytest.raises(BadUserInput):
        granted_tenant(["acme#*"], "acme", ill_formed)


@pytest.mark.parametrize(
    ("claim", "grants"),
    [
        ("acme", ["acme"]),
        ("acme#eu other", ["acme#eu", "other"]),
        ("acme, other", ["acme", "other"]),
        ("[acme other#*]", ["acme", "other#*"]),
        ('["acme", "other eu"]', ["acme", "other eu"]),
        (["acme", "other eu", 7, None, ""], ["acme", "other eu"]),
        ("", []),
        ("[]", []),
        (None, []),
        (7, []),
        (True, []),
        ({"acme": True}, []),
        ("[" * 5_000 + "]" * 5_000, ["[" * 4_999 + "]" * 4_999]),
    ],
)
def test_a_claim_is_text_or_a_list(claim: object, grants: list[str]) -> None:
    assert claimed_grants(claim) == grants


IAM_TENANTS = {
    "arn:aws:iam::111122223333:role/service/Orders": ["acme"],
    "arn:aws:iam::111122223333:user/ann": ["other#*"],
    "arn:aws:sts::111122223333:assumed-role/Staff/ann@example.com": ["staff"],
    "arn:aws:sts::111122223333:assumed-role/Orders/night": ["night"],
    "arn:aws:sts::111122223333:federated-user/bob": ["guest"],
    "arn:aws:iam::111122223333:root": ["all"],
}


@pytest.mark.parametrize(
    ("principal", "grants"),
    [
        ("arn:aws:sts::111122223333:assumed-role/Orders/session-1", ["acme"]),
        ("arn:aws:iam::111122223333:role/service/Orders", ["acme"]),
        ("arn:aws:iam::111122223333:user/ann", ["other#*"]),
        ("arn:aws:sts::999999999999:assumed-role/Orders/session-1", []),
        ("arn:aws-cn:sts::111122223333:assumed-role/Orders/session-1", []),
        ("arn:aws:sts::111122223333:assumed-role/orders/Orders", []),
        ("arn:aws:sts::111122223333:federated-user/ann", []),
        ("arn:aws:sts::111122223333:federated-user/bob", ["guest"]),
        ("arn:aws:iam::111122223333:root", ["all"]),
        ("arn:aws:sts::111122223333:assumed-role/Orders/night", ["acme", "night"]),
        ("arn:aws:sts::111122223333:assumed-role/Staff/ann@example.com", ["staff"]),
        ("arn:aws:sts::111122223333:assumed-role/Staff/Ann@example.com", []),
        ("arn:aws:sts::111122223333:assumed-role/Staff/ann@example.com/x", []),
        ("arn:aws:sts::111122223333:assumed-role/Staff/bob@example.com", []),
        ("arn:aws:iam::111122223333:role/Staff", []),
        ("arn:aws:iam::111122223333:role/other/path/Orders", ["acme"]),
        ("arn:aws:sts::111122223333:assumed-role/Orders/session-1\n", []),
        ("", []),
    ],
)
def test_a_principal_has_the_grants_of_its_role(principal: str, grants: list[str]) -> None:
    assert principal_grants(principal, IAM_TENANTS) == grants


def test_locally_path_and_header_are_believed() -> None:
    assert local_tenant(None, None) == "local"
    assert local_tenant(None, "eu") == "local#eu"
    assert local_tenant("acme", "eu") == "acme#eu"
    with pytest.raises(BadUserInput):
        local_tenant("", None)
