# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role `toucan_host` over ssh on hosts of the lab: Debian 13 from nothing, and Debian 12 with an engine that was there before.

The tests of one class build on each other, in their order: a bare host is made once.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from typing import Any

import pytest

from labrun.hosts import LISTING, Host, Run, fresh_host, lab_command, lab_facts

#: The other tests use the first host.
HOST = "host2"
TASKS_OF_A_SECOND_RUN = 20
COMPOSE_OF_DEBIAN_13 = "/usr/libexec/docker/cli-plugins/docker-compose"
PLUGIN_FOLDER = "/usr/local/lib/docker/cli-plugins"


class RoleHost(Host):
    """A host that the role alone is applied to."""

    def apply(self, *arguments: str, **options: Any) -> Run:
        """Run the role with these options."""
        lab = lab_facts()
        variables = {"toucan_ca_file": lab["lab_ca_file"], "toucan_registry": {"name": f"{lab['lab_registry']}/toucantoco"}, **options}
        return self.role("toucan_host", *arguments, variables=variables)


@pytest.fixture(scope="class")
def host(request: pytest.FixtureRequest) -> RoleHost:
    """A host fresh from the image that the class names, in the place of the one before."""
    if request.cls.image == "bookworm":
        lab_command("images", "--layer", "host-bookworm")
    return RoleHost(fresh_host(HOST, request.cls.image).name)


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

    def test_check_mode_foresees_the_work_and_changes_nothing(self, host: RoleHost) -> None:
        before = host.shell(LISTING)
        run = host.apply("--check", "--diff").succeeded()
        assert run.recap["changed"] > 0
        assert host.shell(LISTING) == before

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
        started = host.shell("systemctl show -p ActiveEnterTimestampMonotonic docker")
        recap = host.apply().unchanged().recap
        assert recap["ok"] + recap["skipped"] <= TASKS_OF_A_SECOND_RUN
        assert host.shell("systemctl show -p ActiveEnterTimestampMonotonic docker") == started

    def test_check_mode_on_the_finished_host_has_nothing_to_do(self, host: RoleHost) -> None:
        host.apply("--check", "--diff").unchanged()

    def test_the_system_and_the_engine_trust_the_ca(self, host: RoleHost) -> None:
        registry = lab_facts()["lab_registry"]
        assert "401" in host.shell(f"curl --silent --output /dev/null --write-out '%{{http_code}}' https://{registry}/v2/")
        password = str(lab_facts()["lab_registry_password"]).encode()
        host.shell(f"docker login --username {lab_facts()['lab_registry_username']} --password-stdin {registry}", stdin=password)
        host.shell(f"docker pull --quiet {lab_facts()['lab_service_images']['redis']}")
        host.shell(f"docker logout {registry}")

    def test_the_engines_configuration_is_merged_and_restarts_it_once(self, host: RoleHost) -> None:
        host.shell("echo '{\"log-opts\": {\"max-file\": \"2\"}}' > /etc/docker/daemon.json")
        configuration = {"log-driver": "json-file", "log-opts": {"max-size": "10m"}}
        started = host.shell("systemctl show -p ActiveEnterTimestampMonotonic docker")
        host.apply(toucan_host_docker_configuration=configuration).succeeded()
        restarted = host.shell("systemctl show -p ActiveEnterTimestampMonotonic docker")
        assert restarted != started
        assert json.loads(host.shell("cat /etc/docker/daemon.json")) == {"log-driver": "json-file", "log-opts": {"max-file": "2", "max-size": "10m"}}
        host.apply(toucan_host_docker_configuration=configuration).unchanged()
        assert host.shell("systemctl show -p ActiveEnterTimestampMonotonic docker") == restarted

    def test_a_configuration_that_the_engine_refuses_is_not_written(self, host: RoleHost) -> None:
        before = host.shell("cat /etc/docker/daemon.json")
        host.apply(toucan_host_docker_configuration={"no-such-setting": True}).refused("no-such-setting")
        assert host.shell("cat /etc/docker/daemon.json") == before

    def test_a_proxys_password_shows_nowhere(self, host: RoleHost) -> None:
        proxy = {"https_proxy": "http://someone:verysecret@127.0.0.1:9", "no_proxy": "localhost"}
        run = host.apply("--diff", "-vvv", toucan_host_proxy=proxy).succeeded()
        assert "verysecret" not in run.output
        for path in ("/etc/docker/daemon.json", "/etc/apt/apt.conf.d/95toucan-proxy"):
            assert host.shell(f"stat -c %a {path}; grep -c verysecret {path}").split() == ["600", "1"]

    def test_a_stopped_engine_is_started(self, host: RoleHost) -> None:
        # systemd counts the restarts of the tests before this one, and would refuse one more start within the minute.
        host.shell("systemctl stop docker.socket docker.service 2>&1; systemctl reset-failed docker.service")
        host.apply().succeeded()
        assert host.shell("systemctl is-active docker").strip() == "active"


class TestDebian12:
    """With `none`: its distribution has an engine and no Compose v2."""

    image = "bookworm"

    def test_the_distribution_is_refused(self, host: RoleHost) -> None:
        host.apply().refused("Debian 12 has no Docker Engine with Compose v2", "set `toucan_host_docker_source`")

    def test_a_missing_engine_is_told_in_check_mode_too(self, host: RoleHost) -> None:
        host.apply("--check", toucan_host_docker_source="none").refused("Docker Engine does not answer", "install or start what is missing")

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
