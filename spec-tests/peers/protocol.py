"""The peer protocol of floe (docs/peer-protocol.md), as far as it is the same for every driver beside this file."""

import json
import re
from contextlib import contextmanager

DEFAULT_PORTS = {"stun": 3478, "stuns": 5349, "turn": 3478, "turns": 5349}
URL = re.compile(r"(stuns?|turns?):(\[[^]]+\]|[^:?]+)(?::(\d+))?(?:\?transport=(udp|tcp))?")
COMMANDS = (
    "start",
    "remote-parameters",
    "remote-candidate",
    "remote-gathering-complete",
    "send",
    "restart",
    "stats",
)


class Unsupported(Exception):
    """A wish that the implementation cannot fulfil: the test run counts the case as skipped."""


class Misuse(Exception):
    """A command that makes no sense; it changes nothing."""


def emit(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def parse_url(url):
    """Splits a URL of RFC 7064 or 7065 into (scheme, host, port, transport)."""
    form = URL.fullmatch(url)
    if not form or (form[1].startswith("stun") and form[4]):
        raise Misuse(f"not a STUN or TURN URL: {url}")
    scheme, host, port, transport = form.groups()
    usual = "tcp" if scheme.endswith("s") else "udp"
    return scheme, host.strip("[]"), int(port or DEFAULT_PORTS[scheme]), transport or usual


def role_and_policy(command):
    """What `start` asks of every implementation here alike."""
    for field, only in (("lite", False), ("streams", 1)):
        if command.get(field, only) != only:
            raise Unsupported(field)
    role, policy = command.get("role"), command.get("policy", "all")
    if role not in ("controlling", "controlled"):
        raise Misuse("role is controlling or controlled")
    if policy not in ("all", "relay"):
        raise Misuse("policy is all or relay")
    return role, policy


def read(line):
    """The command of a line; none, and said so, where it holds no such thing."""
    try:
        command = json.loads(line)
    except ValueError:
        command = None
    if isinstance(command, dict):
        return command
    emit("error", message="a line is one JSON object")
    return None


def method(peer, command):
    """The method of `peer` that carries out a command."""
    name = command.get("cmd")
    if name not in COMMANDS:
        raise Misuse(f"unknown command: {name}")
    return getattr(peer, name.replace("-", "_"))


@contextmanager
def errors_told(command):
    """Tells as an event what goes wrong inside; the process goes on."""
    try:
        yield
    except Unsupported as wish:
        emit("error", message=f"unsupported: {wish}")
    except KeyError as field:
        emit("error", message=f"{command.get('cmd')} lacks {field}")
    except (Misuse, ConnectionError, TypeError, ValueError, AttributeError) as error:
        emit("error", message=str(error))
