# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role `toucan_stack` on a host whose stack runs: what is refused, what is started anew, and how health is judged.

A second stack in places of its own, on the same host, takes what would harm the first.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from labrun.hosts import CONTAINERS, LISTING, Host, Run, lab_facts, site_variables
from labrun.lock import held_lock, wait_for_waiting
from labrun.registry import point_tag

ROLE = "toucan.selfhosted.toucan_stack"
#: A line of a damaged file that holds a secret, which no error may quote.
LEAK = "keep-this-one-to-yourself"


def places(name: str) -> dict[str, Any]:
    """Variables that put a stack beside others on one host, everything of it below `/srv/NAME`."""
    root = f"/srv/{name}"
    return {
        "toucan_stack_project": name,
        "toucan_stack_network": name,
        "toucan_stack_directory": f"{root}/stack",
        "toucan_stack_storage_directory": f"{root}/storage",
        "toucan_stack_database_directory": f"{root}/mongodb",
        "toucan_stack_secrets_path": f"{root}/secrets.json",
        "toucan_stack_state_path": f"{root}/stack.json",
    }


def changed_services(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    """Names of the containers that came, went or were created anew."""
    return {name for name in {**before, **after} if before.get(name) != after.get(name)}


def picture(host: Host) -> tuple[str, str]:
    """Files and containers of the host, but for what its databases write."""
    return host.shell(f"{LISTING} | grep -v '^/srv/[a-z]*/mongodb/'"), host.shell(CONTAINERS)


def environment(host: Host, container: str) -> dict[str, str]:
    """The variables of a container, as the engine knows them."""
    listed = json.loads(host.shell(f"docker inspect -f '{{{{json .Config.Env}}}}' {container}"))
    return dict(item.split("=", 1) for item in listed)


# -- bad input ----------------------------------------------------------------------------------------------------------


class BadInput(NamedTuple):
    """Variables that are refused, and the words that say so; `files` are made on the host before; `registry` differs from the lab's."""

    variables: Mapping[str, Any]
    words: tuple[str, ...]
    files: Mapping[str, str] = {}
    registry: Mapping[str, str] = {}


def registry(values: Mapping[str, str], *words: str) -> BadInput:
    """A new stack whose images come from elsewhere: a stack that runs asks its registry for nothing."""
    return BadInput(places("nowhere"), words, registry=values)


def damaged(name: str, text: str, *words: str, file: str = "compose.yaml") -> BadInput:
    """A project whose file was edited by hand."""
    return BadInput({"toucan_stack_directory": f"/srv/{name}"}, (f"/srv/{name}/{file}", *words, "correct it, or move it away."), {f"/srv/{name}/{file}": text})


NO_LOGIN = {"username": "", "password": ""}
BAD_INPUTS = {
    "unknown_tag": BadInput(
        {**places("nowhere"), "toucan_release": "v999.0.0"},
        ("Registry registry.lab.test:5000 has no image", ":v999.0.0", "correct `toucan_release` or `toucan_registry.name`"),
    ),
    "unreadable_release": BadInput({"toucan_release": "newest"}, ("`newest` is no release of the product", "write a version such as `v101.1.0`")),
    "no_release": BadInput({"toucan_release": ""}, ("No release of the frontend is asked for", "set `toucan_release`")),
    "moving_tag_with_a_version": BadInput(
        {"toucan_stack_frontend_release": "latest-monthly"},
        ("Backend `v101.1.0` and frontend `latest-monthly` cannot be compared", "set `toucan_release`, or both overrides, to one major"),
    ),
    "two_majors": BadInput(
        {"toucan_stack_frontend_release": "v100.1.0"},
        ("Backend v101.1.0 and frontend v100.1.0 differ in major version", "set `toucan_release`, or both overrides, to one major"),
    ),
    "wrong_registry_password": registry(
        {"password": LEAK}, "Registry registry.lab.test:5000 refuses user robot", "correct `toucan_registry.username` and `toucan_registry.password`"
    ),
    "no_registry_login": registry(NO_LOGIN, "Registry registry.lab.test:5000 refuses an anonymous user"),
    "untrusted_registry": registry(
        {"name": "10.219.0.5:5000/toucantoco", **NO_LOGIN},
        "The certificate of 10.219.0.5:5000 is not trusted by Docker",
        "give its CA as `toucan_registry.ca_file`",
    ),
    "unreachable_registry": registry(
        {"name": "registry.lab.test:5999/toucantoco"}, "Registry registry.lab.test:5999 did not give", "see that this host reaches the registry"
    ),
    "no_image_reference": BadInput(
        {"toucan_stack_images": {"redis": "redis with blanks"}}, ("`redis with blanks` is no image reference", "registry.example.com/folder/name:tag")
    ),
    "backend_without_mongodb": BadInput(
        {"toucan_stack_services": ["frontend", "backend", "redis"]},
        ("This host runs a backend but no MongoDB", "add a host to group `toucan_mongodb`, or set `toucan_mongodb_uri`"),
    ),
    "backend_without_redis": BadInput(
        {"toucan_stack_services": ["frontend", "backend", "mongodb"]},
        ("This host runs a backend but no Redis", "add a host to group `toucan_redis`, or set `toucan_redis_url`"),
    ),
    "redis_url_of_another_scheme": BadInput({"toucan_redis_url": "http://redis.lab.test"}, ("`toucan_redis_url` is no Redis URL", "write `redis://")),
    "redis_url_with_a_bad_port": BadInput({"toucan_redis_url": f"redis://:{LEAK}@redis.lab.test:port"}, ("`toucan_redis_url` is no Redis URL",)),
    "mongodb_uri_of_another_scheme": BadInput(
        {"toucan_mongodb_uri": f"app:{LEAK}@mongo.lab.test"}, ("`toucan_mongodb_uri` is no connection string", "write `mongodb://")
    ),
    "backend_url_without_a_scheme": BadInput(
        {"toucan_backend_url": "api.lab.test"}, ("`toucan_backend_url` is `api.lab.test`, which is no URL with a host name", "write it as `https://")
    ),
    "frontend_url_missing": BadInput({"toucan_frontend_url": ""}, ("`toucan_frontend_url` is ``, which is no URL with a host name",)),
    "worker_without_memory": BadInput(
        {"toucan_stack_worker_memory_mb": 0}, ("A web worker cannot do with 0 MiB", "set `toucan_stack_worker_memory_mb` to what one needs")
    ),
    "other_secrets": BadInput(
        {"toucan_secrets": {"jwt_secret": LEAK, "redis_password": LEAK}},
        ("jwt_secret, redis_password in `toucan_secrets` differ from the ones this stack was made with", "give those of this stack, or leave them out"),
    ),
    "data_without_its_secrets": BadInput(
        {"toucan_stack_secrets_path": "/srv/lost.json"},
        ("There is data in /var/lib/toucan/storage", "are not known", "give them in `toucan_secrets`, or restore /srv/lost.json from a backup"),
    ),
    "damaged_secrets": BadInput(
        {"toucan_stack_secrets_path": "/srv/secrets.json"},
        ("/srv/secrets.json is not valid JSON", "restore the file from a backup"),
        {"/srv/secrets.json": f'{{"jwt_secret": "{LEAK}'},
    ),
    "storage_moved": BadInput(
        {"toucan_stack_storage_directory": "/srv/empty"},
        (
            "The stack would start on /srv/empty, which is empty, while its data is in /var/lib/toucan/storage",
            "move the data first, or correct `toucan_stack_storage_directory`",
        ),
    ),
    "database_moved": BadInput(
        {"toucan_stack_database_directory": "/srv/empty"},
        ("The stack would start on /srv/empty, which is empty, while its data is in", "correct `toucan_stack_database_directory`"),
    ),
    "storage_is_a_file": BadInput({"toucan_stack_storage_directory": "/srv/secrets.json"}, ("/srv/secrets.json is no folder", "name another folder")),
    "other_release": BadInput(
        {"toucan_release": "v101.1.3"},
        ("This stack has data and runs backend v101.1.0", "take a backup, then set `toucan_stack_allow_version_change: true`"),
    ),
    "compose_file_is_no_yaml": damaged("no-yaml", f"services:\n  backend: {{password: '{LEAK}'\n", "is not valid YAML at line 3"),
    "compose_file_is_a_list": damaged("list", "- services\n", "holds no mapping"),
    "compose_file_lists_services": damaged("services", "services: [backend]\n", "holds no mapping at services"),
    "compose_file_has_an_empty_service": damaged("empty-service", "services: {backend: }\n", "holds no mapping at services.backend"),
    "compose_file_has_no_image_text": damaged("image", "services: {backend: {image: [a]}}\n", "holds no text at services.backend.image"),
    "compose_file_has_long_volumes": damaged(
        "volumes", "services: {backend: {volumes: [{type: bind, source: /a, target: /b}]}}\n", "holds other volumes than `FOLDER:PATH` at services.backend"
    ),
    "override_file_lists_variables": damaged(
        "override", f"services: {{backend: {{environment: ['A={LEAK}']}}}}\n", "holds no mapping at services.backend.environment", file="compose.override.yaml"
    ),
    "damaged_state": BadInput(
        {"toucan_stack_state_path": "/srv/state.json"}, ("/srv/state.json is not valid JSON", "restore the file from a backup"), {"/srv/state.json": "{"}
    ),
}


class Refusals(NamedTuple):
    """What came of all bad inputs, each given to the role as `site.yml` does: `messages` by name, and the host before and after."""

    messages: Mapping[str, str]
    run: Run
    before: tuple[str, str]
    after: tuple[str, str]


@pytest.fixture(scope="module")
def refusals(stack: Host, tmp_path_factory: pytest.TempPathFactory) -> Refusals:
    """One play gives them one by one: a playbook for each would take ten times as long."""
    stack.shell("mkdir -p /srv/empty /srv/nowhere && touch /var/lib/toucan/storage/a-file-of-the-product")
    answers = tmp_path_factory.mktemp("refusals") / "messages.json"
    tasks = []
    usual = site_variables()
    for name, bad in BAD_INPUTS.items():
        for path, text in bad.files.items():
            stack.shell(f"mkdir -p {Path(path).parent} && cat > {path}", text.encode())
        steps = [{"name": name, "ansible.builtin.include_role": {"name": ROLE, **tasks_from}} for tasks_from in ({"tasks_from": "preflight"}, {})]
        variables = {**usual, "toucan_registry": {**usual["toucan_registry"], **bad.registry}, **bad.variables, "bad_input": name}
        said = "{{ said | default({}) | combine({bad_input: ansible_failed_result.msg}) }}"
        keep = {"name": "Keep what it said", "ansible.builtin.set_fact": {"said": said}}
        tasks.append({"name": name, "vars": variables, "block": steps, "rescue": [keep]})
    tell = {
        "name": "Hand it over",
        "ansible.builtin.copy": {"content": "{{ said | to_json }}", "dest": str(answers), "mode": "0600"},
        "delegate_to": "localhost",
    }
    before = picture(stack)
    run = stack.play([*tasks, tell]).succeeded()
    return Refusals(json.loads(answers.read_text(encoding="utf-8")), run, before, picture(stack))


@pytest.mark.parametrize("name", sorted(BAD_INPUTS))
def test_bad_input_is_refused_in_a_sentence(refusals: Refusals, name: str) -> None:
    message = refusals.messages.get(name, "nothing was refused")
    assert [word for word in BAD_INPUTS[name].words if word not in message] == [], message
    assert message.endswith(".") and "\n" not in message


def test_no_refusal_harmed_anything_or_told_a_secret(refusals: Refusals) -> None:
    assert refusals.after == refusals.before
    assert LEAK not in refusals.run.output
    assert "Traceback" not in refusals.run.output


# -- what is started anew -----------------------------------------------------------------------------------------------

#: Values of variables as a person writes them, and as the container must see them.
VALUES: dict[str, tuple[Any, str]] = {
    "DOLLAR": ("$HOME ${HOME:-x} $$ $", "$HOME ${HOME:-x} $$ $"),
    "QUOTES": ("'single' \"double\" `back` \\ \\n", "'single' \"double\" `back` \\ \\n"),
    "LINES": ("first\nsecond\n\n  third\r\n\ttab\n", "first\nsecond\n\n  third\r\n\ttab\n"),
    "UNICODE": ("héé ☃ 𝒳 \u2028 \x07", "héé ☃ 𝒳 \u2028 \x07"),
    "BLANKS": ("  both ends  ", "  both ends  "),
    "EMPTY": ("", ""),
    "YAML": ("yes: no # {a}, [b] &c *d !e | > %f @g", "yes: no # {a}, [b] &c *d !e | > %f @g"),
    "NUMBER": (1.5, "1.5"),
    "ZEROS": ("007", "007"),
    "FLAG": (True, "enable"),
    "LIST": (["https://a.example", "$b"], '["https://a.example","$b"]'),
    "MAPPING": ({"a": [1, True, None], "é": '"'}, '{"a":[1,true,null],"é":"\\""}'),
}
#: One secret that would blank half of a result, and one that stands in the open elsewhere.
GARBLING = {"TOUCAN_SECRET_SHORT": 5, "TOUCAN_SECRET_NAME": "toucan"}


def test_variables_arrive_as_written_and_secrets_stay_unseen(stack: Host) -> None:
    variables = {
        **site_variables(),
        "toucan_stack_env": {f"TOUCAN_TEST_{name}": value for name, (value, dummy) in VALUES.items()},
        "toucan_stack_secret_env": {**{f"TOUCAN_SECRET_{name}": value for name, (value, dummy) in VALUES.items()}, "TOUCAN_SECRET_WORD": LEAK, **GARBLING},
        "toucan_stack_features": {"TOUCAN_FEATURE_TEST": False},
    }
    before, recorded = stack.containers(), stack.state()
    run = stack.role("toucan_stack", "--diff", "-vvv", variables=variables).succeeded()
    assert changed_services(before, stack.containers()) == {"toucan-backend-1"}

    seen = environment(stack, "toucan-backend-1")
    assert {name: seen[f"TOUCAN_TEST_{name}"] for name in VALUES} == {name: text for name, (dummy, text) in VALUES.items()}
    assert {name: seen[f"TOUCAN_SECRET_{name}"] for name in VALUES} == {name: text for name, (dummy, text) in VALUES.items()}
    assert (seen["TOUCAN_SECRET_SHORT"], seen["TOUCAN_SECRET_NAME"], seen["TOUCAN_FEATURE_TEST"]) == ("5", "toucan", "disable")

    assert "TOUCAN_SECRET_WORD: added" in run.text
    assert LEAK not in run.output
    secrets = json.loads(stack.shell("cat /etc/toucan/secrets.json"))
    assert [name for name, value in secrets.items() if value in run.output] == []
    assert LEAK not in stack.shell("cat /var/lib/toucan/stack/compose.yaml")
    assert stack.state() == recorded

    stack.role("toucan_stack", variables=variables).unchanged()
    changed = {**variables, "toucan_stack_secret_env": {**variables["toucan_stack_secret_env"], "TOUCAN_SECRET_WORD": f"{LEAK}-either"}}
    run = stack.role("toucan_stack", "--check", "--diff", "-vvv", variables=changed).succeeded()
    assert "TOUCAN_SECRET_WORD: new value" in run.text
    assert LEAK not in run.output


def test_a_mounted_file_starts_its_reader_anew(stack: Host) -> None:
    stack.role("toucan_stack", variables=site_variables()).succeeded()
    before = stack.containers()
    variables = {**site_variables(), "toucan_stack_redis_memory_mb": 300}
    run = stack.role("toucan_stack", "--diff", variables=variables).succeeded()
    assert changed_services(before, stack.containers()) == {"toucan-redis-1"}
    assert "mounted files" in run.text
    asked = 'docker exec -i toucan-redis-1 sh -c "read -r REDISCLI_AUTH; export REDISCLI_AUTH; redis-cli config get maxmemory"'
    password = json.loads(stack.shell("cat /etc/toucan/secrets.json"))["redis_password"]
    assert stack.shell(asked, f"{password}\n".encode()).split() == ["maxmemory", str(300 << 20)]
    stack.role("toucan_stack", variables=variables).unchanged()


# -- what the host's log tells ------------------------------------------------------------------------------------------


def test_the_systems_log_has_no_password_however_python_spells_it(stack: Host) -> None:
    """Ansible itself blanks only what stands in the log as it was given."""
    variables = site_variables()
    began = stack.shell("date '+%Y-%m-%d %H:%M:%S'").strip()
    variables["toucan_registry"]["password"] = f"pa\\ss\"wo'rd {LEAK}"
    run = stack.role("toucan_stack", "--check", "--diff", "-vvv", variables=variables).succeeded()
    assert LEAK not in run.output
    log = stack.shell(f"journalctl --since '{began}' --output cat")
    assert "Invoked with" in log and "'username': 'robot', 'password': 'VALUE_SPECIFIED_IN_NO_LOG_PARAMETER'" in log
    assert LEAK not in log


# -- two runs at once ---------------------------------------------------------------------------------------------------


def test_of_two_runs_at_once_one_waits_and_finds_nothing_to_do(stack: Host) -> None:
    variables = {**site_variables(), "toucan_stack_redis_memory_mb": 310}
    before = stack.containers()
    with ThreadPoolExecutor(2) as runs:
        with held_lock(stack):
            both = [runs.submit(stack.role, "toucan_stack", variables=variables) for dummy in range(2)]
            wait_for_waiting(stack, 2)
        worker, waiter = sorted((run.result().succeeded() for run in both), key=lambda run: -run.recap["changed"])
    assert (worker.recap["changed"], waiter.recap["changed"]) == (1, 0)
    assert "s for toucan_stack of process " in waiter.text and "Waited " in waiter.text
    assert "s for toucan_stack of process " not in worker.text
    assert changed_services(before, stack.containers()) == {"toucan-redis-1"}
    assert stack.shell("cat /run/toucan/lock; stat -c %a /run/toucan/lock") == "600\n"
    stack.role("toucan_stack", variables=site_variables()).succeeded()


@pytest.mark.parametrize("arguments", [(), ("--check",)], ids=["run", "check"])
def test_a_run_that_waits_in_vain_harms_nothing(stack: Host, arguments: tuple[str, ...]) -> None:
    variables = {**site_variables(), "toucan_stack_redis_memory_mb": 310, "toucan_stack_lock_timeout": 1}
    before = picture(stack)
    with held_lock(stack):
        run = stack.role("toucan_stack", *arguments, variables=variables)
    run.refused("toucan_stack cannot run beside another run on this host, which did not end within 1 s; wait until it has ended and run again")
    assert picture(stack) == before


# -- a second stack: tags, health, passwords ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trial(stack: Host) -> Iterator[dict[str, Any]]:
    """Variables of a stack that may be harmed, whose tag `latest-monthly` is a test's own."""
    stack.shell("mkdir -p /srv/trial")
    variables = site_variables()
    registry = {**variables["toucan_registry"], "name": f"{lab_facts()['lab_registry']}/scratch/toucantoco"}
    yield {**variables, **places("trial"), "toucan_registry": registry, "toucan_release": "latest-monthly"}
    stack.shell("docker ps -aq --filter label=com.docker.compose.project=trial | xargs -r docker rm -f; docker network rm trial; rm -rf /srv/trial")


def wanted(trial: Mapping[str, Any], release: str, seconds: int) -> dict[str, Any]:
    """The trial stack in a release of the product."""
    return {
        **trial,
        "toucan_registry": site_variables()["toucan_registry"],
        "toucan_release": release,
        "toucan_stack_start_timeout": seconds,
        "toucan_stack_allow_version_change": True,
    }


def test_a_tag_that_moved_changes_nothing(stack: Host, trial: dict[str, Any]) -> None:
    digests = {kind: point_tag(f"scratch/toucantoco/{kind}", "latest-monthly", f"toucantoco/{kind}", "v101.0.0") for kind in ("frontend", "backend")}
    stack.role("toucan_stack", variables=trial).succeeded()
    for kind, digest in digests.items():
        image = stack.shell(f"docker inspect -f '{{{{.Config.Image}}}}' trial-{kind}-1").strip()
        assert image == f"{trial['toucan_registry']['name']}/{kind}:latest-monthly@{digest}"

    moved = [point_tag(f"scratch/toucantoco/{kind}", "latest-monthly", f"toucantoco/{kind}", "v101.1.0") for kind in ("frontend", "backend")]
    assert not set(moved) & set(digests.values())
    before = stack.containers()
    stack.role("toucan_stack", variables=trial).unchanged()
    assert stack.containers() == before


def test_a_wrong_mongodb_password_stops_before_anything_is_touched(stack: Host, trial: dict[str, Any]) -> None:
    """As after a lost secrets file and a vault that holds another stack's password."""
    kept = stack.shell("cat /srv/trial/secrets.json")
    wrong = json.dumps({**json.loads(kept), "mongodb_password": LEAK})
    stack.shell("cat > /srv/trial/secrets.json", wrong.encode())
    before, containers = picture(stack), stack.containers()
    sentence = ("MongoDB refuses the password of user app in /srv/trial/secrets.json", "put that one there as `mongodb_password`")
    try:
        run = stack.role("toucan_stack", variables=trial).refused(*sentence)
        assert LEAK not in run.output
        assert picture(stack) == before

        # Where its MongoDB is gone, too, the server must be started before it can be asked; the backend still is not touched.
        stack.shell("docker rm -f trial-mongo-1")
        stack.role("toucan_stack", variables=trial).refused(*sentence)
        assert changed_services(containers, stack.containers()) == {"trial-mongo-1"}
    finally:
        stack.shell("cat > /srv/trial/secrets.json", kept.encode())
    stack.role("toucan_stack", variables=trial).succeeded()
    stack.role("toucan_stack", variables=trial).unchanged()


def test_a_backend_that_keeps_dying_ends_the_wait_early(stack: Host, trial: dict[str, Any]) -> None:
    started = time.monotonic()
    run = stack.role("toucan_stack", variables=wanted(trial, "v101.1.2", seconds=600))
    assert time.monotonic() - started < 300
    run.refused(
        "Backend (registry.lab.test:5000/toucantoco/backend:v101.1.2) keeps restarting",
        "Last log lines:",
        "migration 20261103_unreadable_document",
    )


def test_a_backend_that_never_gets_healthy_is_given_its_time(stack: Host, trial: dict[str, Any]) -> None:
    run = stack.role("toucan_stack", variables=wanted(trial, "v101.1.1", seconds=30))
    run.refused(
        "Backend (registry.lab.test:5000/toucantoco/backend:v101.1.1) is not healthy after 30 s: status is 'KO', not 'OK'",
        "read the log lines below; a slow machine or a long migration wants a longer `toucan_stack_start_timeout`",
        "Last log lines:",
        "Booting worker",
    )


def test_a_slow_migration_is_waited_for(stack: Host, trial: dict[str, Any]) -> None:
    variables = wanted(trial, "v101.1.3", seconds=120)
    stack.role("toucan_stack", variables=variables).succeeded()
    assert "a long migration runs" in stack.shell("docker logs trial-backend-1 2>&1")
    stack.role("toucan_stack", variables=variables).unchanged()


def test_a_service_no_longer_wanted_goes_and_its_data_stays(stack: Host, trial: dict[str, Any]) -> None:
    data = "find /srv/trial/storage /srv/trial/mongodb -name initialized -o -name '*settings*' | sort"
    kept, before = stack.shell(data), stack.containers()
    variables = {**wanted(trial, "v101.1.3", seconds=120), "toucan_stack_services": ["frontend", "redis"]}
    assert "/srv/trial/mongodb/initialized" in kept
    stack.role("toucan_stack", variables=variables).refused("Service mongodb runs here and has data", "`toucan_stack_allow_service_removal: true`")
    assert stack.containers() == before
    variables["toucan_stack_allow_service_removal"] = True
    stack.role("toucan_stack", variables=variables).succeeded()
    assert changed_services(before, stack.containers()) == {"trial-backend-1", "trial-mongo-1"}
    assert stack.shell(data) == kept
    stack.role("toucan_stack", variables=variables).unchanged()

    stack.role("toucan_stack", variables={**variables, "toucan_stack_services": []}).succeeded()
    assert [name for name in stack.containers() if name.startswith("trial")] == []
    assert stack.shell(data) == kept
