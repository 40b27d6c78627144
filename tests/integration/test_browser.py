# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The product in a real browser, through the proxy: what a user sees after `site.yml`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labrun.hosts import Host
from labrun.user import ADMIN, BACKEND, FRONTEND, admin_password, bearer, browse, curl

APP = "Seen in the browser"

#: Opens the frontend, logs in with the password from standard input, and tells what the page showed and how secure it all was.
VISIT = (
    """
import json, sys
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

address, password = sys.argv[1], sys.stdin.read()
options = webdriver.ChromeOptions()
options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
rules = f"MAP FRONTEND {address}, MAP BACKEND {address}"
for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--host-resolver-rules={rules}"):
    options.add_argument(option)
with webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver")) as browser:
    browser.get("https://FRONTEND/")
    if not browser.find_elements(By.ID, "version"):
        print(json.dumps({"instead": browser.find_element(By.TAG_NAME, "body").text}))
        sys.exit()
    text = lambda name: browser.find_element(By.ID, name).text
    wait = lambda done: WebDriverWait(browser, 20).until(lambda _: text("error") or done())
    wait(lambda: "backend" in text("version") and text("ws") != "connecting")
    browser.find_element(By.ID, "username").send_keys("ADMIN")
    browser.find_element(By.ID, "password").send_keys(password)
    browser.find_element(By.ID, "login").click()
    wait(lambda: text("apps"))
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    responses = [event["params"]["response"] for event in events if event["method"] == "Network.responseReceived"]
    frames = [event["params"]["response"]["payloadData"] for event in events if event["method"] == "Network.webSocketFrameReceived"]
    print(json.dumps({
        "page": {name: text(name) for name in ("who", "apps", "ws", "version", "version-warning", "error")},
        "context": browser.execute_script("return window.isSecureContext"),
        "responses": [
            {"url": response["url"], "state": response["securityState"], "details": response.get("securityDetails", {})}
            for response in responses if response["url"].startswith("http")
        ],
        "frames": frames,
        "console": [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"],
    }))
""".replace("FRONTEND", FRONTEND)
    .replace("BACKEND", BACKEND)
    .replace("ADMIN", ADMIN)
)


@pytest.fixture(scope="module")
def visit(proxied: Host) -> dict[str, Any]:
    """What a user who logs in saw, with one small app in the product."""
    header = bearer(proxied)
    body = json.dumps({"name": APP})
    created = json.loads(curl(proxied, f"-f https://{BACKEND}/small-apps -H @- -H 'Content-Type: application/json' --data '{body}'", header))
    try:
        return json.loads(browse(proxied, VISIT, admin_password(proxied).encode()))
    finally:
        curl(proxied, f"-f -X DELETE https://{BACKEND}/small-apps/{created['id']} -H @-", header)


def test_the_page_shows_versions_user_and_small_apps_and_no_error(visit: dict[str, Any]) -> None:
    assert visit["page"] == {
        "who": f"{ADMIN} (SUPER_ADMIN)",
        "apps": APP,
        "ws": "open",
        "version": "frontend v101.1.0, backend v101.1.0",
        "version-warning": "",
        "error": "",
    }
    assert visit["console"] == []


def test_the_browser_holds_everything_for_secure(visit: dict[str, Any]) -> None:
    asked = {response["url"] for response in visit["responses"]}
    assert {f"https://{FRONTEND}/", f"https://{BACKEND}/login", f"https://{BACKEND}/small-apps"} <= asked
    assert [response for response in visit["responses"] if response["state"] != "secure"] == []
    assert {response["details"]["issuer"] for response in visit["responses"]} == {"Toucan lab CA"}
    assert visit["context"] is True


def test_the_websocket_echoed(visit: dict[str, Any]) -> None:
    assert visit["frames"] == ["hello"]


def test_a_browser_that_does_not_know_the_ca_refuses(proxied: Host) -> None:
    """So the visits above prove something: this browser does look at certificates."""
    answer = json.loads(browse(proxied, VISIT, home="/tmp"))
    assert "ERR_CERT_AUTHORITY_INVALID" in answer["instead"]
