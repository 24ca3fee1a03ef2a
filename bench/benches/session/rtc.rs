//! `rtc-ice`, the agent of the sans-IO webrtc-rs.

use std::sync::{Arc, LazyLock};

use rtc_ice::{
    Agent, AgentConfig, Event,
    candidate::{CandidateConfig, candidate_host::CandidateHostConfig},
    crypto::{RTCCryptoProvider, default_provider},
};
use rtc_shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use sansio::Protocol;

use crate::drive::{DATA_BYTES, Nanos, Peer, address, instant, since_origin};

static CRYPTO: LazyLock<Arc<dyn RTCCryptoProvider>> = LazyLock::new(|| default_provider().expect("ring"));

pub(crate) struct Rtc {
    pub(crate) agent: Agent,
    selected: bool,
}

impl Peer for Rtc {
    const BYTES: usize = size_of::<Agent>();
    const NAME: &'static str = "rtc-ice";
    type Datagram = Option<TaggedBytesMut>;

    fn new(side: usize, hosts: u8, _number: u64) -> Self {
        let config = Arc::new(AgentConfig { is_controlling: side == 0, ..AgentConfig::default() });
        let mut agent = Agent::new(instant(0), config, CRYPTO.clone()).expect("the configuration is good");
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
            agent.start_connectivity_checks(instant(0), controlling, ufrag, pwd).expect("they are good");
        };
        meet(&mut first.agent, true, &second.agent);
        meet(&mut second.agent, false, &first.agent);
    }

    fn handle_datagram(&mut self, now: Nanos, datagram: &mut Self::Datagram) {
        let Some(mut message) = datagram.take() else { return };
        message.now = instant(now);
        let transport = &mut message.transport;
        std::mem::swap(&mut transport.local_addr, &mut transport.peer_addr);
        let _ = self.agent.handle_read(message);
    }

    fn handle_timeout(&mut self, now: Nanos) {
        let _ = self.agent.handle_timeout(instant(now));
    }

    fn handle_events(&mut self, _now: Nanos) {
        while let Some(event) = self.agent.poll_event() {
            self.selected |= matches!(event.event, Event::SelectedCandidatePairChange(..));
        }
    }

    fn poll_transmit(&mut self, _now: Nanos, datagram: &mut Self::Datagram) -> bool {
        *datagram = self.agent.poll_write();
        datagram.is_some()
    }

    fn poll_timeout(&mut self, _now: Nanos) -> Option<Nanos> {
        self.agent.poll_timeout().map(since_origin)
    }

    fn is_selected(&self) -> bool {
        self.selected
    }

    fn send(&mut self, _now: Nanos, _payload: &[u8; DATA_BYTES]) -> bool {
        let pair =
            self.agent.get_selected_candidate_pair().map(|(local, remote)| (local.addr(), remote.addr()));
        std::hint::black_box(&pair);
        pair.is_some()
    }

    fn receive(&mut self, now: Nanos, _payload: &mut [u8; DATA_BYTES]) -> bool {
        let transport = TransportContext {
            local_addr: address(0, 0),
            peer_addr: address(1, 0),
            transport_protocol: TransportProtocol::UDP,
            ecn: None,
        };
        self.agent.is_valid_non_stun_traffic(instant(now), transport)
    }
}
