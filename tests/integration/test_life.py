# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a running stack when somebody meddles with it or a run of the collection dies, and what the next run heals."""

from __future__ import annotations

import time

from labrun.hosts import Host, site_variables

PATIENCE_SECONDS = 180
#: What the product's services answer at their addresses, asked from the host without anything of the collection.
ASK = """
python3 - <<'PY'
import json, subprocess, urllib.request
def get(service, path):
    address = subprocess.run(["docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", f"toucan-{service}-1"],
                             capture_output=True, text=True, check=True).stdout.strip()
    with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
        return answer.read().decode().strip()
print(json.loads(get("backend", "/"))["status"], get("frontend", "/tucana-version.txt"))
PY
"""


def wait_until_it_answers(host: Host) -> None:
    """Return when backend and frontend answer; fail with the last refusal."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            assert host.shell(ASK) == "OK v101.1.0\n"
            return
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(1)


def test_what_was_stopped_paused_or_removed_by_hand_comes_back(stack: Host) -> None:
    before = stack.containers()
    stack.shell("docker stop toucan-redis-1 && docker pause toucan-mongo-1 && docker rm -f toucan-frontend-1")
    run = stack.role("toucan_stack", "--diff", variables=site_variables()).succeeded()
    assert run.recap["changed"] == 1
    wait_until_it_answers(stack)
    after = stack.containers()
    assert {name for name in after if after[name] != before.get(name)} == {"toucan-frontend-1"}
    assert stack.shell("docker inspect -f '{{.State.Status}}' toucan-redis-1 toucan-mongo-1").split() == ["running", "running"]
    stack.role("toucan_stack", variables=site_variables()).unchanged()


def test_a_run_that_died_after_it_wrote_a_file_is_finished_by_the_next(stack: Host) -> None:
    """The file is new and its reader old: to the host that looks as if the file was just touched."""
    before = stack.containers()
    stack.shell("touch /var/lib/toucan/stack/redis/redis.conf")
    stack.role("toucan_stack", variables=site_variables()).succeeded()
    after = stack.containers()
    assert {name for name in after if after[name] != before[name]} == {"toucan-redis-1"}
    stack.role("toucan_stack", variables=site_variables()).unchanged()


def test_a_run_that_died_before_it_started_a_service_is_finished_by_the_next(stack: Host) -> None:
    """The compose file says what was asked, and the container is the one before."""
    before = stack.containers()
    stack.shell("sed -i 's/TOUCAN_LOG_LEVEL: \"INFO\"/TOUCAN_LOG_LEVEL: \"DEBUG\"/' /var/lib/toucan/stack/compose.yaml")
    assert "DEBUG" in stack.shell("cat /var/lib/toucan/stack/compose.yaml")
    variables = {**site_variables(), "toucan_stack_log_level": "DEBUG"}
    stack.role("toucan_stack", variables=variables).succeeded()
    after = stack.containers()
    assert {name for name in after if after[name] != before[name]} == {"toucan-backend-1"}
    stack.role("toucan_stack", variables=site_variables()).succeeded()


def test_lost_compose_files_are_written_again_and_nothing_is_started_anew(stack: Host) -> None:
    before, text = stack.containers(), stack.shell("cat /var/lib/toucan/stack/compose.yaml")
    stack.shell("rm /var/lib/toucan/stack/compose.yaml /var/lib/toucan/stack/compose.override.yaml")
    stack.role("toucan_stack", variables=site_variables()).succeeded()
    assert stack.shell("cat /var/lib/toucan/stack/compose.yaml") == text
    assert stack.containers() == before
