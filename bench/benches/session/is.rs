//! `is`, the agent of str0m.

use std::time::{Duration, Instant};

use is::{
    Candidate, IceAgent, IceAgentEvent, IceCreds, Protocol,
    stun::{StunMessage, StunPacket},
};
use str0m_proto::Transmit;

use crate::drive::{Clock, DATA_BYTES, Peer, address};

/// At the Ta that is its default, or at one of so many milliseconds.
pub(crate) struct Is<const TA_MS: u64 = 0> {
    pub(crate) agent: IceAgent,
    selected: bool,
}

impl<const TA_MS: u64> Peer for Is<TA_MS> {
    const BYTES: usize = size_of::<IceAgent>();
    const NAME: &'static str = "is";
    const CARRIES_DATA: bool = false;
    type Datagram = Option<Transmit>;
    type Instant = Instant;

    fn new(side: usize, hosts: u8, _number: u64) -> Self {
        let mut agent = IceAgent::new(IceCreds::new());
        agent.set_controlling(side == 0);
        if TA_MS > 0 {
            agent.set_timing_advance(Duration::from_millis(TA_MS));
        }
        agent.set_max_candidate_pairs(100.max(usize::from(hosts) * usize::from(hosts)));
        for host in 0..hosts {
            let candidate = Candidate::host(address(side, host), Protocol::Udp).expect("a host candidate");
            agent.add_local_candidate(candidate);
        }
        Self { agent, selected: false }
    }

    fn introduce([first, second]: &mut [Self; 2], _hosts: u8) {
        let meet = |agent: &mut IceAgent, other: &IceAgent| {
            agent.set_remote_credentials(other.local_credentials().clone());
            for candidate in other.local_candidates() {
                agent.add_remote_candidate(candidate);
            }
        };
        meet(&mut first.agent, &second.agent);
        meet(&mut second.agent, &first.agent);
        // It knows of no time before the first call.
        first.agent.handle_timeout(Instant::origin());
        second.agent.handle_timeout(Instant::origin());
    }

    fn handle_datagram(&mut self, now: Instant, datagram: &mut Option<Transmit>) {
        let Some(transmit) = datagram.take() else { return };
        let Ok(message) = StunMessage::parse(&transmit.contents) else { return };
        let packet = StunPacket {
            proto: transmit.proto,
            source: transmit.source,
            destination: transmit.destination,
            message,
        };
        // On a shared port it would have to be asked whose message it is; here it is known.
        self.agent.handle_packet(now, packet);
        // As str0m drives it: nominations are decided when time is handled, and without this would wait for Ta.
        self.agent.handle_timeout(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.agent.handle_timeout(now);
    }

    fn handle_events(&mut self, _now: Instant) {
        while let Some(event) = self.agent.poll_event() {
            self.selected |= matches!(event, IceAgentEvent::NominatedSend { .. });
        }
    }

    fn poll_transmit(&mut self, _now: Instant, datagram: &mut Option<Transmit>) -> bool {
        *datagram = self.agent.poll_transmit();
        datagram.is_some()
    }

    fn poll_timeout(&mut self, _now: Instant) -> Option<Instant> {
        self.agent.poll_timeout()
    }

    fn is_selected(&self) -> bool {
        self.selected
    }

    fn send(&mut self, _now: Instant, _payload: &[u8; DATA_BYTES]) -> bool {
        true
    }

    fn receive(&mut self, _now: Instant, _payload: &mut [u8; DATA_BYTES]) -> bool {
        true
    }
}
