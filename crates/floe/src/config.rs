//! What an agent of an endpoint is made from.

use std::time::Duration;

use floe_agent::{AgentConfig, Demultiplexing, Dscp, PairPolicy};
use floe_gather::{Policy, Server};
use floe_pair::{ComponentId, Pwd, Role, StreamId, Ufrag};
use floe_turn::uri::Uri;

use crate::{
    credentials::{self, Preparation},
    error::ServerConfigError,
};

/// What an agent is made from.
///
/// The usual agent has one data stream with one component, gathers from all interfaces but loopback, and
/// trickles. Randomness is not among the settings: it comes from the operating system.
///
/// ```
/// # fn main() -> Result<(), floe::ServerConfigError> {
/// let config = floe::Config::controlling()
///     .stun("stun:stun.example.org")?
///     .server("turn:turn.example.org?transport=udp", "alice", "correct horse battery staple")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Config {
    pub(crate) agent: AgentConfig,
}

impl Config {
    /// The agent that nominates: usually the side that made the offer (RFC 8445 §6.1.1).
    pub fn controlling() -> Self {
        Self::new(Role::Controlling)
    }

    /// The agent that is told which pair to use (RFC 8445 §6.1.1).
    pub fn controlled() -> Self {
        Self::new(Role::Controlled)
    }

    /// An agent that begins in this role; a conflict may change it (RFC 8445 §7.3.1.1).
    pub fn new(role: Role) -> Self {
        // The seed is drawn when the agent is made.
        let mut agent = AgentConfig::new([0; 32], role);
        agent.demultiplexing = Demultiplexing::AnyData;
        Self { agent }
    }

    /// Adds a server by its URI (RFC 7064, RFC 7065), with user name and password as
    /// [`Preparation::OpaqueString`] prepares them. An earlier server is preferred.
    ///
    /// # Errors
    /// [`ServerConfigError`]; it never shows the password.
    pub fn server(self, uri: &str, username: &str, password: &str) -> Result<Self, ServerConfigError> {
        self.server_prepared(uri, username, password, Preparation::OpaqueString)
    }

    /// As [`Config::server`], for a server that prepares user names and passwords in another way.
    ///
    /// # Errors
    /// [`ServerConfigError`]; it never shows the password.
    pub fn server_prepared(
        mut self,
        uri: &str,
        username: &str,
        password: &str,
        preparation: Preparation,
    ) -> Result<Self, ServerConfigError> {
        let url: Uri = uri.parse().map_err(ServerConfigError::Uri)?;
        let credentials =
            credentials::prepare(username, password, preparation).map_err(ServerConfigError::Preparation)?;
        self.agent.gathering.servers.push(Server::new(url, Some(credentials)));
        Ok(self)
    }

    /// Adds a STUN server, which needs no credentials.
    ///
    /// # Errors
    /// [`ServerConfigError::Uri`], and [`ServerConfigError::CredentialsNeeded`] for a TURN server.
    pub fn stun(mut self, uri: &str) -> Result<Self, ServerConfigError> {
        let url: Uri = uri.parse().map_err(ServerConfigError::Uri)?;
        if url.is_turn() {
            return Err(ServerConfigError::CredentialsNeeded);
        }
        self.agent.gathering.servers.push(Server::new(url, None));
        Ok(self)
    }

    /// Uses relayed candidates only, and hides every other address of this host from the peer.
    pub fn relay_only(mut self) -> Self {
        self.agent.gathering.policy = Policy::RelayOnly;
        self
    }

    /// Takes loopback addresses as candidates too: for tests and demonstrations on one host.
    pub fn loopback(mut self) -> Self {
        self.agent.gathering.loopback = true;
        self
    }

    /// Takes IPv6 link-local addresses as candidates too.
    pub fn link_local(mut self) -> Self {
        self.agent.gathering.link_local = true;
        self
    }

    /// Proposes Ta, the time between two new transactions: 5 to 500 ms, 5 ms unless told otherwise (RFC 8445
    /// §14.2). In force is the longer one of both sides' proposals. Another time is an
    /// [`AgentError`](crate::AgentError) when the agent is made.
    pub fn pacing(mut self, ta: Duration) -> Self {
        self.agent.checks.ta = ta;
        self.agent.gathering.ta = ta;
        self
    }

    /// Has one data stream, with these components; it takes the place of all that were set before.
    pub fn components(mut self, components: &[ComponentId]) -> Self {
        self.agent.streams = vec![(StreamId(0), components.to_vec())];
        self
    }

    /// Sets all data streams and their components.
    pub fn streams(mut self, streams: Vec<(StreamId, Vec<ComponentId>)>) -> Self {
        self.agent.streams = streams;
        self
    }

    /// Uses this user fragment and password, and draws none. They must be as hard to guess as those drawn.
    pub fn credentials(mut self, ufrag: Ufrag, pwd: Pwd) -> Self {
        self.agent.credentials = Some((ufrag, pwd));
        self
    }

    /// Says whether candidates are signalled as they are found (RFC 8838); they are unless told otherwise.
    pub fn trickle(mut self, trickle: bool) -> Self {
        self.agent.trickle = trickle;
        self
    }

    /// Makes the agent lite (RFC 8445 §2.5): it makes no checks, answers those of its peer, and has host candidates
    /// alone. For hosts that everybody can reach.
    pub fn lite(mut self) -> Self {
        self.agent.lite = true;
        self
    }

    /// Says whether the agent tells `renomination2`: with a peer that tells it too, data moves to a better pair without
    /// a restart, and up to two spare pairs are kept.
    pub fn renomination(mut self, renomination: bool) -> Self {
        self.agent.renomination = renomination;
        self
    }

    /// Sets which pairs may be used, and which are preferred.
    pub fn policy(mut self, policy: PairPolicy) -> Self {
        self.agent.checks.policy = policy;
        self
    }

    /// Marks every datagram with this code point (RFC 8837). Linux and Android only.
    pub fn dscp(mut self, dscp: Dscp) -> Self {
        self.agent.dscp = dscp;
        self
    }

    /// Says which datagrams are data. Unless told otherwise everything is that is no STUN message; with
    /// [`Demultiplexing::Rfc7983`] only the protocols of WebRTC are.
    pub fn demultiplexing(mut self, demultiplexing: Demultiplexing) -> Self {
        self.agent.demultiplexing = demultiplexing;
        self
    }

    /// Makes [`Agent::report`](crate::Agent::report) list every pair, for as long as the agent lives.
    pub fn full_report(mut self) -> Self {
        self.agent.full_report = true;
        self
    }

    /// Every setting of gathering; its Ta is that of [`Config::pacing`], whatever is set here, and interfaces are listed
    /// after each restart.
    pub fn gathering_mut(&mut self) -> &mut floe_gather::Config {
        &mut self.agent.gathering
    }

    /// Every setting of the connectivity checks.
    pub fn checks_mut(&mut self) -> &mut floe_check::Config {
        &mut self.agent.checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_checked_when_they_are_added() {
        let error = |result: Result<Config, ServerConfigError>| result.map(drop).unwrap_err();
        let config = Config::controlled;
        assert!(matches!(error(config().stun("http://example.org")), ServerConfigError::Uri(_)));
        assert_eq!(error(config().stun("turn:example.org")), ServerConfigError::CredentialsNeeded);
        let refused = error(config().server("turn:example.org", "alice", "hunter\t2"));
        assert!(matches!(refused, ServerConfigError::Preparation(_)));
        assert!(!format!("{refused} {refused:?}").contains("hunter"));
    }

    #[test]
    fn t39_settings_show_no_secret() {
        let config =
            Config::controlling().server("turn:example.org", "alice", "hunter2").unwrap().credentials(
                "localfrag".parse().unwrap(),
                "a-secret-nobody-may-see+".replace('-', "/").parse().unwrap(),
            );
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("nobody/may/see"), "{shown}");
    }
}
