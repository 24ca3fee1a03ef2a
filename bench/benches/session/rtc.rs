//! `rtc-ice`, the agent of the sans-IO webrtc-rs.

use std::{
    sync::{Arc, LazyLock},
    time::Instant,
};

use rtc_ice::{
    Agent, AgentConfig, Event,
    candidate::{CandidateConfig, candidate_host::CandidateHostConfig},
    crypto::{RTCCryptoProvider, default_provider},
};
use rtc_shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use sansio::Protocol;

use crate::drive::{Clock, DATA_BYTES, Peer, address};

static CRYPTO: LazyLock<Arc<dyn RTCCryptoProvider>> = LazyLock::new(|| default_provider().expect("ring"));

pub(crate) struct Rtc {
    pub(crate) agent: Agent,
    selected: bool,
}

impl Peer for Rtc {
    const BYTES: usize = size_of::<Agent>();
    const NAME: &'static str = "rtc-ice";
    type Datagram = Option<TaggedBytesMut>;
    type Instant = Instant;

    fn new(side: usize, hosts: u8, _number: u64) -> Self {
        let config = Arc::new(AgentConfig { is_controlling: side == 0, ..AgentConfig::default() });
        let mut agent =
            Agent::new(Instant::origin(), config, CRYPTO.clone()).expect("the configuration is good");
        for host in 0..hosts {
            let at = address(side, host);
            let base_config = CandidateConfig {
                network: "udp".to_owned(),
                address: at.ip().to_string(),
                port: at.port(),
                component: 1,
                ..CandidateConfig::default()
            };
            let config = CandidateHostConfig { base_config, ..CandidateHostConfig::default() };
            let candidate = config.new_candidate_host().expect("a host candidate");
            agent.add_local_candidate(candidate).expect("it is taken");
        }
        Self { agent, selected: false }
    }

    fn introduce([first, second]: &mut [Self; 2], _hosts: u8) {
        let meet = |agent: &mut Agent, controlling, other: &Agent| {
            for candidate in other.get_local_candidates() {
                agent.add_remote_candidate(candidate.clone()).expect("it is taken");
            }
            let credentials = other.get_local_credentials();
            let (ufrag, pwd) = (credentials.ufrag.clone(), credentials.pwd.clone());
            agent
                .start_connectivity_checks(Instant::origin(), controlling, ufrag, pwd)
                .expect("they are good");
        };
        meet(&mut first.agent, true, &second.agent);
        meet(&mut second.agent, false, &first.agent);
    }

    fn handle_datagram(&mut self, now: Instant, datagram: &mut Self::Datagram) {
        let Some(mut message) = datagram.take() else { return };
        message.now = now;
        let transport = &mut message.transport;
        std::mem::swap(&mut transport.local_addr, &mut transport.peer_addr);
        let _ = self.agent.handle_read(message);
    }

    fn handle_timeout(&mut self, now: Instant) {
        let _ = self.agent.handle_timeout(now);
    }

    fn handle_events(&mut self, _now: Instant) {
        while let Some(event) = self.agent.poll_event() {
            self.selected |= matches!(event.event, Event::SelectedCandidatePairChange(..));
        }
    }

    fn poll_transmit(&mut self, _now: Instant, datagram: &mut Self::Datagram) -> bool {
        *datagram = self.agent.poll_write();
        datagram.is_some()
    }

    fn poll_timeout(&mut self, _now: Instant) -> Option<Instant> {
        self.agent.poll_timeout()
    }

    fn is_selected(&self) -> bool {
        self.selected
    }

    fn send(&mut self, _now: Instant, _payload: &[u8; DATA_BYTES]) -> bool {
        let pair =
            self.agent.get_selected_candidate_pair().map(|(local, remote)| (local.addr(), remote.addr()));
        std::hint::black_box(&pair);
        pair.is_some()
    }

    fn receive(&mut self, now: Instant, _payload: &mut [u8; DATA_BYTES]) -> bool {
        let transport = TransportContext {
            local_addr: address(0, 0),
            peer_addr: address(1, 0),
            transport_protocol: TransportProtocol::UDP,
            ecn: None,
        };
        self.agent.is_valid_non_stun_traffic(now, transport)
    }
}
