# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drive the images themselves: backend and frontend on the lab's MongoDB and Redis, no lab hosts.

    python3 tests/run.py --keep-lab integration
    .cache/environments/standins-*/bin/python -m pytest tests/lab/standins

The first makes the environment and the images, and runs these tests too; the second runs them alone, as often as wanted.
``STANDINS_PREFIX`` is the prefix the images were built with. `toucan-client` is the vendor's own client, so the API is
looked at by someone who did not write it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import requests
from toucan_client import ToucanClient
from websockets.sync.client import connect

LAB = Path(__file__).resolve().parents[1] / "lab.py"
#: What `lab.py down` knows the lab's containers and networks by; these tests remove theirs themselves, unless they are killed.
LABEL = ("--label", "test.lab.toucan=standins")
PREFIX = os.environ.get("STANDINS_PREFIX", "registry.lab.test:5000")
REPOSITORIES = {"a": "toucantoco", "b": "toucantoco-b"}
ORIGIN = "https://app.lab.test"
SECRET = "the encryption secret of the tests"
MONGODB_USER, MONGODB_PASSWORD, REDIS_PASSWORD = "root", "mongodb-password", "redis-password"
GIVEN_PASSWORD = "a password of our own"
MEGABYTE = 1024 * 1024
BOOT_SECONDS = 60


def docker(*arguments: str) -> str:
    """Run docker; what it says on both channels."""
    result = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


@functools.cache
def lab_images() -> dict[str, str]:
    """Full name by layer of those images of the lab that are needed here; what is missing is built."""
    layers = [item for layer in ("mongodb", "redis", "browser") for item in ("--layer", layer)]
    done = subprocess.run([sys.executable, LAB, "images", *layers], check=True, stdout=subprocess.PIPE, text=True)
    return dict(line.split("\t") for line in done.stdout.splitlines() if "\t" in line)


@dataclass
class Container:
    """A container that runs or ran."""

    name: str

    @property
    def address(self) -> str:
        """Its address on the network."""
        return docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", self.name).strip()

    def logs(self) -> str:
        """All it wrote."""
        return docker("logs", self.name)

    def wait_for_exit(self) -> int:
        """Its exit code, once it ended by itself."""
        return int(docker("wait", self.name))


@dataclass
class Stack:
    """MongoDB and Redis on a network of their own, and backends on them."""

    dialect: str
    network: str
    storage: Path
    containers: list[str] = field(default_factory=list)

    def run(self, service: str, image: str, *options: str, command: tuple[str, ...] = ()) -> Container:
        """Start a container that answers to the name ``service``."""
        name = f"{self.network}-{service}-{uuid.uuid4().hex[:8]}"
        network = ["--network", self.network, "--network-alias", service]
        # Noted first: a container that does not start has been created all the same.
        self.containers.append(name)
        docker("run", "-d", "--name", name, *LABEL, *network, *options, image, *command)
        return Container(name)

    def product(self, service: str, version: str) -> str:
        """Full name of an image of the vendor's."""
        return f"{PREFIX}/{REPOSITORIES[self.dialect]}/{service}:{version}"

    def backend(self, version: str = "v101.1.0", *, alias: str = "backend", **environment: str) -> Container:
        """Start a backend that answers to ``alias``; an upper-case keyword is a variable."""
        variables = {
            "TOUCAN_DB_ENCRYPTION_SECRET": SECRET,
            "TOUCAN_FRONTEND_URLS": json.dumps([ORIGIN]),
            **self.connection(),
            **environment,
        }
        options = [item for name, value in variables.items() for item in ("-e", f"{name}={value}")]
        volume = ["-v", f"{self.storage}:/app/storage"]
        return self.run(alias, self.product("backend", version), *volume, *options)

    def connection(self) -> dict[str, str]:
        """The variables that lead to MongoDB and Redis: none but the instance's name in dialect a."""
        if self.dialect == "a":
            return {"TOUCAN_INSTANCE_NAME": "main"}
        uri = f"mongodb://{MONGODB_USER}:{MONGODB_PASSWORD}@mongo:27017/?authSource=admin"
        return {
            "TOUCAN_MONGODB_HOST": uri,
            "TOUCAN_REDIS_PASSWORD": REDIS_PASSWORD,
            "TOUCAN_USER_SUPERADMIN_PASSWORD": GIVEN_PASSWORD,
            "TOUCAN_USE_JWT_COOKIES": "enable",
        }

    @property
    def password(self) -> str:
        """Password of the super admin: the documented default in dialect a, a given one in b."""
        return "hakunamapikata" if self.dialect == "a" else GIVEN_PASSWORD

    def databases(self) -> list[str]:
        """Names of the databases on the server."""
        script = (
            "import json, pymongo; from standin.config import read_config; from standin.identity import read_dialect;"
            "from standin.database import connect_mongodb;"
            "print(json.dumps(connect_mongodb(read_config(), read_dialect()).list_database_names()))"
        )
        return json.loads(docker("exec", self.containers[-1], "python3", "-c", script))

    def remove(self, container: Container) -> None:
        """Stop and remove one container."""
        docker("rm", "-fv", container.name)
        self.containers.remove(container.name)


def base_url(container: Container, port: int = 80) -> str:
    """URL of what a container serves."""
    return f"http://{container.address}:{port}"


def wait_until_it_answers(container: Container, port: int = 80) -> str:
    """URL of what ``container`` serves, once it does; nginx says 502 until gunicorn listens."""
    deadline = time.monotonic() + BOOT_SECONDS
    url = base_url(container, port)
    while not _answers(url):
        assert time.monotonic() < deadline, container.logs()
        time.sleep(0.3)
    return url


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code != 502
    except requests.ConnectionError:
        return False


def new_stack(dialect: str, storage: Path) -> Iterator[Stack]:
    """A stack's network with MongoDB and Redis; removed in the end, with all that was stored."""
    stack = Stack(dialect, f"standins-{uuid.uuid4().hex[:8]}", storage)
    docker("network", "create", *LABEL, stack.network)
    try:
        login = (f"MONGO_INITDB_ROOT_USERNAME={MONGODB_USER}", f"MONGO_INITDB_ROOT_PASSWORD={MONGODB_PASSWORD}")
        mongodb_options = [item for variable in login for item in ("-e", variable)] if dialect == "b" else []
        stack.run("mongo", lab_images()["mongodb"], *mongodb_options)
        redis_command = ("redis-server", "--requirepass", REDIS_PASSWORD) if dialect == "b" else ()
        stack.run("redis", lab_images()["redis"], command=redis_command)
        yield stack
    finally:
        docker("rm", "-fv", *stack.containers)
        docker("network", "rm", stack.network)
        empty(storage)


def empty(storage: Path) -> None:
    """Remove what backends stored: as users of theirs, so from inside a container."""
    docker("run", "--rm", *LABEL, "-v", f"{storage}:/storage", "--entrypoint", "find", lab_images()["redis"], "/storage", "-mindepth", "1", "-delete")


@pytest.fixture(scope="session", autouse=True)
def removal_when_terminated() -> Iterator[None]:
    """A terminated run ends like an interrupted one: what it started is removed on the way out."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module", autouse=True)
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """The slow release on data of its own, started before all else so that its long migration passes beside the other tests."""
    for stack in new_stack("a", tmp_path_factory.mktemp("slow")):
        yield stack.backend("v101.1.3")


@pytest.fixture(scope="module", params=["a", "b"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """MongoDB and Redis for one dialect."""
    yield from new_stack(request.param, tmp_path_factory.mktemp("storage"))


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Stack]:
    """An empty MongoDB and Redis, dialect a."""
    yield from new_stack("a", tmp_path)


@pytest.fixture(scope="module")
def backend(stack: Stack) -> Container:
    """A healthy backend."""
    container = stack.backend()
    wait_until_it_answers(container)
    return container


@pytest.fixture(scope="module")
def url(backend: Container) -> str:
    """Its URL."""
    return base_url(backend)


def log_in(url: str, username: str, password: str) -> requests.Response:
    """Answer to a login."""
    return requests.post(f"{url}/login", json={"username": username, "password": password}, timeout=10)


def bearer(url: str, username: str, password: str) -> dict[str, str]:
    """Headers of a user who logged in."""
    return {"Authorization": f"Bearer {log_in(url, username, password).json()['token']}"}


@pytest.fixture(scope="module")
def admin(stack: Stack, url: str) -> dict[str, str]:
    """Headers of the super admin."""
    return bearer(url, "toucantoco", stack.password)


def test_about(url: str) -> None:
    response = requests.get(url, timeout=5)
    assert response.text == '{"status":"OK","version":"v101.1.0"}'
    assert response.headers["content-type"] == "application/json"


def test_login_and_token(stack: Stack, url: str, admin: dict[str, str]) -> None:
    assert requests.get(f"{url}/auth/check", timeout=5).json() == {"statusCode": 401, "message": "Unauthorized"}
    user = requests.get(f"{url}/auth/check", headers=admin, timeout=5).json()
    assert (user["username"], user["roles"]) == ("toucantoco", ["SUPER_ADMIN"])
    forged = {"Authorization": admin["Authorization"][:-4] + "AAAA"}
    assert requests.get(f"{url}/auth/check", headers=forged, timeout=5).status_code == 401
    cookies = log_in(url, "toucantoco", stack.password).cookies
    assert ("access_token" in cookies) == (stack.dialect == "b")
    if stack.dialect == "b":
        assert requests.get(f"{url}/auth/check", cookies=cookies, timeout=5).ok


def test_a_fifth_failed_login_locks_the_user_and_no_other(url: str, admin: dict[str, str]) -> None:
    user = {"username": "ann@lab.test", "password": "right", "roles": ["USER"]}
    assert requests.post(f"{url}/users", json=user, headers=admin, timeout=5).ok
    for dummy in range(5):
        response = log_in(url, user["username"], "wrong")
        assert (response.status_code, response.text) == (401, "Login failed. Invalid username or password")
    response = log_in(url, user["username"], user["password"])
    assert response.status_code == 429
    assert response.text.startswith("Too many requests in a short time...")
    assert log_in(url, "nobody", "wrong").status_code == 401


def test_the_vendors_client(stack: Stack, url: str, admin: dict[str, str]) -> None:
    """Its Basic login is accepted in dialect a alone; with a token it works in both."""
    basic = ToucanClient(url, auth=("toucantoco", stack.password))
    response = basic["small-apps"].get()
    assert response.status_code == (200 if stack.dialect == "a" else 401)

    client = ToucanClient(url, headers=admin)
    assert client["small-apps"].post(json={"name": "Client App"}).json() == {
        "id": "client-app",
        "name": "Client App",
    }
    small_app = client["client-app"]
    config = {"DATA_SOURCES": [{"domain": "sales"}]}
    assert small_app.config.etl.put(stage="staging", json=config).ok
    assert small_app.config.etl.get(stage="staging").json() == config
    assert small_app.config.etl.get(stage="production").json() == {"DATA_SOURCES": []}
    assert small_app.config.etl.get(stage="moon").status_code == 400


def test_small_apps_have_a_database_and_a_folder(stack: Stack, url: str, admin: dict[str, str]) -> None:
    database = {"a": "main-sales-2026", "b": "laputa_app_sales-2026"}[stack.dialect]
    created = requests.post(f"{url}/small-apps", json={"name": "Sales 2026"}, headers=admin, timeout=10)
    assert created.json() == {"id": "sales-2026", "name": "Sales 2026"}
    assert database in stack.databases()
    assert {"main", "laputa"} & set(stack.databases()) == {{"a": "main", "b": "laputa"}[stack.dialect]}
    assert (stack.storage / "sales-2026/small_app.json").is_file()
    again = requests.post(f"{url}/small-apps", json={"name": "Sales 2026"}, headers=admin, timeout=10)
    assert again.status_code == 400
    outside = requests.post(f"{url}/small-apps", json={"name": "x", "id": "../x"}, headers=admin, timeout=10)
    assert outside.status_code == 400

    renamed = requests.put(f"{url}/sales-2026/name", json={"name": "Sales"}, headers=admin, timeout=10)
    assert renamed.ok
    assert requests.get(f"{url}/sales-2026/name", headers=admin, timeout=10).json() == {"name": "Sales"}
    assert requests.delete(f"{url}/small-apps/sales-2026", headers=admin, timeout=10).status_code == 204
    assert requests.get(f"{url}/sales-2026/name", headers=admin, timeout=10).status_code == 404
    assert database not in stack.databases()
    assert not (stack.storage / "sales-2026").exists()


def test_instance_settings(url: str, admin: dict[str, str]) -> None:
    settings = requests.get(f"{url}/instance_settings", headers=admin, timeout=5).json()["settings"]
    corporate = {"id": "corp", "type": "OIDC", "name": "Corporate", "icon": "key", "discrete": True, "secret": "x"}
    settings["auth_providers"].append(corporate)
    settings["free"] = {"kept": True}
    assert requests.put(f"{url}/instance_settings", json=settings, headers=admin, timeout=5).ok
    assert requests.get(f"{url}/instance_settings", headers=admin, timeout=5).json() == {"settings": settings}
    providers = {item["id"]: item for item in requests.get(f"{url}/auth/providers", timeout=5).json()}
    assert providers.keys() == {"local", "corp"}
    assert "secret" not in providers["corp"]

    bad = requests.put(f"{url}/instance_settings", json={"auth_providers": 1}, headers=admin, timeout=5)
    assert (bad.status_code, bad.json().keys()) == (400, {"message", "details"})


def test_only_a_super_admin_reads_the_settings(url: str, admin: dict[str, str]) -> None:
    user = {"username": "bob@lab.test", "password": "right", "roles": ["ADMIN"]}
    assert requests.post(f"{url}/users", json=user, headers=admin, timeout=5).ok
    assert "bob@lab.test" in [item["username"] for item in requests.get(f"{url}/users", headers=admin, timeout=5).json()]
    bob = bearer(url, user["username"], user["password"])
    assert requests.get(f"{url}/instance_settings", headers=bob, timeout=5).status_code == 403
    assert requests.get(f"{url}/small-apps", headers=bob, timeout=5).ok
    for wrong in ({"roles": 1}, {"roles": ["KING"]}, {"privileges": []}, {"username": ""}, {"password": None}):
        assert requests.post(f"{url}/users", json={**user, **wrong}, headers=admin, timeout=5).status_code == 400, wrong
    assert "exists" in requests.post(f"{url}/users", json=user, headers=admin, timeout=5).json()["details"]
    promoted = {"username": "eve", "password": "x", "roles": ["SUPER_ADMIN"]}
    assert requests.post(f"{url}/users", json=promoted, headers=bob, timeout=5).status_code == 403


def test_a_user_without_privileges_sees_an_empty_store(url: str, admin: dict[str, str]) -> None:
    requests.post(f"{url}/small-apps", json={"name": "Private"}, headers=admin, timeout=5)
    user = {"username": "cy@lab.test", "password": "right"}
    assert requests.post(f"{url}/users", json=user, headers=admin, timeout=5).ok
    cy = bearer(url, user["username"], user["password"])
    assert requests.get(f"{url}/small-apps", headers=cy, timeout=5).json() == []
    assert requests.post(f"{url}/small-apps", json={"name": "Mine"}, headers=cy, timeout=5).status_code == 403


def test_connectors(url: str, admin: dict[str, str]) -> None:
    assert "MongoDB" in [item["type"] for item in requests.get(f"{url}/connectors/all", headers=admin, timeout=5).json()]


@pytest.mark.parametrize(("origin", "allowed"), [(ORIGIN, True), ("https://evil.test", False)])
def test_preflight(url: str, origin: str, allowed: bool) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-json-flavor",
    }
    response = requests.options(f"{url}/login", headers=asked, timeout=5)
    assert (response.headers.get("Access-Control-Allow-Origin") == origin) is allowed
    assert ("x-json-flavor" in response.headers.get("Access-Control-Allow-Headers", "")) is allowed


def test_websocket(backend: Container) -> None:
    with connect(f"ws://{backend.address}/ws") as socket:
        socket.send("hello")
        assert socket.recv(timeout=5) == "hello"


def test_uploads_up_to_fifty_megabytes(stack: Stack, url: str, admin: dict[str, str]) -> None:
    requests.post(f"{url}/small-apps", json={"name": "Uploads"}, headers=admin, timeout=10)
    content = os.urandom(50_000_000)
    target = f"{url}/uploads/data/sources"
    stored = requests.post(target, files={"file": ("big.csv", content)}, headers=admin, timeout=60).json()
    assert stored == {"name": "big.csv", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert (stack.storage / "uploads/data_sources/big.csv").stat().st_size == len(content)
    assert requests.get(target, headers=admin, timeout=5).json() == [{"name": "big.csv", "size": len(content)}]
    too_big = requests.post(target, files={"file": ("x", bytes(50 * MEGABYTE))}, headers=admin, timeout=60)
    assert too_big.status_code == 413
    assert requests.post(target, data=b"no form", headers=admin, timeout=5).status_code == 400


def test_logs_are_json_lines(backend: Container) -> None:
    for line in backend.logs().splitlines():
        assert {"date", "level", "pid", "thread", "output.module"} <= json.loads(line).keys()


def test_migrate_list_and_workers(stack: Stack, backend: Container) -> None:
    listed = docker("exec", backend.name, "toucan-ctl", "migrate", "list").splitlines()
    assert len(listed) == 2
    assert all(line.startswith("[APPLIED] ") for line in listed)
    # Five workers by default, and the one that started them.
    assert docker("top", backend.name).count("gunicorn.conf.py") == 6


def test_the_same_data_serves_a_new_container_and_no_wrong_secret(stack: Stack, backend: Container) -> None:
    wrong = stack.backend(TOUCAN_DB_ENCRYPTION_SECRET="another")
    assert wrong.wait_for_exit() == 1
    assert "TOUCAN_DB_ENCRYPTION_SECRET does not decrypt" in wrong.logs()
    stack.remove(wrong)
    workers = stack.backend(TOUCAN_GUNICORN_WORKERS="2", TOUCAN_JWT_SECRET_KEY="k", TOUCAN_TOKEN_VALIDITY="1 second")
    url = wait_until_it_answers(workers)
    assert docker("top", workers.name).count("gunicorn.conf.py") == 3
    token = bearer(url, "toucantoco", stack.password)
    assert requests.get(f"{url}/auth/check", headers=token, timeout=5).ok
    time.sleep(2.1)
    assert requests.get(f"{url}/auth/check", headers=token, timeout=5).status_code == 401
    started = time.monotonic()
    docker("stop", workers.name)
    assert time.monotonic() - started < 8
    stack.remove(workers)


def test_frontend(stack: Stack) -> None:
    frontend = stack.run("frontend", stack.product("frontend", "v101.1.0"), "-e", "API_BASEROUTE=https://api.lab.test/_api")
    url = wait_until_it_answers(frontend)
    assert requests.get(f"{url}/tucana-version.txt", timeout=5).text.strip() == "v101.1.0"
    params = requests.get(f"{url}/scripts/tc-params.js", timeout=5).text
    assert '"API_BASEROUTE": "https://api.lab.test/_api"' in params
    assert "__TENANT_PLACEHOLDER__" in params
    assert requests.get(f"{url}/embed-params.json", timeout=5).json()["SANITIZE_HTML"] == "enable"
    assert requests.get(f"{url}/any/page", timeout=5).text == requests.get(url, timeout=5).text
    stack.remove(frontend)


def test_frontend_with_a_mounted_parameter_file(stack: Stack, tmp_path: Path) -> None:
    params = tmp_path / "tc-params.js"
    params.write_text('window.TC_PARAMS = {"API_BASEROUTE": "https://mounted.test"};\n')
    mount = f"{params}:/usr/share/nginx/html/scripts/tc-params.js:ro"
    frontend = stack.run("frontend", stack.product("frontend", "v101.1.0"), "-v", mount, "-e", "API_BASEROUTE=x")
    url = wait_until_it_answers(frontend)
    assert requests.get(f"{url}/scripts/tc-params.js", timeout=5).text == params.read_text()
    stack.remove(frontend)


# What a person does on each page: open it, log in, read it. Prints the text of each element by id, a line a page.
VISITS = """
import json, sys
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
options = webdriver.ChromeOptions()
for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
    options.add_argument(option)
with webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver")) as browser:
    for page, password in json.load(sys.stdin):
        browser.get(page)
        text = lambda name: browser.find_element(By.ID, name).text
        browser.find_element(By.ID, "username").send_keys("toucantoco")
        browser.find_element(By.ID, "password").send_keys(password)
        browser.find_element(By.ID, "login").click()
        done = lambda _: text("error") or (text("apps") and text("ws") != "connecting" and "backend" in text("version"))
        WebDriverWait(browser, 20).until(done)
        print(json.dumps({name: text(name) for name in ("who", "apps", "ws", "version", "version-warning", "error")}))
"""


def visit(stack: Stack, *visits: tuple[str, str]) -> list[dict[str, str]]:
    """What the page of a new frontend shows in a browser after a login, for each version and password."""
    frontends = [stack.run("frontend", stack.product("frontend", version), "-e", "API_BASEROUTE=http://page-api") for version, dummy in visits]
    pages = [(wait_until_it_answers(frontend), password) for frontend, (dummy, password) in zip(frontends, visits)]
    browser = Container(f"{stack.network}-browser")
    stack.containers.append(browser.name)
    options = ["--name", browser.name, "--network", stack.network, *LABEL]
    command = ["docker", "run", "-i", *options, lab_images()["browser"], "python3", "-c", VISITS]
    done = subprocess.run(command, input=json.dumps(pages), check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    stack.remove(browser)
    for frontend in frontends:
        stack.remove(frontend)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_page_in_a_browser(stack: Stack) -> None:
    backend = stack.backend(alias="page-api", TOUCAN_FRONTEND_URLS="[]")
    url = wait_until_it_answers(backend)
    admin = bearer(url, "toucantoco", stack.password)
    requests.post(f"{url}/small-apps", json={"name": "On The Page"}, headers=admin, timeout=10)

    good, wrong = stack.password, "wrong"
    shown, other_major, refused = visit(stack, ("v101.0.0", good), ("v100.1.0", good), ("v101.1.0", wrong))
    assert "On The Page" in shown.pop("apps").splitlines()
    assert shown == {
        "who": "toucantoco (SUPER_ADMIN)",
        "ws": "open",
        "version": "frontend v101.0.0, backend v101.1.0",
        "version-warning": "",
        "error": "",
    }
    assert other_major["version-warning"] == "frontend v100.1.0 and backend v101.1.0 do not fit together"
    assert refused["error"] == "/login: 401 Login failed. Invalid username or password"
    stack.remove(backend)


def test_never_healthy(stack: Stack) -> None:
    sick = stack.backend("v101.1.1")
    response = requests.get(wait_until_it_answers(sick), timeout=5)
    assert response.json() == {"status": "KO", "version": "v101.1.1"}
    assert response.status_code == {"a": 200, "b": 503}[stack.dialect]
    stack.remove(sick)


def test_without_the_inner_nginx_it_listens_on_5000(stack: Stack) -> None:
    bare = stack.backend(TOUCAN_NGINX_SUPERVISOR="off")
    url = wait_until_it_answers(bare, port=5000)
    assert requests.get(url, timeout=5).json()["status"] == "OK"
    with pytest.raises(requests.ConnectionError):
        requests.get(base_url(bare), timeout=5)
    stack.remove(bare)


def test_without_a_secret_it_says_so(stack: Stack) -> None:
    backend = stack.backend(TOUCAN_DB_ENCRYPTION_SECRET="")
    assert backend.wait_for_exit() == 1
    assert "TOUCAN_DB_ENCRYPTION_SECRET is not set" in backend.logs()
    stack.remove(backend)


def test_upgrade_downgrade_and_broken_migration(fresh: Stack) -> None:
    """v100 to a broken v101 and back: the data shows each step."""
    old = fresh.backend("v100.1.0")
    url = wait_until_it_answers(old)
    user = requests.get(f"{url}/auth/check", headers=bearer(url, "toucantoco", fresh.password), timeout=5).json()
    assert "auth_type" not in user
    fresh.remove(old)

    broken = fresh.backend("v101.1.2")
    assert broken.wait_for_exit() == 1
    assert "migration 20261103_unreadable_document of v101.1.2 failed" in broken.logs()
    fresh.remove(broken)

    back = fresh.backend("v100.1.0")
    assert back.wait_for_exit() == 1
    assert "the data was migrated by a newer release than v100.1.0" in back.logs()
    fresh.remove(back)

    good = fresh.backend("v101.1.0")
    url = wait_until_it_answers(good)
    user = requests.get(f"{url}/auth/check", headers=bearer(url, "toucantoco", fresh.password), timeout=5).json()
    assert user["auth_type"] == "local_set_by_admin"


def test_slow_release_answers_after_its_migration(slow: Container) -> None:
    url = wait_until_it_answers(slow)
    assert requests.get(url, timeout=5).json() == {"status": "OK", "version": "v101.1.3"}
    lines = [json.loads(line) for line in slow.logs().splitlines()]
    migrating = dates(line for line in lines if line["output.message"] == "a long migration runs")
    serving = dates(line for line in lines if line["output.module"].startswith("gunicorn"))
    assert serving[0] - migrating[0] >= timedelta(seconds=25)


def dates(lines: Iterable[dict[str, str]]) -> list[datetime]:
    """When lines of a log were written."""
    return [datetime.fromisoformat(line["date"]) for line in lines]
