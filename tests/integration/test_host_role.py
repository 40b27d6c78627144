# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role `toucan_host` over ssh on hosts of the lab: Debian 13 from nothing, and Debian 12 with an engine that was there before.

The tests of one class build on each other, in their order: a bare host is made once.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolchain.places import CACHE, ROOT

LAB = CACHE / "lab"
pytestmark = pytest.mark.skipif(not (LAB / "vars.yml").exists(), reason="the lab is not up")

#: The other tests use the first host.
HOST = "host2"
TASKS_OF_A_SECOND_RUN = 20
COMPOSE_OF_DEBIAN_13 = "/usr/libexec/docker/cli-plugins/docker-compose"
PLUGIN_FOLDER = "/usr/local/lib/docker/cli-plugins"
#: What a host is, for the comparison before and after check mode; what logs and time change is left out.
LISTING = (
    "find /etc /opt /root /srv /usr /var -xdev"
    " \\( -path /var/log -o -path /var/tmp -o -path /root/.ansible -o -path /var/lib/systemd -o -path /var/cache/apt/pkgcache.bin"
    " -o -path /var/cache/apt/srcpkgcache.bin \\) -prune -o ! -type d -printf '%p %s %m %U %G %T@\\n' | sort"
)


@dataclass(frozen=True)
class Run:
    """What one run of a playbook gave."""

    code: int
    output: str

    @property
    def recap(self) -> dict[str, int]:
        """The counts of the host's last line."""
        line = re.search(rf"^{HOST} +: (.*)$", self.output, re.MULTILINE)
        assert line, self.output
        return {name: int(count) for name, count in (pair.split("=") for pair in line[1].split())}

    def succeeded(self) -> Run:
        """This run, if nothing failed."""
        assert self.code == 0, self.output
        return self

    def changed_nothing(self) -> Run:
        """This run, if it succeeded and changed nothing."""
        assert self.succeeded().recap["changed"] == 0, self.output
        return self

    def refused(self, *words: str) -> Run:
        """This run, if it failed with all of `words` in its message."""
        assert self.code != 0, self.output
        text = re.sub(r"\s+", " ", self.output)
        assert [word for word in words if word not in text] == [], self.output
        return self


@dataclass(frozen=True)
class Host:
    """One host of the lab."""

    folder: Path
    lab: Mapping[str, Any]

    def shell(self, command: str, stdin: bytes | None = None) -> str:
        """Output of a shell command on the host."""
        done = subprocess.run(["ssh", "-F", str(LAB / "ssh_config"), HOST, command], input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
        return done.stdout.decode()

    def apply(self, *arguments: str, **options: Any) -> Run:
        """Run the role with these options."""
        play = {
            "name": "Host",
            "hosts": HOST,
            "gather_facts": False,
            "tasks": [{"name": "Apply the role", "ansible.builtin.import_role": {"name": "toucan.selfhosted.toucan_host"}}],
        }
        variables = {"toucan_ca_file": self.lab["lab_ca_file"], "toucan_registry": {"name": f"{self.lab['lab_registry']}/toucantoco"}, **options}
        playbook, extra = self.folder / "play.yml", self.folder / "variables.json"
        playbook.write_text(yaml.safe_dump([play]), encoding="utf-8")
        extra.write_text(json.dumps(variables), encoding="utf-8")
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "-i", self._inventory(), "-e", f"@{extra}", *arguments, playbook],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return Run(done.returncode, done.stdout.decode())

    def _inventory(self) -> Path:
        # The host alone: what other hosts of the lab are in the middle of does not matter here.
        inventory = yaml.safe_load((LAB / "inventory.yml").read_text(encoding="utf-8"))
        group = inventory["all"]["children"]["toucan"]
        group["hosts"] = {HOST: group["hosts"][HOST]}
        path = self.folder / "inventory.yml"
        path.write_text(yaml.safe_dump(inventory), encoding="utf-8")
        return path


def lab_command(*arguments: str) -> None:
    """Run `lab.py`."""
    done = subprocess.run([sys.executable, ROOT / "tests" / "lab" / "lab.py", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode()


@pytest.fixture(scope="class")
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A host fresh from the image that the class names, in the place of the one before."""
    if request.cls.image == "bookworm":
        lab_command("images", "--layer", "host-bookworm")
    lab_command("up", "--hosts", "2")
    lab_command("recreate", HOST, "--image", request.cls.image)
    return Host(tmp_path_factory.mktemp(request.cls.image), yaml.safe_load((LAB / "vars.yml").read_text(encoding="utf-8")))


class TestDebian13:
    """From a bare host, with the distribution's packages."""

    image = "bare"

    def test_the_host_is_bare(self, host: Host) -> None:
        assert host.shell("command -v docker || ls /opt/toucan /etc/toucan 2>/dev/null || true") == ""

    def test_a_misspelt_variable_stops_before_anything_is_changed(self, host: Host) -> None:
        before = host.shell(LISTING)
        run = host.apply(toucan_host_minimum_disk_bg=1).refused("toucan_host_minimum_disk_bg", "write `toucan_host_minimum_disk_gb`")
        assert run.recap["changed"] == 0
        assert host.shell(LISTING) == before

    def test_all_that_is_lacking_is_told_at_once(self, host: Host) -> None:
        run = host.apply(toucan_host_minimum_disk_gb=1000000, toucan_host_minimum_memory_mb=100000000)
        run.refused("3 problems", "lower `toucan_host_minimum_disk_gb`", "lower `toucan_host_minimum_memory_mb`")

    def test_check_mode_foresees_the_work_and_changes_nothing(self, host: Host) -> None:
        before = host.shell(LISTING)
        run = host.apply("--check", "--diff").succeeded()
        assert run.recap["changed"] > 0
        assert host.shell(LISTING) == before

    def test_the_engine_compose_and_the_libraries_are_there(self, host: Host) -> None:
        host.apply().succeeded()
        assert re.match(r"v?2\.", host.shell("docker compose version --short"))
        assert host.shell("docker info --format '{{.ServerVersion}}'").strip()
        state = json.loads(host.shell("cat /etc/toucan/stack.json"))
        imports = "import docker, pymongo, requests, jmespath, cryptography, isal.igzip, pyrage, yaml; print(docker.from_env().ping(), pymongo.version)"
        assert re.match(r"True 4\.16\.", host.shell(f"{state['python']} -c {shlex.quote(imports)}"))

    def test_folders_have_owner_and_mode(self, host: Host) -> None:
        listed = host.shell("stat -c '%n %U %G %a' /etc/toucan /var/lib/toucan /var/backups/toucan").splitlines()
        assert listed == ["/etc/toucan root root 755", "/var/lib/toucan root root 750", "/var/backups/toucan root root 700"]

    def test_a_second_run_changes_nothing_in_few_tasks(self, host: Host) -> None:
        started = host.shell("systemctl show -p ActiveEnterTimestampMonotonic docker")
        recap = host.apply().changed_nothing().recap
        assert recap["ok"] + recap["skipped"] <= TASKS_OF_A_SECOND_RUN
        assert host.shell("systemctl show -p ActiveEnterTimestampMonotonic docker") == started

    def test_check_mode_on_the_finished_host_has_nothing_to_do(self, host: Host) -> None:
        host.apply("--check", "--diff").changed_nothing()

    def test_the_system_and_the_engine_trust_the_ca(self, host: Host) -> None:
        registry = host.lab["lab_registry"]
        assert "401" in host.shell(f"curl --silent --output /dev/null --write-out '%{{http_code}}' https://{registry}/v2/")
        password = str(host.lab["lab_registry_password"]).encode()
        host.shell(f"docker login --username {host.lab['lab_registry_username']} --password-stdin {registry}", stdin=password)
        host.shell(f"docker pull --quiet {host.lab['lab_service_images']['redis']}")
        host.shell(f"docker logout {registry}")

    def test_the_engines_configuration_is_merged_and_restarts_it_once(self, host: Host) -> None:
        host.shell("echo '{\"log-opts\": {\"max-file\": \"2\"}}' > /etc/docker/daemon.json")
        configuration = {"log-driver": "json-file", "log-opts": {"max-size": "10m"}}
        started = host.shell("systemctl show -p ActiveEnterTimestampMonotonic docker")
        host.apply(toucan_host_docker_configuration=configuration).succeeded()
        restarted = host.shell("systemctl show -p ActiveEnterTimestampMonotonic docker")
        assert restarted != started
        assert json.loads(host.shell("cat /etc/docker/daemon.json")) == {"log-driver": "json-file", "log-opts": {"max-file": "2", "max-size": "10m"}}
        host.apply(toucan_host_docker_configuration=configuration).changed_nothing()
        assert host.shell("systemctl show -p ActiveEnterTimestampMonotonic docker") == restarted

    def test_a_configuration_that_the_engine_refuses_is_not_written(self, host: Host) -> None:
        before = host.shell("cat /etc/docker/daemon.json")
        host.apply(toucan_host_docker_configuration={"no-such-setting": True}).refused("no-such-setting")
        assert host.shell("cat /etc/docker/daemon.json") == before

    def test_a_proxys_password_shows_nowhere(self, host: Host) -> None:
        proxy = {"https_proxy": "http://someone:verysecret@127.0.0.1:9", "no_proxy": "localhost"}
        run = host.apply("--diff", "-vvv", toucan_host_proxy=proxy).succeeded()
        assert "verysecret" not in run.output
        for path in ("/etc/docker/daemon.json", "/etc/apt/apt.conf.d/95toucan-proxy"):
            assert host.shell(f"stat -c %a {path}; grep -c verysecret {path}").split() == ["600", "1"]

    def test_a_stopped_engine_is_started(self, host: Host) -> None:
        # systemd counts the restarts of the tests before this one, and would refuse one more start within the minute.
        host.shell("systemctl stop docker.socket docker.service 2>&1; systemctl reset-failed docker.service")
        host.apply().succeeded()
        assert host.shell("systemctl is-active docker").strip() == "active"


class TestDebian12:
    """With `none`: its distribution has an engine and no Compose v2."""

    image = "bookworm"

    def test_the_distribution_is_refused(self, host: Host) -> None:
        host.apply().refused("Debian 12 has no Docker Engine with Compose v2", "set `toucan_host_docker_source`")

    def test_a_missing_engine_is_told_in_check_mode_too(self, host: Host) -> None:
        host.apply("--check", toucan_host_docker_source="none").refused("Docker Engine does not answer", "install or start what is missing")

    def test_a_missing_compose_is_told(self, host: Host) -> None:
        host.shell("DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends docker.io")
        host.apply(toucan_host_docker_source="none").refused("`docker compose` is missing")

    def test_compose_put_in_by_other_means_will_do(self, host: Host) -> None:
        plugin = subprocess.run(
            ["docker", "run", "--rm", "--network=none", "--entrypoint=cat", host.lab["lab_images"]["host-ready"], COMPOSE_OF_DEBIAN_13],
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        target = f"{PLUGIN_FOLDER}/docker-compose"
        host.shell(f"mkdir -p {PLUGIN_FOLDER} && cat > {target} && chmod 755 {target}", stdin=plugin)
        host.apply(toucan_host_docker_source="none").succeeded()
        host.apply(toucan_host_docker_source="none").changed_nothing()
