# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets are given or made once, kept for ever, and never made anew where data exists."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.fingerprints import fingerprint
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.plan import execute
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import NAMES, OtherHosts, SecretsEngine, read_secrets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

GIVEN = {name: f"value-of-{name}" for name in NAMES}


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "secrets.json"


def run(path: Path, given_secrets: Mapping[str, Any], check_mode: bool = False, data: Optional[Path] = None) -> dict[str, Any]:
    return execute(SecretsEngine(str(path), given_secrets, [str(data)] if data else []), check_mode)


def held(path: Path) -> dict[str, str]:
    return json.loads(path.read_text())


def full_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "storage"
    folder.mkdir()
    (folder / "file").write_text("data")
    return folder


def test_a_new_stack_gets_secrets_of_its_own(path: Path) -> None:
    result = run(path, {})
    values = held(path)
    assert values.keys() == set(NAMES)
    assert len(set(values.values())) == len(NAMES)
    assert min(len(value) for value in values.values()) >= 43
    assert (result["changed"], result["path"]) == (True, str(path))


def test_what_was_made_is_never_made_again(path: Path) -> None:
    run(path, {})
    first = path.read_bytes()
    assert run(path, {})["changed"] is False
    assert path.read_bytes() == first


def test_two_stacks_share_no_secret(tmp_path: Path) -> None:
    run(tmp_path / "a", {})
    run(tmp_path / "b", {})
    assert not set(held(tmp_path / "a").values()) & set(held(tmp_path / "b").values())


def test_the_file_is_roots_alone(path: Path) -> None:
    former = os.umask(0)
    try:
        run(path, {})
    finally:
        os.umask(former)
    assert path.stat().st_mode & 0o7777 == 0o600


def test_given_secrets_are_kept_and_the_rest_is_made(path: Path) -> None:
    run(path, {"jwt_secret": "mine", "redis_password": "", "mongodb_password": None})
    values = held(path)
    assert values["jwt_secret"] == "mine"
    assert all(len(values[name]) >= 43 for name in NAMES if name != "jwt_secret")
    assert run(path, {"jwt_secret": "mine"})["changed"] is False
    assert run(path, {})["changed"] is False
    assert held(path) == values


def test_check_mode_writes_nothing_and_names_what_it_would_make(path: Path) -> None:
    result = run(path, {"jwt_secret": "value-of-jwt"}, check_mode=True)
    assert not path.exists()
    (step,) = result["plan"]
    assert (step["id"], step["action"]) == (f"secrets:{path}", "create")
    assert step["after"] == {**dict.fromkeys(NAMES, "made"), "jwt_secret": "given"}


def test_a_missing_secret_of_a_known_stack_without_data_is_added(path: Path) -> None:
    path.write_text(json.dumps({name: GIVEN[name] for name in NAMES if name != "redis_password"}))
    (step,) = run(path, {})["plan"]
    assert (step["action"], step["after"]["redis_password"], step["after"]["jwt_secret"]) == ("update", "made", "kept")
    assert held(path)["jwt_secret"] == GIVEN["jwt_secret"]


def test_a_secret_that_was_emptied_by_hand_is_missing(tmp_path: Path, path: Path) -> None:
    path.write_text(json.dumps({**GIVEN, "redis_password": ""}))
    with pytest.raises(Failure, match="but redis_password of the stack that made it are not known"):
        run(path, {}, data=full_folder(tmp_path))
    assert run(path, {})["changed"] is True
    assert read_secrets(str(path))["jwt_secret"] == GIVEN["jwt_secret"]


@pytest.mark.parametrize("name", NAMES)
def test_another_value_than_the_stacks_is_refused(path: Path, name: str) -> None:
    run(path, GIVEN)
    before = path.read_bytes()
    with pytest.raises(Failure) as caught:
        run(path, {**GIVEN, name: "value-of-another"})
    assert str(caught.value).startswith(f"{name} in `toucan_secrets` differ from the ones this stack was made with ({path}); give those of this stack")
    assert "value-of" not in str(caught.value.facts())
    assert path.read_bytes() == before


def test_an_unknown_name_is_refused_with_the_known_ones(path: Path) -> None:
    with pytest.raises(Failure, match="`toucan_secrets` has no key jwt; use encryption_secret, jwt_secret, "):
        run(path, {"jwt": "x"})
    assert not path.exists()


@pytest.mark.parametrize("known", [{}, {"jwt_secret": "mine"}])
def test_data_whose_secrets_are_not_known_is_refused(tmp_path: Path, path: Path, known: dict[str, str]) -> None:
    data = full_folder(tmp_path)
    with pytest.raises(
        Failure, match=f"There is data in {data}, but .*encryption_secret.* of the stack that made it are not known; give them in `toucan_secrets`"
    ):
        run(path, known, data=data)
    assert not path.exists()


def test_data_is_taken_over_with_all_its_secrets(tmp_path: Path, path: Path) -> None:
    run(path, GIVEN, data=full_folder(tmp_path))
    assert held(path) == GIVEN


def test_an_empty_folder_or_none_is_no_data(tmp_path: Path, path: Path) -> None:
    assert run(path, {}, data=tmp_path / "not-there")["changed"] is True


def test_secrets_are_read_back_or_missed_by_name(path: Path) -> None:
    with pytest.raises(Failure, match=f"The secrets file {path} lacks encryption_secret, jwt_secret, .*; run role `toucan_stack`"):
        read_secrets(str(path))
    path.write_text(json.dumps({**GIVEN, "jwt_secret": ""}))
    with pytest.raises(Failure, match="lacks jwt_secret; run"):
        read_secrets(str(path))
    path.write_text(json.dumps(GIVEN))
    assert read_secrets(str(path)) == GIVEN


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(NAMES), st.text(min_size=1).map(lambda text: f"value-of-{text}")),
    st.dictionaries(st.sampled_from(NAMES), st.text(min_size=1).map(lambda text: f"value-of-{text}")),
)
def test_no_value_ever_shows_and_none_is_ever_replaced(path: Path, known: dict[str, str], given_secrets: dict[str, str]) -> None:
    path.write_text(json.dumps(known))
    try:
        shown = json.dumps(run(path, given_secrets))
    except Failure as failure:
        shown = json.dumps(failure.facts())
    assert "value-of" not in shown
    after = held(path)
    assert {name: after[name] for name in known} == known
    assert not any(value in shown for value in after.values())


def test_a_file_that_others_may_read_is_closed(path: Path) -> None:
    run(path, {})
    path.chmod(0o644)
    content = path.read_bytes()
    result = run(path, {}, check_mode=True)
    assert (result["changed"], result["plan"][0]["id"], path.stat().st_mode & 0o777) == (True, f"secrets.mode:{path}", 0o644)
    assert run(path, {})["changed"] is True
    assert (path.stat().st_mode & 0o777, json.loads(path.read_text())) == (0o600, json.loads(content))
    assert run(path, {})["changed"] is False


def test_what_a_database_elsewhere_was_made_with_is_never_made(path: Path) -> None:
    with pytest.raises(Failure, match="outside the stack, and encryption_secret, jwt_secret of what made it are not known; give them in `toucan_secrets`"):
        execute(SecretsEngine(str(path), {}, [], data_elsewhere=True), check_mode=False)
    assert not path.exists()
    known = {"encryption_secret": "given-encryption", "jwt_secret": "given-jwt"}
    execute(SecretsEngine(str(path), known, [], data_elsewhere=True), check_mode=False)
    assert held(path).items() >= known.items()
    assert execute(SecretsEngine(str(path), {}, [], data_elsewhere=True), check_mode=False)["changed"] is False


# -- several hosts ------------------------------------------------------------------------------------------------------


def share(path: Path, others: OtherHosts, needed: Sequence[str] = NAMES, check_mode: bool = False, **given_secrets: str) -> dict[str, Any]:
    return execute(SecretsEngine(str(path), given_secrets, [], needed=needed, others=others), check_mode)


def test_a_host_keeps_only_what_its_services_need(path: Path) -> None:
    result = share(path, OtherHosts({"back": GIVEN}, maker="back"), needed=["mongodb_password"])
    assert held(path) == {"mongodb_password": GIVEN["mongodb_password"]}
    assert result["plan"][0]["after"] == {"mongodb_password": "taken from back"}
    assert share(path, OtherHosts({"back": GIVEN}, maker="back"), needed=["mongodb_password"])["changed"] is False


def test_a_host_that_needs_none_gets_no_file(path: Path) -> None:
    assert share(path, OtherHosts({"back": GIVEN}, maker="back"), needed=[])["changed"] is False
    assert not path.exists()


def test_a_lost_file_is_put_back_from_another_host(path: Path) -> None:
    result = share(path, OtherHosts({"back2": GIVEN}, with_data=["back2"]))
    assert held(path) == GIVEN
    assert set(result["plan"][0]["after"].values()) == {"taken from back2"}


def test_secrets_that_differ_between_hosts_are_refused(path: Path) -> None:
    path.write_text(json.dumps(GIVEN))
    others = OtherHosts({"back2": {**GIVEN, "encryption_secret": "value-of-another"}})
    with pytest.raises(Failure, match="encryption_secret of this host differs from that of back2, and a stack has one; put the one") as caught:
        share(path, others)
    assert "value-of" not in str(caught.value.facts())
    with pytest.raises(Failure, match="jwt_secret of back3 differs from that of back2"):
        share(path, OtherHosts({"back2": GIVEN, "back3": {"jwt_secret": "value-of-another"}}))
    assert held(path) == GIVEN


def test_nothing_is_made_where_another_host_has_data(path: Path) -> None:
    with pytest.raises(Failure, match="There is data on data1, but encryption_secret, .* are not known on any host; give them in `toucan_secrets`"):
        share(path, OtherHosts({"data1": {}}, with_data=["data1"]))
    assert not path.exists()


def test_only_the_maker_makes(path: Path) -> None:
    others = OtherHosts({"back": {}}, maker="back")
    assert share(path, others, check_mode=True)["plan"][0]["after"] == dict.fromkeys(NAMES, "taken from back")
    with pytest.raises(Failure, match="needs encryption_secret, which back makes and this run has not learned from it; run on back too, or on all hosts"):
        share(path, others)
    assert not path.exists()


def test_what_a_host_keeps_can_be_asked(tmp_path: Path, path: Path) -> None:
    path.write_text(json.dumps({**GIVEN, "environment": {"backend": {}}}))
    assert SecretsEngine(str(path), {}, [str(full_folder(tmp_path))]).kept() == {"secrets": GIVEN, "data": True}
    assert SecretsEngine(str(tmp_path / "none.json"), {}, ["/nowhere"]).kept() == {"secrets": {}, "data": False}
    assert SecretsEngine(str(path), {}, ["a-docker-volume"]).kept()["data"] is True


@pytest.mark.parametrize("source", ["kept", "given", "of another host"])
def test_another_encryption_secret_than_the_data_was_made_with_is_refused(path: Path, source: str) -> None:
    if source == "kept":
        path.write_text(json.dumps({**GIVEN, "encryption_secret": "other"}))
    given_secrets = {**GIVEN, "encryption_secret": "other"} if source == "given" else {}
    others = OtherHosts({"host2": {**GIVEN, "encryption_secret": "other"}}) if source == "of another host" else None
    before = path.read_bytes() if path.exists() else b""
    engine = SecretsEngine(str(path), given_secrets, [], others=others, fingerprints={"encryption_secret": fingerprint("the first one")})
    with pytest.raises(Failure, match="^encryption_secret is not the one that the data of this stack was made with, by its fingerprint.*`toucan_secrets`"):
        execute(engine, False)
    assert (path.read_bytes() if path.exists() else b"") == before


def test_the_encryption_secret_of_the_fingerprint_is_taken(path: Path) -> None:
    engine = SecretsEngine(str(path), GIVEN, [], fingerprints={"encryption_secret": fingerprint(GIVEN["encryption_secret"])})
    assert execute(engine, False)["changed"]
    assert held(path) == GIVEN
