//! Whether ICE is used, as one side's description shows it (RFC 8839 §4.2.5, §4.3.3).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::description::effective;
use super::{BundleGroup, Description, Destination, Media, Mid, RtcpMux};
use crate::{CandidateLine, ComponentId, IceOptions, Parameters};

/// What sections are judged by that stands elsewhere, so that it is looked up once for all of them.
pub(super) struct Overview<'a> {
    /// For tags of bundles the section that has the transport.
    transports: BTreeMap<&'a Mid, usize>,
    trickles: bool,
}

/// What a section says of ICE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IceUse {
    /// ICE can be used.
    Usable,
    /// The section shares the transport of this one (RFC 8843): ICE is used there.
    Bundled {
        /// The section whose candidates count.
        with: usize,
    },
    /// User fragment or password is missing: no ICE.
    Unsupported,
    /// The section is not in use.
    Disabled,
    /// The answer says `ice-mismatch`: no ICE here.
    Refused,
    /// The default destination of this component is none of its candidates. Something between the two has changed
    /// the description.
    Mismatch(ComponentId),
}

/// What an answer means for ICE (RFC 8839 §4.3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionUse {
    /// ICE is used.
    Ice {
        /// Sections with ICE.
        with: Vec<usize>,
        /// Sections in use without ICE: RFC 3264 alone counts there.
        without: Vec<usize>,
    },
    /// ICE is used nowhere, for this reason in the section that was looked at last.
    NoIce(IceUse),
}

impl Description {
    /// What a section says of ICE. `None` for one that is not there.
    pub fn ice_use(&self, section: usize) -> Option<IceUse> {
        let (media, overview) = (self.media.get(section)?, self.overview());
        Some(match self.transport_section(&overview, section, media) {
            Some(with) => IceUse::Bundled { with },
            None => self.own_ice_use(&overview, media),
        })
    }

    /// The same for an agent that does not bundle.
    pub fn unbundled_ice_use(&self, section: usize) -> Option<IceUse> {
        self.media.get(section).map(|media| self.own_ice_use(&self.overview(), media))
    }

    /// What the whole description means for ICE, read as an answer to an offer with ICE.
    pub fn session_use(&self) -> SessionUse {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        let mut reason = IceUse::Unsupported;
        let overview = self.overview();
        for (section, media) in self.media.iter().enumerate() {
            let found = match self.transport_section(&overview, section, media) {
                Some(shared) => self.media.get(shared).map(|media| self.own_ice_use(&overview, media)),
                None => Some(self.own_ice_use(&overview, media)),
            };
            match found.unwrap_or(IceUse::Unsupported) {
                IceUse::Usable | IceUse::Bundled { .. } => with.push(section),
                // RFC 8839 §4.3.3: a mismatch in the answer ends ICE for all of the session.
                found @ IceUse::Mismatch(_) => return SessionUse::NoIce(found),
                // RFC 8839 §4.3.3: what the answer says of some of its sections ends ICE for these only.
                found @ (IceUse::Refused | IceUse::Unsupported) => {
                    reason = found;
                    without.push(section);
                }
                IceUse::Disabled => {}
            }
        }
        if with.is_empty() { SessionUse::NoIce(reason) } else { SessionUse::Ice { with, without } }
    }

    pub(super) fn overview(&self) -> Overview<'_> {
        Overview { transports: self.transports(), trickles: self.trickles() }
    }

    fn transports(&self) -> BTreeMap<&Mid, usize> {
        let sections = self.media.iter().enumerate().filter(|(_, media)| media.line.port() != 0);
        let in_use: BTreeMap<&Mid, usize> =
            sections.filter_map(|(section, media)| Some((media.mid.as_ref()?, section))).collect();
        // RFC 8843 §7.2: the first section of the group that is in use has the transport.
        let first = |group: &BundleGroup| group.mids().iter().find_map(|mid| in_use.get(mid).copied());
        let groups = self.session.bundles.iter();
        let groups = groups.filter_map(|group| Some((group.mids(), first(group)?)));
        groups.flat_map(|(mids, with)| mids.iter().map(move |mid| (mid, with))).collect()
    }

    /// The section whose transport a bundled one shares, if it shares one.
    fn transport_section(&self, overview: &Overview<'_>, section: usize, media: &Media) -> Option<usize> {
        let with = overview.transports.get(media.mid.as_ref()?).copied().filter(|with| *with != section)?;
        let shared = self.media.get(with)?;
        // One that has candidates of its own can be used without bundling.
        let same_place = media.line.port() == shared.line.port() && media.connection == shared.connection;
        let no_transport = media.candidates.is_empty() && !media.mismatch;
        (no_transport && media.is_active() && (media.bundle_only || same_place)).then_some(with)
    }

    pub(super) fn own_ice_use(&self, overview: &Overview<'_>, media: &Media) -> IceUse {
        if !media.is_active() {
            return IceUse::Disabled;
        }
        if media.mismatch {
            return IceUse::Refused;
        }
        if effective(&self.session, media).is_none() {
            return IceUse::Unsupported;
        }
        let components = [ComponentId::RTP, ComponentId::RTCP].into_iter();
        let mut unmatched = components.filter(|component| !is_matched(overview, media, *component));
        unmatched.next().map_or(IceUse::Usable, IceUse::Mismatch)
    }

    /// The description of somebody who does not use ICE: no attribute of RFC 8839 or RFC 8840 is left
    /// (RFC 8839 §4.3.2).
    #[must_use]
    pub fn without_ice(mut self) -> Self {
        self.session = super::Session { bundles: self.session.bundles, ..super::Session::default() };
        for media in &mut self.media {
            (media.ufrag, media.pwd, media.options) = (None, None, IceOptions::default());
            (media.remote_candidates, media.mismatch, media.end_of_candidates) = (None, false, false);
            media.candidates.clear();
        }
        self
    }

    /// Whether a section says that its media is on hold in the manner of old: the address 0.0.0.0 or `::` with a port
    /// that is no placeholder (RFC 3264 §8.4). With ICE nobody may ask for it like that, and it restarts nothing as
    /// long as user fragment and password stay (RFC 8839 §4.4.1.1.1).
    pub fn is_old_hold(&self, section: usize) -> bool {
        let default = self.media.get(section).and_then(|media| media.default_destination(ComponentId::RTP));
        default.is_some_and(|default| {
            let ip: Option<IpAddr> = default.address.ip();
            default.port != 0 && !default.is_placeholder() && ip.is_some_and(|ip| ip.is_unspecified())
        })
    }
}

/// Whether the default destination of a component is one of its candidates, or need not be.
fn is_matched(overview: &Overview<'_>, media: &Media, component: ComponentId) -> bool {
    let Some(default) = media.default_destination(component) else { return true };
    // RFC 8839 §4.2.5: a placeholder or a name never is a mismatch.
    if default.is_placeholder() || default.address.ip().is_none() {
        return true;
    }
    // RFC 8840 §4.1.1, §4.1.2: who trickles says port 9 until the first candidate is known, and may say its address.
    if default.port == 9 && overview.trickles {
        return true;
    }
    // A component without candidates that nothing is said of is not there.
    let is_rtcp = component == ComponentId::RTCP;
    let own = media.candidates.iter().any(|line| line.component() == component);
    if is_rtcp && !own && media.rtcp.destination.is_none() {
        return true;
    }
    // RFC 5761 §5.1.3: where RTCP may share the transport of RTP its address may be that of RTP.
    let shared = is_rtcp && media.rtcp.mux != RtcpMux::No;
    let counts = |line: &&CandidateLine| {
        line.component() == component || (shared && line.component() == ComponentId::RTP)
    };
    media.candidates.iter().filter(counts).any(|line| is_at(media, line, &default))
}

/// Whether a candidate is the default destination: address, port and transport protocol (RFC 8839 §4.2.5).
fn is_at(media: &Media, line: &CandidateLine, default: &Destination) -> bool {
    let transport = media.line.transport().is_none_or(|protocol| line.transport().protocol() == protocol);
    transport && Destination::from(line) == *default
}

/// Whether the agent with these options follows RFC 8445; else it is taken for one of RFC 5245 (RFC 8839 §4.2.1.5).
pub fn follows_rfc8445(parameters: &Parameters) -> bool {
    parameters.options.has(IceOptions::ICE2)
}
