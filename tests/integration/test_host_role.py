# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role `toucan_host` over ssh on hosts of the lab: Debian 13 from nothing, Debian 12 with an engine that was there before, two hosts of one stack.

The tests of one class build on each other, in their order: a bare host is made once.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from labrun.hosts import LISTING, Host, Run, Stack, fresh_host, lab_command, lab_facts

#: The other tests use the first host.
HOST = "host2"
#: The first backend of a stack of two hosts.
BACKEND = "host6"
TASKS_OF_A_SECOND_RUN = 23
COMPOSE_OF_DEBIAN_13 = "/usr/libexec/docker/cli-plugins/docker-compose"
PLUGIN_FOLDER = "/usr/local/lib/docker/cli-plugins"
#: Nothing listens there.
PROXY = "http://someone:verysecret@127.0.0.1:9"
CA_ON_HOST = "/root/ca.pem"
#: Exit code of curl where the server's certificate is not trusted.
CURL_TRUSTS_NOT = 60


def given() -> dict[str, Any]:
    """What the lab's inventory says of its registry."""
    lab = lab_facts()
    return {"toucan_ca_file": lab["lab_ca_file"], "toucan_registry": {"name": f"{lab['lab_registry']}/toucantoco"}}


class RoleHost(Host):
    """A host that the role alone is applied to."""

    def apply(self, *arguments: str, **options: Any) -> Run:
        """Run the role with these options."""
        return self.role("toucan_host", *arguments, variables={**given(), **options})

    def engine_start(self) -> str:
        """When the engine was started, as systemd says it."""
        return self.shell("systemctl show -p ActiveEnterTimestampMonotonic docker")

    def registry_answer(self) -> str:
        """The HTTP status that the registry gives to a program of the host without a login; 000 where the host does not trust it."""
        url = f"https://{lab_facts()['lab_registry']}/v2/"
        return self.shell(f"curl --silent --output /dev/null --write-out '%{{http_code}}' {url} || test $? = {CURL_TRUSTS_NOT}").strip()


@pytest.fixture(scope="class")
def host(request: pytest.FixtureRequest) -> RoleHost:
    """A host fresh from the image that the class names, in the place of the one before."""
    if request.cls.image == "bookworm":
        lab_command("images", "--layer", "host-bookworm")
    return RoleHost(fresh_host(HOST, request.cls.image).name)


@pytest.fixture(scope="class")
def pair() -> Stack:
    """The first backend, with another host of its stack, both with Docker and nothing of the collection."""
    for name in (HOST, BACKEND):
        fresh_host(name)
    return Stack({HOST: ("toucan_frontend",), BACKEND: ("toucan_backend",)}, {})


class TestDebian13:
    """From a bare host, with the distribution's packages."""

    image = "bare"

    def test_the_host_is_bare(self, host: RoleHost) -> None:
        assert host.shell("command -v docker || ls /opt/toucan /etc/toucan 2>/dev/null || true") == ""

    def test_a_misspelt_variable_stops_before_anything_is_changed(self, host: RoleHost) -> None:
        before = host.shell(LISTING)
        run = host.apply(toucan_host_minimum_disk_bg=1).refused("toucan_host_minimum_disk_bg", "write `toucan_host_minimum_disk_gb`")
        assert run.recap["changed"] == 0
        assert host.shell(LISTING) == before

    def test_all_that_is_lacking_is_told_at_once(self, host: RoleHost) -> None:
        run = host.apply(toucan_host_minimum_disk_gb=1000000, toucan_host_minimum_memory_mb=100000000)
        run.refused("3 problems", "lower `toucan_host_minimum_disk_gb`", "lower `toucan_host_minimum_memory_mb`")

    def test_a_foreign_distribution_is_told_before_anything_is_changed(self, host: RoleHost) -> None:
        run = host.apply(__toucan_host_family="Suse", __toucan_host_distribution="openSUSE 15")
        run.refused("openSUSE 15 is neither Debian, Ubuntu nor of the Red Hat family")
        assert run.recap["changed"] == 0

    def test_a_mode_without_quotes_is_told_before_a_folder_is_made(self, host: RoleHost) -> None:
        folders = [{"path": "/opt/toucan"}, {"path": "/opt/toucan/shared", "mode": 0o770}]
        run = host.apply(toucan_host_directories=folders).refused("The mode of /opt/toucan/shared came as 504", "in quotes")
        assert run.recap["changed"] == 0

    @pytest.mark.parametrize("name", ["http_proxy", "https_proxy"])
    def test_no_key_is_fetched_through_a_proxy_with_a_password(self, host: RoleHost, name: str) -> None:
        run = host.apply("--check", "-vvv", toucan_host_docker_source="docker", toucan_host_proxy={name: PROXY})
        run.refused("cannot be fetched through a proxy with a password", "give the key as a file", "`toucan_host_docker_repository_key_file`")
        assert "verysecret" not in run.output

    def test_check_mode_foresees_the_work_and_changes_nothing(self, host: RoleHost) -> None:
        host.shell(f"cat > {CA_ON_HOST}", stdin=Path(lab_facts()["lab_ca_file"]).read_bytes())
        before = host.shell(LISTING)
        plain = host.apply("--check", "--diff").succeeded()
        assert plain.recap["changed"] > 0
        # What needs the engine, or a folder that check mode did not make.
        options = {"toucan_host_proxy": {"https_proxy": PROXY}, "toucan_host_docker_configuration": {"log-driver": "json-file"}}
        run = host.apply("--check", "--diff", toucan_ca_file=CA_ON_HOST, toucan_host_ca_file_on_host=True, **options).succeeded()
        # The CA files count either way; apt's proxy and the engine's configuration are new.
        assert run.recap["changed"] == plain.recap["changed"] + 2
        assert "verysecret" not in run.output
        assert host.shell(LISTING) == before

    def test_check_mode_tells_of_a_ca_file_that_is_not_on_the_host(self, host: RoleHost) -> None:
        host.apply("--check", toucan_ca_file="/root/nowhere.pem", toucan_host_ca_file_on_host=True).refused("/root/nowhere.pem not found")

    def test_the_engine_compose_and_the_libraries_are_there(self, host: RoleHost) -> None:
        host.apply().succeeded()
        assert re.match(r"v?2\.", host.shell("docker compose version --short"))
        assert host.shell("docker info --format '{{.ServerVersion}}'").strip()
        state = json.loads(host.shell("cat /etc/toucan/stack.json"))
        imports = "import docker, pymongo, requests, jmespath, cryptography, isal.igzip, pyrage, yaml; print(docker.from_env().ping(), pymongo.version)"
        assert re.match(r"True 4\.16\.", host.shell(f"{state['python']} -c {shlex.quote(imports)}"))

    def test_folders_have_owner_and_mode(self, host: RoleHost) -> None:
        listed = host.shell("stat -c '%n %U %G %a' /etc/toucan /var/lib/toucan /var/backups/toucan").splitlines()
        assert listed == ["/etc/toucan root root 755", "/var/lib/toucan root root 750", "/var/backups/toucan root root 700"]

    def test_a_second_run_changes_nothing_in_few_tasks(self, host: RoleHost) -> None:
        started = host.engine_start()
        recap = host.apply().unchanged().recap
        assert recap["ok"] + recap["skipped"] <= TASKS_OF_A_SECOND_RUN
        assert host.engine_start() == started

    def test_check_mode_on_the_finished_host_has_nothing_to_do(self, host: RoleHost) -> None:
        host.apply("--check", "--diff").unchanged()

    def test_the_system_and_the_engine_trust_the_ca(self, host: RoleHost) -> None:
        registry = lab_facts()["lab_registry"]
        assert host.registry_answer() == "401"
        password = str(lab_facts()["lab_registry_password"]).encode()
        host.shell(f"docker login --username {lab_facts()['lab_registry_username']} --password-stdin {registry}", stdin=password)
        host.shell(f"docker pull --quiet {lab_facts()['lab_service_images']['redis']}")
        host.shell(f"docker logout {registry}")

    def test_a_renewal_that_was_cut_off_is_made_up_for(self, host: RoleHost) -> None:
        anchor = "/usr/local/share/ca-certificates/toucan.crt"
        host.shell(f"rm {anchor} && update-ca-certificates --fresh && cp --preserve {CA_ON_HOST} {anchor}")
        assert host.registry_answer() == "000"
        assert host.apply("--check").succeeded().recap["changed"] == 1
        assert host.apply().succeeded().recap["changed"] == 1
        assert host.registry_answer() == "401"
        host.apply().unchanged()

    def test_the_engines_configuration_is_merged_and_restarts_it_once(self, host: RoleHost) -> None:
        host.shell('echo \'{"log-opts": {"max-file": "2"}}\' > /etc/docker/daemon.json')
        configuration = {"log-driver": "json-file", "log-opts": {"max-size": "10m"}}
        started = host.engine_start()
        host.apply(toucan_host_docker_configuration=configuration).succeeded()
        restarted = host.engine_start()
        assert restarted != started
        assert json.loads(host.shell("cat /etc/docker/daemon.json")) == {"log-driver": "json-file", "log-opts": {"max-file": "2", "max-size": "10m"}}
        host.apply(toucan_host_docker_configuration=configuration).unchanged()
        assert host.engine_start() == restarted

    def test_a_restart_that_was_cut_off_is_made_up_for(self, host: RoleHost) -> None:
        host.shell("sed --in-place s/10m/15m/ /etc/docker/daemon.json; systemctl reset-failed docker.service")
        configuration = {"log-opts": {"max-size": "15m"}}
        started = host.engine_start()
        assert host.apply("--check", toucan_host_docker_configuration=configuration).succeeded().recap["changed"] == 1
        assert host.engine_start() == started
        assert host.apply(toucan_host_docker_configuration=configuration).succeeded().recap["changed"] == 1
        restarted = host.engine_start()
        assert restarted != started
        host.apply(toucan_host_docker_configuration=configuration).unchanged()
        assert host.engine_start() == restarted

    def test_a_configuration_by_hand_from_before_the_start_is_left_alone(self, host: RoleHost) -> None:
        written = '{"log-opts":{"max-size":"15m","max-file":"2"},"log-driver":"json-file"}'
        host.shell(f"echo '{written}' > /etc/docker/daemon.json; systemctl reset-failed docker.service; systemctl restart docker")
        started = host.engine_start()
        host.apply(toucan_host_docker_configuration={"log-driver": "json-file", "log-opts": {"max-size": "15m"}}).unchanged()
        assert host.engine_start() == started
        assert host.shell("cat /etc/docker/daemon.json").strip() == written

    def test_a_configuration_that_the_engine_refuses_is_not_written(self, host: RoleHost) -> None:
        before = host.shell("cat /etc/docker/daemon.json")
        host.apply(toucan_host_docker_configuration={"no-such-setting": True}).refused("no-such-setting")
        assert host.shell("cat /etc/docker/daemon.json") == before

    def test_a_proxys_password_shows_nowhere(self, host: RoleHost) -> None:
        proxy = {"https_proxy": PROXY, "no_proxy": "localhost"}
        run = host.apply("--diff", "-vvv", toucan_host_proxy=proxy).succeeded()
        assert "verysecret" not in run.output
        for path in ("/etc/docker/daemon.json", "/etc/apt/apt.conf.d/95toucan-proxy"):
            assert host.shell(f"stat -c %a {path}; grep -c verysecret {path}").split() == ["600", "1"]

    def test_an_emptied_proxy_leaves_apt_none_and_shows_nothing_of_the_engines(self, host: RoleHost) -> None:
        run = host.apply("--diff", "-vvv", toucan_host_docker_configuration={"log-opts": {"max-size": "20m"}}).succeeded()
        assert "verysecret" not in run.output
        assert host.shell("find /etc/apt/apt.conf.d/95toucan-proxy 2>/dev/null || true") == ""
        assert host.shell("stat -c %a /etc/docker/daemon.json; grep -c -e verysecret -e 20m /etc/docker/daemon.json").split() == ["600", "2"]

    def test_a_stopped_engine_is_started(self, host: RoleHost) -> None:
        # systemd counts the restarts of the tests before this one, and would refuse one more start within the minute.
        host.shell("systemctl stop docker.socket docker.service 2>&1; systemctl reset-failed docker.service")
        host.apply().succeeded()
        assert host.shell("systemctl is-active docker").strip() == "active"

    def test_another_engine_is_not_replaced(self, host: RoleHost) -> None:
        control = "Package: docker-ce\\nVersion: 1\\nArchitecture: all\\nMaintainer: nobody\\nDescription: stands for an engine\\n"
        build = f"mkdir -p /tmp/ce/DEBIAN && printf '{control}' > /tmp/ce/DEBIAN/control && dpkg-deb --build /tmp/ce /tmp/ce.deb"
        # The distribution's engine, which the tests before this one need, would not let it in.
        host.shell(f"{build} && dpkg --force-conflicts -i /tmp/ce.deb")
        before = host.shell("dpkg-query --show")
        run = host.apply().refused("This host has docker-ce, which the packages of `toucan_host_docker_source: distribution` would replace")
        assert "set it to `docker`, or to `none` to use what is there" in run.text
        assert host.shell("dpkg-query --show") == before
        host.shell("dpkg --remove docker-ce")


class TestDebian12:
    """With `none`: its distribution has an engine and no Compose v2."""

    image = "bookworm"

    def test_the_distribution_is_refused(self, host: RoleHost) -> None:
        host.apply().refused("Debian 12 has no Docker Engine with Compose v2", "set `toucan_host_docker_source`")

    def test_a_missing_engine_is_told_in_check_mode_too(self, host: RoleHost) -> None:
        host.apply("--check", toucan_host_docker_source="none").refused("Docker Engine does not answer", "install or start what is missing")

    @pytest.mark.parametrize("mode", [["--check"], []], ids=["check", "run"])
    def test_a_missing_engine_is_told_before_it_is_configured(self, host: RoleHost, mode: list[str]) -> None:
        options = {"toucan_host_docker_source": "none", "toucan_host_docker_configuration": {"log-driver": "json-file"}}
        host.apply(*mode, **options).refused("Docker Engine does not answer", "install or start what is missing")
        assert host.shell("ls /etc/docker/daemon.json 2>/dev/null || true") == ""

    def test_a_missing_compose_is_told(self, host: RoleHost) -> None:
        host.shell("DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends docker.io")
        host.apply(toucan_host_docker_source="none").refused("`docker compose` is missing")

    def test_compose_put_in_by_other_means_will_do(self, host: RoleHost) -> None:
        plugin = subprocess.run(
            ["docker", "run", "--rm", "--network=none", "--entrypoint=cat", lab_facts()["lab_images"]["host-ready"], COMPOSE_OF_DEBIAN_13],
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        target = f"{PLUGIN_FOLDER}/docker-compose"
        host.shell(f"mkdir -p {PLUGIN_FOLDER} && cat > {target} && chmod 755 {target}", stdin=plugin)
        host.apply(toucan_host_docker_source="none").succeeded()
        host.apply(toucan_host_docker_source="none").unchanged()


class TestTwoHosts:
    """The first backend, which stands second in the inventory, makes the stack's instance id; the other host takes it over."""

    def test_the_other_host_alone_gets_no_id_of_its_own(self, pair: Stack) -> None:
        run = pair.role("toucan_host", "--limit", HOST, variables=given())
        run.refused(f"{BACKEND} makes the id of the stack and has none yet", "run the role on it first, or on all hosts")
        for host in (HOST, BACKEND):
            assert pair.host(host).shell("ls /etc/toucan/stack.json 2>/dev/null || true") == ""

    def test_both_get_one_id(self, pair: Stack) -> None:
        pair.role("toucan_host", variables=given()).succeeded()
        assert pair.host(HOST).state()["instance_id"] == pair.host(BACKEND).state()["instance_id"]

    def test_a_second_run_changes_neither(self, pair: Stack) -> None:
        assert pair.changes(pair.role("toucan_host", variables=given()).succeeded()) == {HOST: 0, BACKEND: 0}

    def test_the_other_host_alone_keeps_the_id(self, pair: Stack) -> None:
        assert pair.role("toucan_host", "--limit", HOST, variables=given()).succeeded().recap_of(HOST)["changed"] == 0
