#!/usr/bin/env python3
"""Puts libnice behind the peer protocol of floe (docs/peer-protocol.md).

One process is one ICE agent: commands are JSON objects, one a line, on standard input; events go the same
way to standard output; what is meant for people goes to standard error.

libnice is reached through its GObject description (Debian's gir1.2-nice-0.1 and python3-gi, which /usr/bin/python3
knows). That takes datagrams for text and has the fields of a candidate in wrong places, so data goes around
it by ctypes, and of a candidate only the text is read.
"""

import base64
import ctypes
import os
import sys

import gi
from protocol import Misuse, Unsupported, emit, errors_told, method, parse_url, read, role_and_policy

gi.require_version("Nice", "0.1")
from gi.repository import GLib, Nice  # noqa: E402

STREAM = 0


class Data:
    """Datagrams to and from an agent, as bytes."""

    library = ctypes.CDLL("libnice.so.10")
    callback = ctypes.CFUNCTYPE(
        None, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p
    )
    attach = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, callback, ctypes.c_void_p
    )(("nice_agent_attach_recv", library))
    transmit = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint, ctypes.c_char_p
    )(("nice_agent_send", library))

    def __init__(self, agent, stream, components, received):
        # The hash of a PyGObject is the address of the object it stands for.
        self.agent, self.stream = hash(agent), stream

        def take(_agent, _stream, component, length, buffer, _context):
            received(component, ctypes.string_at(buffer, length))

        # libnice keeps only a pointer to it.
        self.take = self.callback(take)
        for component in range(1, components + 1):
            # No main loop is named: the default one.
            self.attach(self.agent, stream, component, None, self.take, None)

    def send(self, component, data):
        return self.transmit(self.agent, self.stream, component, len(data), data) == len(data)


class Peer:
    def __init__(self):
        self.loop = GLib.MainLoop()
        self.unread = b""
        self.agent = None
        self.state = None
        self.sent = self.received = 0
        self.gathered = False
        # The peer's generation, and whether this agent has begun one that the peer has not answered.
        self.remote_ufrag = None
        self.restarted = False
        # What came before its credentials, or of a generation whose credentials have not come.
        self.early = []

    # --- commands ---

    def start(self, command):
        if self.agent:
            raise Misuse("already started")
        role, policy = role_and_policy(command)
        servers = [(parse_url(server["url"]), server) for server in command.get("servers", [])]
        if secure := [scheme for (scheme, *_), _ in servers if scheme.endswith("s")]:
            raise Unsupported(f"{secure[0]}: URLs")
        if sum(scheme == "stun" for (scheme, *_), _ in servers) > 1:
            raise Unsupported("more than one STUN server")
        self.components = command.get("components", 1)
        self.trickle = command.get("trickle", True)

        options = Nice.AgentOption.REGULAR_NOMINATION | Nice.AgentOption.CONSENT_FRESHNESS
        if self.trickle:
            options |= Nice.AgentOption.ICE_TRICKLE
        agent = Nice.Agent.new_full(GLib.main_context_default(), Nice.Compatibility.RFC5245, options)
        agent.props.controlling_mode = role == "controlling"
        agent.props.force_relay = policy == "relay"
        # A port mapping is not asked for, and looking for a router costs time at the end.
        agent.props.upnp = False
        if "pacing" in command:
            agent.props.stun_pacing_timer = command["pacing"]
        self.name_addresses(agent, command.get("options", {}).get("loopback"))
        self.stream = agent.add_stream(self.components)
        for (scheme, host, port, transport), server in servers:
            if scheme == "stun":
                agent.props.stun_server, agent.props.stun_server_port = host, port
                continue
            kind = Nice.RelayType.UDP if transport == "udp" else Nice.RelayType.TCP
            for component in range(1, self.components + 1):
                user, password = server.get("username", ""), server.get("credential", "")
                agent.set_relay_info(self.stream, component, host, port, user, password, kind)
        self.agent = agent
        self.data = Data(agent, self.stream, self.components, self.take)
        agent.connect("new-candidate-full", self.on_candidate)
        agent.connect("candidate-gathering-done", self.on_gathered)
        agent.connect("new-selected-pair-full", self.on_selected)
        agent.connect("component-state-changed", self.on_state)
        self.enter("new")
        self.tell_parameters()
        if not agent.gather_candidates(self.stream):
            raise Misuse("libnice does not gather")

    def remote_parameters(self, command):
        agent, ufrag, pwd = self.started(), command["ufrag"], command["pwd"]
        if ufrag == self.remote_ufrag:
            return
        # A generation that the peer began: it is answered by one of ours (RFC 8445 §9).
        if self.remote_ufrag and not self.restarted:
            self.begin_generation()
        self.restarted = False
        self.remote_ufrag = ufrag
        if not agent.set_remote_credentials(self.stream, ufrag, pwd):
            raise Misuse("libnice takes no such credentials")
        waiting, self.early = self.early, []
        for obey, early in waiting:
            obey(early)

    def remote_candidate(self, command):
        agent = self.started()
        if self.is_early(self.remote_candidate, command):
            return
        text = command["candidate"].removeprefix("a=")
        candidate = agent.parse_remote_candidate_sdp(self.stream, f"a={text}")
        if not candidate:
            # A name, or a transport that libnice does not know: not an error, but not a candidate either.
            print(f"passed over: {text}", file=sys.stderr)
            return
        component = int(text.split()[1])
        if 1 <= component <= self.components:
            agent.set_remote_candidates(self.stream, component, [candidate])

    def remote_gathering_complete(self, command):
        agent = self.started()
        if not self.is_early(self.remote_gathering_complete, command):
            agent.peer_candidate_gathering_done(self.stream)

    def send(self, command):
        self.started()
        data = base64.b64decode(command["data"], validate=True)
        if not self.data.send(command.get("component", 1), data):
            raise Misuse("libnice does not send")
        self.sent += 1

    def restart(self, _command):
        self.started()
        self.restarted = True
        self.begin_generation()

    def stats(self, _command):
        emit("stats", stats={"implementation": "libnice", "sent": self.sent, "received": self.received})

    def close(self):
        if not self.agent:
            return self.end()
        # Gives the allocations back first.
        self.agent.close_async(lambda *_: self.end())

    # --- events of libnice ---

    def on_candidate(self, _agent, candidate):
        if self.trickle:
            self.tell_candidate(candidate)

    def on_gathered(self, _agent, _stream):
        if not self.trickle:
            self.tell_candidates()
        self.gathered = True
        emit("gathering-complete", ufrag=self.ufrag)

    def on_selected(self, agent, _stream, component, local, remote):
        local, remote = (self.text_of(candidate) for candidate in (local, remote))
        emit("selected", component=component, stream=STREAM, local=local, remote=remote)

    def on_state(self, agent, stream, _component, _state):
        states = [agent.get_component_state(stream, one) for one in range(1, self.components + 1)]
        State = Nice.ComponentState
        if State.FAILED in states:
            self.enter("failed")
        elif all(state == State.READY for state in states):
            self.enter("completed")
        elif all(state in (State.CONNECTED, State.READY) for state in states):
            self.enter("connected")
        elif any(state in (State.CONNECTING, State.CONNECTED, State.READY) for state in states):
            self.enter("checking")

    def take(self, component, data):
        self.received += 1
        emit("data", component=component, stream=STREAM, data=base64.b64encode(data).decode())

    # --- small things ---

    @staticmethod
    def name_addresses(agent, loopback):
        """Says which addresses are candidates: libnice leaves loopback out, unless all are named."""
        for text in Nice.interfaces_get_local_ips(True) if loopback else ():
            address = Nice.Address.new()
            if address.set_from_string(text):
                agent.add_local_address(address)

    def tell_parameters(self):
        _, self.ufrag, pwd = self.agent.get_local_credentials(self.stream)
        # libnice proposes no pacing and takes none; a peer reckons with the 50 ms of RFC 8445 §14.2.
        options = ["trickle"] if self.trickle else []
        emit("local-parameters", ufrag=self.ufrag, pwd=pwd, lite=False, options=options)

    def tell_candidate(self, candidate):
        emit("local-candidate", candidate=self.text_of(candidate), ufrag=self.ufrag, stream=STREAM)

    def tell_candidates(self):
        for component in range(1, self.components + 1):
            for candidate in self.agent.get_local_candidates(self.stream, component):
                self.tell_candidate(candidate)

    def text_of(self, candidate):
        return self.agent.generate_local_candidate_sdp(candidate).removeprefix("a=")

    def begin_generation(self):
        """New credentials for the candidates there are: libnice keeps its sockets and gathers nothing again."""
        self.agent.restart()
        self.tell_parameters()
        if self.trickle or self.gathered:
            self.tell_candidates()
        if self.gathered:
            emit("gathering-complete", ufrag=self.ufrag)

    def started(self):
        if not self.agent:
            raise Misuse("not started")
        return self.agent

    def is_early(self, obey, command):
        """Keeps what belongs to credentials that have not come; what is of an old generation is kept in vain."""
        ufrag = command.get("ufrag", self.remote_ufrag)
        early = self.remote_ufrag is None or ufrag != self.remote_ufrag or self.restarted
        if early:
            self.early.append((obey, command))
        return early

    def enter(self, state):
        if self.state != state:
            self.state = state
            emit("state", state=state)

    def end(self):
        if self.agent:
            self.enter("closed")
        emit("closed")
        self.loop.quit()

    # --- the lines ---

    def obey(self, line):
        """Carries out one line; false when it was the last."""
        command = read(line)
        if command is None:
            return True
        if command.get("cmd") == "close":
            return False
        with errors_told(command):
            method(self, command)(command)
        return True

    def read(self, descriptor, _condition):
        block = os.read(descriptor, 1 << 16)
        *lines, self.unread = (self.unread + block).split(b"\n")
        if all(self.obey(line) for line in lines) and block:
            return GLib.SOURCE_CONTINUE
        self.close()
        return GLib.SOURCE_REMOVE

    def run(self):
        GLib.unix_fd_add_full(
            GLib.PRIORITY_DEFAULT, sys.stdin.fileno(), GLib.IOCondition.IN | GLib.IOCondition.HUP, self.read
        )
        self.loop.run()


if __name__ == "__main__":
    # Standard output is for events; GLib would print its debug messages there.
    GLib.log_writer_default_set_use_stderr(True)
    Peer().run()
