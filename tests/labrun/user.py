# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users of one host's product do and see, on a machine that trusts the lab's CA, or in a browser on it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .hosts import Host, lab_command, user_shell

FRONTEND = "app.lab.test"
BACKEND = "api.lab.test"
ADMIN = "toucantoco"
CLIENT = "toucan-lab-client"
BROWSER = "toucan-lab-browser"

#: Asks for a page again and again as browsers do, by HTTP/2, each time over a new connection, and talks on one websocket, until its
#: input ends. Beside that, some over a slow line: they have a connection for a while (in seconds) before they begin with TLS; none where that is 0.
PRESENCE = """
import json, socket, ssl, subprocess, sys, threading, time
import websocket

address, frontend, backend, slowness = sys.argv[1:]
trust = ssl.create_default_context()
ended = threading.Event()
seen = {"answers": 0, "failures": [], "echoes": 0, "websocket": "open"}


def connect(name, pause=0.0):
    connection = socket.create_connection((address, 443), timeout=20)
    time.sleep(pause)
    return trust.wrap_socket(connection, server_hostname=name)


def begin_slowly(name):
    while not ended.is_set():
        try:
            connect(name, float(slowness)).close()
        except ConnectionResetError:
            pass  # docs/limits.md: it was waiting in the kernel while Caddy closed a socket
        except OSError as error:
            seen["failures"].append(f"{name}, slowly: {error!r}")


def ask():
    names = [f"{frontend}:443:{address}", "--output", "/dev/null", "--write-out", "%{http_version} %{http_code}"]
    while not ended.wait(0.02):
        done = subprocess.run(["curl", "-sS", "--resolve", *names, f"https://{frontend}/tucana-version.txt"], capture_output=True, text=True)
        if done.stdout == "2 200":
            seen["answers"] += 1
        else:
            seen["failures"].append(done.stdout + done.stderr)


def talk(talking):
    try:
        while not ended.wait(0.05):
            talking.send("hello")
            if talking.recv() == "hello":
                seen["echoes"] += 1
            else:
                raise ConnectionError("closed by the server")
    except (OSError, websocket.WebSocketException) as error:
        seen["websocket"] = repr(error)


talking = websocket.create_connection(f"wss://{backend}/ws", socket=connect(backend))
threads = [threading.Thread(target=ask), threading.Thread(target=talk, args=(talking,))]
if float(slowness):
    threads += [threading.Thread(target=begin_slowly, args=(name,)) for name in (frontend, backend) * 4]
for thread in threads:
    thread.start()
print("ready", flush=True)
sys.stdin.read()
ended.set()
for thread in threads:
    thread.join()
print(json.dumps(seen))
"""


@dataclass
class Seen:
    """What a user who was there saw: answers with status 200 and others, echoes, and what became of the websocket (`open` or an error)."""

    answers: int = 0
    failures: list[str] = field(default_factory=list)
    echoes: int = 0
    websocket: str = ""


@contextmanager
def present_user(host: Host, frontend: str = FRONTEND, backend: str = BACKEND, trust: str = "", slowness: float = 0.0) -> Iterator[Seen]:
    """A user who asks and talks all the time; what they saw is filled in at the end.

    :param trust: file on the user's machine with the CAs to trust, instead of that machine's own.
    :param slowness: how many seconds others have a connection before they begin with TLS; without it there are no others.
    """
    trusting = ["--env", f"SSL_CERT_FILE={trust}"] if trust else []
    command = ["docker", "exec", "-i", *trusting, CLIENT, "python3", "-c", PRESENCE, host.address, frontend, backend, str(slowness)]
    seen = Seen()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        try:
            yield seen
        finally:
            output, errors = process.communicate()
    assert (first, process.returncode) == ("ready\n", 0), errors
    vars(seen).update(json.loads(output))


def curl(host: Host, arguments: str, stdin: bytes | None = None) -> str:
    """Output of curl, where the product's public names lead to this host."""
    names = " ".join(f"--resolve {name}:{port}:{host.address}" for name in (FRONTEND, BACKEND) for port in (80, 443))
    return user_shell(f"curl -sS {names} {arguments}", stdin)


def admin_password(host: Host) -> str:
    """The password of the product's first user."""
    return json.loads(host.shell("cat /etc/toucan/secrets.json"))["admin_password"]


def bearer(host: Host) -> bytes:
    """The header of a logged-in admin, for curl's `-H @-`."""
    login = json.dumps({"username": ADMIN, "password": admin_password(host)}).encode()
    token = json.loads(curl(host, f"-f https://{BACKEND}/login -H 'Content-Type: application/json' --data @-", login))["token"]
    return f"Authorization: Bearer {token}\n".encode()


def served_certificate(host: Host, name: str = FRONTEND) -> str:
    """Subject, issuer and serial number of the certificate that is served for a name."""
    return user_shell(f"openssl s_client -connect {host.address}:443 -servername {name} </dev/null 2>/dev/null | openssl x509 -noout -subject -issuer -serial")


def browse(host: Host, script: str, stdin: bytes = b"", home: str = "/root") -> str:
    """Output of a Python program with selenium on the machine with the browser; its first argument is the host's address.

    :param home: where the browser finds what it trusts; any other folder than root's does not know the lab's CA.
    """
    lab_command("browser")
    command = ["docker", "exec", "-i", "-e", f"HOME={home}", BROWSER, "python3", "-c", script, host.address]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()
