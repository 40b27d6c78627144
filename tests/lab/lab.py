# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The laboratory: real hosts, a registry and the product's stand-ins, on this machine's Docker Engine.

    lab.py up --hosts 2        start what is missing; writes .cache/lab/inventory.yml and vars.yml
    lab.py shell host1         log in over ssh
    lab.py recreate host7      a fresh host of that name, in the place of a used one if there is one
    lab.py down host7          remove that host
    lab.py down                remove the lab (images, and what the registry holds, stay)
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from labkit import containers, engine, facts, hosts, layers, pki, registry, ssh
from labkit.command import LabError, run, say
from labkit.engine import docker
from labkit.names import DNS_IP, IMAGE_REPOSITORY, LAB_CACHE, LABEL, MAX_HOSTS, REGISTRY, SUBNET

HOST_IMAGES = {"ready": "host-ready", "bare": "host-bare", "bookworm": "host-bookworm"}
NAME_SERVER = "toucan-lab-dns"
CLIENT = "toucan-lab-client"
BROWSER = "toucan-lab-browser"


def main() -> int:
    """Run the command on the command line; returns the exit code."""
    arguments = parse_arguments()
    try:
        # Looking at the lab must not wait for a build that goes on.
        with contextlib.nullcontext() if arguments.command in (shell, status) else lab_lock():
            arguments.command(arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    """The command line as a namespace; ``command`` is the function to call with it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up_parser = add_command(commands, up, "start what is missing of the lab")
    up_parser.add_argument("--hosts", type=int, default=1, help="how many hosts (default 1)")
    up_parser.add_argument("--image", choices=HOST_IMAGES, help="what new hosts are made of (default ready)")
    down_parser = add_command(commands, down, "remove hosts; without names all that runs in the lab")
    down_parser.add_argument("host", nargs="*", help="remove these hosts only")
    down_parser.add_argument("--engine", action="store_true", help="also stop the engine, if the lab started it")
    recreate_parser = add_command(commands, recreate, "make hosts anew")
    recreate_parser.add_argument("host", nargs="+")
    recreate_parser.add_argument("--image", choices=HOST_IMAGES, default="ready")
    shell_parser = add_command(commands, shell, "log in to a host over ssh, or run a command there")
    shell_parser.add_argument("host")
    shell_parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    add_command(commands, status, "show what is there")
    images_parser = add_command(commands, images, "build images that are missing, and show their names")
    images_parser.add_argument("--layer", action="append", choices=layers.LAYERS, help="this layer instead of the core ones")
    add_command(commands, browser, "start the user's browser, built on first use; prints its container")
    for name, piece in facts.PIECES.items():
        text = f"start {piece.WHAT}, made on first use; prints as JSON what there is to know"
        commands.add_parser(name, help=text, description=text).set_defaults(command=start_piece, piece=name)
    add_command(commands, clean, "as down, and remove the lab's images, what its registry holds, and .cache/lab")
    return parser.parse_args()


def add_command(commands: argparse._SubParsersAction, function: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
    """A sub-parser for ``function`` under its own name."""
    parser = commands.add_parser(function.__name__, help=text, description=text)
    parser.set_defaults(command=function)
    return parser


@contextlib.contextmanager
def lab_lock() -> Iterator[None]:
    """Hold the lab against other runs of this program in the same checkout; released when the process ends."""
    LAB_CACHE.mkdir(parents=True, exist_ok=True)
    with (LAB_CACHE / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run of lab.py")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def up(arguments: argparse.Namespace) -> None:
    """Start what is missing: engine, images, network, registry, hosts; then write what tests need to know."""
    if not 1 <= arguments.hosts <= MAX_HOSTS:
        raise LabError(f"--hosts is {arguments.hosts}: give a number from 1 to {MAX_HOSTS}.")
    started = time.monotonic()
    engine.ensure()
    host_layer = HOST_IMAGES[arguments.image or "ready"]
    built = layers.provide(dict.fromkeys([*layers.CORE, host_layer]))
    pki.ensure()
    ssh.ensure_key()
    containers.ensure_network(SUBNET)
    ensure_name_server(built["dns"])
    registry.ensure(built["registry"])
    registry.push_services(built)
    registry.push_standins(built["debian"])
    wanted = [f"host{number}" for number in range(1, arguments.hosts + 1)]
    hosts.ensure(wanted, built[host_layer])
    for host in wanted if arguments.image else ():
        if containers.image_of(host) != built[host_layer]:
            say(f"{host} was there before and stays as it is: `lab.py recreate {host} --image {arguments.image}` makes it anew")
    ensure_client(CLIENT, "client", built["client"])
    facts.write(built)
    say(f"up in {time.monotonic() - started:.0f} s: {', '.join(hosts.names())}; inventory {facts.INVENTORY}")


def ensure_name_server(image: str) -> None:
    """Start the name server of the hosts."""
    containers.ensure_service(NAME_SERVER, "dns", image, "--ip", DNS_IP)


def ensure_client(container: str, kind: str, image: str, *options: str) -> bool:
    """Start a user's machine that trusts the lab's authority; returns whether it was created now."""
    authority = f"{pki.AUTHORITY}:/usr/local/share/ca-certificates/lab-ca.crt:ro"
    created = containers.ensure_service(container, kind, image, "--volume", authority, *options)
    if created:
        docker("exec", container, "update-ca-certificates")
    return created


def browser(arguments: argparse.Namespace) -> None:
    """Start the user's browser in a lab that is up; prints the name of its container."""
    demand_lab()
    image = layers.provide(["browser"])["browser"]
    # Chromium keeps its pages in shared memory, of which a container has 64 MB unless told.
    if ensure_client(BROWSER, "browser", image, "--shm-size", "512m"):
        docker("exec", BROWSER, "trust-lab-ca")
    print(BROWSER)


def start_piece(arguments: argparse.Namespace) -> None:
    """Start a piece that only some tests need in a lab that is up; prints its facts."""
    demand_lab()
    piece = facts.PIECES[arguments.piece]
    built = layers.provide(dict.fromkeys(["dns", *piece.LAYERS]))
    # A piece may be newer than the lab that is up, and have names of its own.
    ensure_name_server(built["dns"])
    piece.ensure(built)
    facts.write(core_images())
    print(json.dumps(piece.facts(), indent=2))


def demand_lab() -> None:
    """:raises LabError: if the lab is not up."""
    if not containers.is_running(NAME_SERVER):
        raise LabError("The lab is not up: `lab.py up` starts it.")


def core_images() -> dict[str, str]:
    """Layer -> image name of what every lab has."""
    return {layer: layers.image(layer) for layer in layers.CORE}


def down(arguments: argparse.Namespace) -> None:
    """Remove the named hosts, or all containers, the hosts' volumes and the network of the lab."""
    if arguments.host:
        hosts.remove(existing(arguments.host))
        facts.write(core_images())
    elif engine.answers():
        remove_everything()
    if arguments.engine:
        engine.stop()


def remove_everything() -> None:
    """Remove what carries the lab's label, and nothing else; the registry's store stays, as images do."""
    hosts.remove(hosts.names())
    others = docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split()
    if others:
        docker("rm", "--force", "--volumes", *others)
    networks = docker("network", "ls", "--quiet", "--filter", f"label={LABEL}").split()
    if networks:
        docker("network", "rm", *networks)
    for file in (facts.INVENTORY, facts.VARIABLES, ssh.CONFIG, ssh.KNOWN_HOSTS):
        file.unlink(missing_ok=True)


def recreate(arguments: argparse.Namespace) -> None:
    """Make fresh hosts, in the place of those of the same names if there are any."""
    layer = HOST_IMAGES[arguments.image]
    built = layers.provide(dict.fromkeys([*layers.CORE, layer]))
    hosts.remove(set(arguments.host) & set(hosts.names()))
    hosts.ensure(arguments.host, built[layer])
    facts.write(built)


def existing(wanted: Sequence[str]) -> list[str]:
    """``wanted`` as it is.

    :raises LabError: if one of them is no host of the lab.
    """
    missing = sorted(set(wanted) - set(hosts.names()))
    if missing:
        raise LabError(f"There is no {', '.join(missing)}: `lab.py status` shows what is there.")
    return list(wanted)


def shell(arguments: argparse.Namespace) -> None:
    """Become an ssh client on a host."""
    existing([arguments.host])
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    os.execvp("ssh", ["ssh", "-F", str(ssh.CONFIG), arguments.host, *words])


def status(arguments: argparse.Namespace) -> None:
    """Show the lab's containers and whether the engine is ours."""
    if not engine.answers():
        print("no Docker Engine answers")
        return
    print(f"engine: {'started by the lab' if engine.is_ours() else 'there before the lab'}, control groups v{engine.cgroup_version()}")
    print(docker("ps", "--all", "--filter", f"label={LABEL}", "--format", "table {{.Names}}\t{{.Status}}\t{{.Image}}"))


def images(arguments: argparse.Namespace) -> None:
    """Build what is missing and print each layer with its image."""
    engine.ensure()
    for layer, image in layers.provide(arguments.layer or layers.CORE).items():
        print(f"{layer}\t{image}")


def clean(arguments: argparse.Namespace) -> None:
    """Remove everything of the lab but the engine."""
    if engine.answers():
        remove_everything()
        docker("volume", "rm", "--force", registry.VOLUME)
        for pattern in (f"{IMAGE_REPOSITORY}/*", f"{REGISTRY}/*/*"):
            names = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", pattern).split()
            if names:
                run(["docker", "rmi", "--force", *names])
    for place in LAB_CACHE.iterdir():
        # The engine may go on, so its pid and log stay; the lock is ours at this moment.
        if place in (engine.PID_FILE, engine.LOG_FILE, LAB_CACHE / "lock"):
            continue
        shutil.rmtree(place) if place.is_dir() else place.unlink()


if __name__ == "__main__":
    sys.exit(main())
