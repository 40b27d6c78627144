# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How databases outside the stack are named: any password goes through, and what cannot work is one sentence without a piece of it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.databases import (
    ExternalMongodb,
    MongodbUri,
    RedisServer,
    parse_mongodb_uri,
    parse_redis_url,
)
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from hypothesis import given
from hypothesis import strategies as st
from pymongo.uri_parser import parse_uri

CA = "-----BEGIN CERTIFICATE-----\n"
PASSWORDS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1)
AWKWARD = "@:/%40?#&+[x]$HOME'\"\\ é"


def settled(uri: str, **options: str) -> MongodbUri:
    return ExternalMongodb(uri, **options).settled()


# -- what goes through ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://db.test",
        "mongodb://u:p@db.test:27018,db2.test/?replicaSet=rs0",
        "mongodb://u:p%40%3A%2F%25@[2001:db8::1]:27017/start?authSource=a@b",
        "mongodb://u@db.test/?authMechanismProperties=A:b==",
        "mongodb+srv://u:p@cluster.test/?retryWrites=true&w=majority",
    ],
)
def test_what_is_whole_stays_as_it_is_written(uri: str) -> None:
    assert str(settled(uri)) == uri


@given(PASSWORDS, PASSWORDS)
def test_the_driver_reads_any_login_as_it_was_given(user: str, password: str) -> None:
    read = parse_uri(str(settled("mongodb://db.test:27018/?replicaSet=rs0", username=user, password=password)))
    assert (read["username"], read["password"]) == (user, password)
    assert read["nodelist"] == [("db.test", 27018)]
    assert list(read["options"].values()) == ["rs0"]


@given(PASSWORDS, PASSWORDS)
def test_a_login_that_was_escaped_is_read_back(user: str, password: str) -> None:
    written = str(settled("mongodb://db.test", username=user, password=password))
    parsed = parse_mongodb_uri(written)
    assert (parsed.user, parsed.password) == (user, password)
    assert parsed.written_password in written


def test_a_ca_is_named_in_the_string_with_tls() -> None:
    uri = settled("mongodb://db.test", username="u", password="p", ca_pem=CA)
    assert str(uri) == "mongodb://u:p@db.test/?tls=true&tlsCAFile=/etc/ssl/myCA.crt"
    assert uri.uses_tls


@pytest.mark.parametrize(
    ("uri", "options"),
    [
        ("mongodb://db.test/?tls=true", "tls=true&tlsCAFile=/etc/ssl/myCA.crt"),
        ("mongodb://db.test/?ssl=true&w=1", "ssl=true&w=1&tlsCAFile=/etc/ssl/myCA.crt"),
        ("mongodb://db.test/?tlsCAFile=/etc/ssl/myCA.crt", "tlsCAFile=/etc/ssl/myCA.crt"),
        ("mongodb://db.test/?TLSCAFILE=%2Fetc%2Fssl%2FmyCA.crt", "TLSCAFILE=%2Fetc%2Fssl%2FmyCA.crt"),
    ],
)
def test_what_the_string_says_of_tls_already_is_not_said_twice(uri: str, options: str) -> None:
    assert str(settled(uri, ca_pem=CA)).partition("?")[2] == options


def test_the_ca_may_stand_elsewhere_in_the_container() -> None:
    assert str(settled("mongodb://db.test", ca_pem=CA, ca_path="/srv/a b.crt")).endswith("tlsCAFile=/srv/a%20b.crt")


def test_whoever_connects_from_elsewhere_names_a_file_of_its_own() -> None:
    uri = settled("mongodb+srv://c.test/?w=1", ca_pem=CA).with_ca_file("/tmp/x.crt")
    assert str(uri) == "mongodb+srv://c.test/?w=1&tls=true&tlsCAFile=/tmp/x.crt"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("mongodb://h", False),
        ("mongodb://h/?tls=true", True),
        ("mongodb://h/?ssl=true", True),
        ("mongodb+srv://h", True),
        ("mongodb+srv://h/?tls=false", False),
        ("mongodb://h/?tls=false", False),
    ],
)
def test_tls_is_used_where_drivers_use_it(uri: str, expected: bool) -> None:
    assert parse_mongodb_uri(uri).uses_tls is expected


# -- what is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", "@:/?%")
@pytest.mark.parametrize("shape", ["mongodb://{}:sesame@db.test/?w=1", "mongodb://user:{}@db.test", "mongodb+srv://user:{}@db.test/x?w=majority"])
def test_a_login_that_is_not_escaped_names_the_options_for_it(shape: str, mark: str) -> None:
    with pytest.raises(Failure) as caught:
        parse_mongodb_uri(shape.format(f"hid{mark}xyz"))
    assert str(caught.value) == (
        "The user or the password in `toucan_mongodb_uri` has a character of `@:/?#%` that is not escaped; give them as `toucan_mongodb_username` and "
        "`toucan_mongodb_password`, which may hold any character, and leave them out of the URI."
    )
    assert "hid" not in str(caught.value.facts())


@given(st.text(alphabet="@:/%?#ab", min_size=1, max_size=8))
def test_no_login_is_read_otherwise_than_by_the_driver(password: str) -> None:
    uri = f"mongodb://user:{password}@db.test/?w=1"
    try:
        ours = parse_mongodb_uri(uri)
    except Failure:
        return
    theirs = parse_uri(uri)
    assert (ours.user, ours.password or None) == (theirs["username"], theirs["password"] or None)
    assert theirs["nodelist"] == [("db.test", 27017)]
    assert ours.hosts == ("db.test",)


@pytest.mark.parametrize("uri", ["db.test:27017", "http://db.test", "mongodb:/db.test", "mongodb", ""])
def test_what_is_no_connection_string_is_refused(uri: str) -> None:
    with pytest.raises(Failure, match="`toucan_mongodb_uri` is no connection string; write `mongodb://"):
        parse_mongodb_uri(uri)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("mongodb://", "has no host, or one that cannot be read"),
        ("mongodb://a,,b", "has no host, or one that cannot be read"),
        ("mongodb://h:port", "has no host, or one that cannot be read"),
        ("mongodb://h:70000", "has no host, or one that cannot be read"),
        ("mongodb://h:0", "has no host, or one that cannot be read"),
        ("mongodb://h h", "has no host, or one that cannot be read"),
        ("mongodb://:p@h", "has a login without a user"),
        ("mongodb://h/?w", "has options that are no NAME=VALUE"),
        ("mongodb+srv://h:27017", "has more than one host, or a port, beside `mongodb\\+srv`"),
        ("mongodb+srv://a,b", "has more than one host, or a port, beside `mongodb\\+srv`"),
        ("mongodb://h/?tls=yes", "has tls with another value than true or false"),
        ("mongodb://h/?SSL=1", "has ssl with another value than true or false"),
    ],
)
def test_a_string_that_no_driver_could_use_is_refused(uri: str, words: str) -> None:
    with pytest.raises(Failure, match=words):
        parse_mongodb_uri(uri)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"uri": "mongodb://u:p@h", "username": "x", "password": "y"}, "holds a login, and `toucan_mongodb_username` is another one"),
        ({"uri": "mongodb://h", "username": "x"}, "`toucan_mongodb_username` is set, and `toucan_mongodb_password` is not"),
        ({"uri": "mongodb://h", "password": "x"}, "`toucan_mongodb_password` is set, and `toucan_mongodb_username` is not"),
        ({"uri": "mongodb://h/?tls=false", "ca_pem": CA}, "switches TLS off, and `toucan_mongodb_ca_file` is for TLS"),
        ({"uri": "mongodb+srv://h/?ssl=false", "ca_pem": CA}, "switches TLS off, and `toucan_mongodb_ca_file` is for TLS"),
        ({"uri": "mongodb://h/?tlsCAFile=/x.crt"}, "has tlsCAFile=/x.crt, a file that nothing puts into the backend's container; .*`toucan_mongodb_ca_file`"),
        ({"uri": "mongodb://h/?tlsCAFile=/x.crt", "ca_pem": CA}, "has tlsCAFile=/x.crt, a file that nothing puts"),
        ({"uri": "mongodb://h/?tlscertificatekeyfile=/x.pem"}, "has tlsCertificateKeyFile, a file that nothing puts"),
        ({"uri": "mongodb://h", "ca_path": "x.crt"}, "`toucan_stack_mongodb_ca_path` is `x.crt`, which is no path in a container"),
        ({"uri": "mongodb://h", "ca_path": "/x:y"}, "which is no path in a container"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(Failure, match=words):
        ExternalMongodb(**options).settled()


# -- Redis ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "password", "server"),
    [
        ("redis://cache.test", "", RedisServer("cache.test", 6379, False, "")),
        ("redis://cache.test:7000/0", AWKWARD, RedisServer("cache.test", 7000, False, AWKWARD)),
        ("rediss://:p%40ss%2F@cache.test:7000/", "", RedisServer("cache.test", 7000, True, "p@ss/")),
        ("rediss://default:p@cache.test", "", RedisServer("cache.test", 6379, True, "p")),
        ("redis://[2001:db8::1]:7000", "", RedisServer("2001:db8::1", 7000, False, "")),
    ],
)
def test_redis_is_named_as_its_url_says(url: str, password: str, server: RedisServer) -> None:
    assert parse_redis_url(url, password) == server


def test_the_address_of_redis_is_shown_as_people_write_it() -> None:
    assert RedisServer("cache.test", 7000, True, "p").shown == "cache.test:7000"
    assert RedisServer("::1", 7000, True, "p").shown == "[::1]:7000"


@pytest.mark.parametrize(
    "url", ["cache.test:6379", "http://:hidden@cache.test", "redis://", "redis:///0", "redis://cache.test:port", "redis://cache.test:70000"]
)
def test_what_is_no_redis_url_is_refused(url: str) -> None:
    with pytest.raises(Failure, match="`toucan_redis_url` is no Redis URL; write `redis://") as caught:
        parse_redis_url(url)
    assert "hidden" not in str(caught.value.facts())


@pytest.mark.parametrize("mark", "@:/?#%")
def test_a_redis_password_that_is_not_escaped_names_the_option_for_it(mark: str) -> None:
    with pytest.raises(Failure, match="The password in `toucan_redis_url` has a character .* not escaped; give it as `toucan_redis_password`") as caught:
        parse_redis_url(f"redis://:hid{mark}xyz@cache.test:7000/0")
    assert "hid" not in str(caught.value.facts())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://:p@cache.test", "holds a password, and `toucan_redis_password` is another one"),
        ("redis://ann@cache.test", "names a user, and no variable of the backend is known"),
        ("redis://cache.test/1", "names a database by number, and no variable of the backend is known"),
    ],
)
def test_what_the_backend_could_not_be_told_of_redis_is_refused(url: str, words: str) -> None:
    with pytest.raises(Failure, match=words):
        parse_redis_url(url, "sesame")
