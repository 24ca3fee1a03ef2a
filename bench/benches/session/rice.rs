//! `rice-proto`, the agent under librice.

use std::time::Duration;

use rice_proto::{
    agent::{Agent, AgentPoll, AgentTransmit},
    candidate::{Candidate, CandidateType},
    random_string,
    stream::Credentials,
};
use stun_proto::{Instant, agent::Transmit, types::TransportType};

use crate::drive::{Clock, DATA_BYTES, Peer, address};

pub(crate) struct Rice {
    pub(crate) agent: Agent,
    /// Its own, until the other has them.
    credentials: Option<Credentials>,
    stream: usize,
    component: usize,
    side: usize,
    wait: Option<Instant>,
    stale: bool,
    selected: bool,
}

impl Clock for Instant {
    fn origin() -> Self {
        Self::ZERO
    }

    fn after(self, time: Duration) -> Self {
        self + time
    }

    fn since(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

fn candidate(side: usize, host: u8) -> Candidate {
    let at = address(side, host);
    let local_preference = u32::from(u16::MAX - u16::from(host));
    Candidate::builder(1, CandidateType::Host, TransportType::Udp, &host.to_string(), at)
        .priority(126 << 24 | local_preference << 8 | 255)
        .base_address(at)
        .build()
}

impl Rice {
    fn meet(&mut self, credentials: Credentials, hosts: u8) {
        let mut stream = self.agent.mut_stream(self.stream).expect("it is there");
        stream.set_remote_credentials(credentials);
        for host in 0..hosts {
            stream.add_local_candidate(candidate(self.side, host));
        }
        stream.end_of_local_candidates();
        for host in 0..hosts {
            stream.add_remote_candidate(candidate(1 - self.side, host));
        }
        stream.end_of_remote_candidates();
    }

    fn poll(&mut self, now: Instant) {
        loop {
            match self.agent.poll(now) {
                AgentPoll::WaitUntil(at) => {
                    self.wait = Some(at);
                    break;
                }
                AgentPoll::Closed => {
                    self.wait = None;
                    break;
                }
                AgentPoll::SelectedPair(pair) => {
                    let mut stream = self.agent.mut_stream(pair.stream_id).expect("it is there");
                    if let Some(mut component) = stream.mut_component(pair.component_id) {
                        component
                            .set_selected_pair(pair.selected.candidate_pair().clone())
                            .expect("its own pair");
                    }
                    self.selected = true;
                }
                _ => {}
            }
        }
        self.stale = false;
    }
}

impl Peer for Rice {
    const BYTES: usize = size_of::<Agent>();
    const NAME: &'static str = "rice-proto";
    type Datagram = Option<AgentTransmit>;
    type Instant = Instant;

    fn new(side: usize, _hosts: u8, _number: u64) -> Self {
        let mut agent = Agent::builder().trickle_ice(true).controlling(side == 0).build();
        let stream = agent.add_stream();
        let mut of = agent.mut_stream(stream).expect("just added");
        let component = of.add_component().expect("the first");
        let credentials = Credentials::new(random_string(8), random_string(24));
        of.set_local_credentials(credentials.clone());
        let credentials = Some(credentials);
        Self { agent, credentials, stream, component, side, wait: None, stale: true, selected: false }
    }

    fn introduce([first, second]: &mut [Self; 2], hosts: u8) {
        first.meet(second.credentials.take().expect("met once"), hosts);
        second.meet(first.credentials.take().expect("met once"), hosts);
    }

    fn handle_datagram(&mut self, now: Instant, datagram: &mut Self::Datagram) {
        let Some(transmit) = datagram.take() else { return };
        let mut stream = self.agent.mut_stream(self.stream).expect("it is there");
        stream.handle_incoming_data(self.component, transmit.transmit, now);
        self.stale = true;
    }

    fn handle_timeout(&mut self, _now: Instant) {
        self.stale = true;
    }

    fn handle_events(&mut self, now: Instant) {
        self.poll(now);
    }

    fn poll_transmit(&mut self, now: Instant, datagram: &mut Self::Datagram) -> bool {
        *datagram = self.agent.poll_transmit(now);
        self.stale |= datagram.is_some();
        datagram.is_some()
    }

    fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        if self.stale {
            // What was sent has a deadline now.
            self.poll(now);
        }
        self.wait
    }

    fn is_selected(&self) -> bool {
        self.selected
    }

    fn send(&mut self, now: Instant, payload: &[u8; DATA_BYTES]) -> bool {
        let mut stream = self.agent.mut_stream(self.stream).expect("it is there");
        let mut component = stream.mut_component(self.component).expect("it is there");
        let transmit = component.send(payload, now);
        std::hint::black_box(&transmit);
        transmit.is_ok()
    }

    fn receive(&mut self, now: Instant, payload: &mut [u8; DATA_BYTES]) -> bool {
        let mut stream = self.agent.mut_stream(self.stream).expect("it is there");
        let transmit =
            Transmit::new(&payload[..], TransportType::Udp, address(1 - self.side, 0), address(self.side, 0));
        let reply = stream.handle_incoming_data(self.component, transmit, now);
        reply.data.is_some()
    }
}
