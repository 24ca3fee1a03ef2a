#!/usr/bin/env python3
"""Puts aioice behind the peer protocol of floe (docs/peer-protocol.md).

One process is one ICE agent: commands are JSON objects, one a line, on standard input; events go the same
way to standard output; what is meant for people goes to standard error.
"""

import asyncio
import base64
import logging
import sys

import aioice
import aioice.ice
import ifaddr
from aioice.candidate import Candidate
from protocol import Misuse, Unsupported, emit, errors_told, method, parse_url, read, role_and_policy


def offer_loopback():
    """Makes loopback addresses candidates too: aioice leaves them out and has no setting for it."""
    usual = aioice.ice.get_host_addresses

    def with_loopback(use_ipv4, use_ipv6):
        present = {ip.ip if ip.is_IPv4 else ip.ip[0] for adapter in ifaddr.get_adapters() for ip in adapter.ips}
        wanted = (["127.0.0.1"] if use_ipv4 else []) + (["::1"] if use_ipv6 else [])
        return usual(use_ipv4, use_ipv6) + [address for address in wanted if address in present]

    aioice.ice.get_host_addresses = with_loopback


def server_arguments(servers):
    """The arguments of aioice.Connection for a list of servers; it takes one of each kind."""
    arguments = {}
    for server in servers:
        scheme, host, port, transport = parse_url(server["url"])
        if scheme == "stuns":
            raise Unsupported("stuns: URLs")
        if f"{scheme[:4]}_server" in arguments:
            raise Unsupported("more than one STUN or more than one TURN server")
        if scheme == "stun":
            arguments["stun_server"] = (host, port)
        else:
            arguments.update(
                turn_server=(host, port),
                turn_username=server.get("username"),
                turn_password=server.get("credential"),
                turn_ssl=scheme == "turns",
                turn_transport=transport,
            )
    return arguments


class Peer:
    def __init__(self):
        self.connection = None
        self.gathered = asyncio.Event()
        self.remote_known = asyncio.Event()
        self.remote_complete = False
        self.state = None
        self.sent = self.received = 0
        self.tasks = []

    # --- commands ---

    async def start(self, command):
        if self.connection:
            raise Misuse("already started")
        role, policy = role_and_policy(command)
        arguments = server_arguments(command.get("servers", []))
        if command.get("options", {}).get("loopback"):
            offer_loopback()
        self.components = command.get("components", 1)
        self.connection = aioice.Connection(
            ice_controlling=role == "controlling",
            components=self.components,
            transport_policy=aioice.TransportPolicy[policy.upper()],
            **arguments,
        )
        self.enter("new")
        self.ufrag = self.connection.local_username
        # aioice knows no ice-options and sends its checks 20 ms apart, whatever is proposed.
        emit("local-parameters", ufrag=self.ufrag, pwd=self.connection.local_password, lite=False, options=[])
        self.tasks = [asyncio.create_task(self.gather()), asyncio.create_task(self.run())]

    async def remote_parameters(self, command):
        connection = self.started()
        if self.remote_known.is_set():
            if command["ufrag"] != connection.remote_username:
                raise Unsupported("restart")
            return
        connection.remote_username, connection.remote_password = command["ufrag"], command["pwd"]
        connection.remote_is_lite = bool(command.get("lite"))
        self.remote_known.set()

    async def remote_candidate(self, command):
        text = command["candidate"].removeprefix("a=").removeprefix("candidate:")
        try:
            candidate = Candidate.from_sdp(text)
        except ValueError as error:
            raise Misuse(f"{error}: {text}") from None
        if self.of_this_generation(command) and not self.remote_complete:
            await self.started().add_remote_candidate(candidate)

    async def remote_gathering_complete(self, command):
        connection = self.started()
        if self.of_this_generation(command) and not self.remote_complete:
            self.remote_complete = True
            await connection.add_remote_candidate(None)

    async def send(self, command):
        await self.started().sendto(base64.b64decode(command["data"], validate=True), command.get("component", 1))
        self.sent += 1

    async def restart(self, _command):
        raise Unsupported("restart")

    async def stats(self, _command):
        emit("stats", stats={"implementation": f"aioice {aioice.__version__}", "sent": self.sent, "received": self.received})

    # --- the life of the connection ---

    async def gather(self):
        await self.connection.gather_candidates()
        for candidate in self.connection.local_candidates:
            emit("local-candidate", candidate=f"candidate:{candidate.to_sdp()}", ufrag=self.ufrag, stream=0)
        emit("gathering-complete", ufrag=self.ufrag)
        self.gathered.set()

    async def run(self):
        await self.gathered.wait()
        await self.remote_known.wait()
        self.enter("checking")
        try:
            await self.connection.connect()
        except ConnectionError as error:
            print(error, file=sys.stderr)
            return self.enter("failed")
        # The pairs are aioice's own table: it has no public way to ask for them.
        for component, pair in sorted(self.connection._nominated.items()):
            emit(
                "selected",
                component=component,
                stream=0,
                local=f"candidate:{pair.local_candidate.to_sdp()}",
                remote=f"candidate:{pair.remote_candidate.to_sdp()}",
            )
        self.enter("completed")
        try:
            while True:
                data, component = await self.connection.recvfrom()
                self.received += 1
                emit("data", component=component, stream=0, data=base64.b64encode(data).decode())
        except ConnectionError as error:
            # Consent was lost: aioice has closed itself.
            print(error, file=sys.stderr)
            self.enter("failed")

    async def close(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.connection:
            await self.connection.close()
            self.enter("closed")
        emit("closed")

    # --- small things ---

    def started(self):
        if not self.connection:
            raise Misuse("not started")
        return self.connection

    def of_this_generation(self, command):
        known = self.started().remote_username
        return known is None or command.get("ufrag") in (None, known)

    def enter(self, state):
        if self.state != state:
            self.state = state
            emit("state", state=state)

    async def obey(self, line):
        """Carries out one line; false when it was the last."""
        command = read(line)
        if command is None:
            return True
        if command.get("cmd") == "close":
            return False
        with errors_told(command):
            await method(self, command)(command)
        return True


async def main():
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    peer = Peer()
    while (line := await reader.readline()) and await peer.obey(line):
        pass
    await peer.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    asyncio.run(main())
