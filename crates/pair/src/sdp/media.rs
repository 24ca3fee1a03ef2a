//! One media section.

use alloc::vec::Vec;
use core::fmt;

use super::destination::Connection;
use super::session::write_credentials;
use super::{Destination, MediaLine, Mid, RemoteCandidates, RtcpDestination};
use crate::{CandidateLine, ComponentId, ConnectionAddress, IceOptions, Pwd, Ufrag};

/// Whether RTP and RTCP share a transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RtcpMux {
    /// Nothing is said of it.
    #[default]
    No,
    /// `rtcp-mux`: offered or accepted (RFC 5761 §5.1.1).
    Yes,
    /// `rtcp-mux-only` as well: there is no other way (RFC 8858 §3).
    Only,
}

/// What a section says of RTCP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rtcp {
    /// `a=rtcp`; `None`: one port above RTP, at the same address.
    pub destination: Option<RtcpDestination>,
    /// Whether RTP and RTCP share a transport.
    pub mux: RtcpMux,
    /// Which senders of RTCP have a bandwidth of zero.
    pub silence: RtcpSilence,
}

/// Who sends no RTCP, by `b=RS:0` and `b=RR:0` (RFC 3556 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RtcpSilence {
    /// Nobody is silent.
    #[default]
    Nobody,
    /// Those who send RTP.
    Senders,
    /// Those who only receive.
    Receivers,
    /// All: there is no RTCP (RFC 8839 §4.2.2).
    Everybody,
}

/// Who has bandwidth for RTCP, as far as it is said at one level.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reports {
    pub(super) senders: Option<bool>,
    pub(super) receivers: Option<bool>,
}

impl Reports {
    /// Who is silent in a section that says this, in a session that says `session`: where the section says
    /// something, that counts.
    pub(super) fn silence(self, session: Self) -> RtcpSilence {
        let is_silent = |own: Option<bool>, all: Option<bool>| own.or(all) == Some(false);
        match (is_silent(self.senders, session.senders), is_silent(self.receivers, session.receivers)) {
            (false, false) => RtcpSilence::Nobody,
            (true, false) => RtcpSilence::Senders,
            (false, true) => RtcpSilence::Receivers,
            (true, true) => RtcpSilence::Everybody,
        }
    }
}

/// A media section as ICE sees it. `Display` writes its lines with CRLF, `m=` first, so that lines of others can
/// follow; it shows the password.
///
/// What the rules forbid is not written, whatever the fields hold: a section that is not in use has no attributes of
/// ICE, and one with `ice-mismatch` no candidates.
#[derive(Clone, Debug)]
pub struct Media {
    /// The `m=` line: port and protocol of the default destination.
    pub line: MediaLine,
    /// Address of the default destination: the `c=` line, also one that stood before all sections.
    pub connection: Option<ConnectionAddress>,
    /// `a=mid`.
    pub mid: Option<Mid>,
    /// User fragment, where it is not that of the session.
    pub ufrag: Option<Ufrag>,
    /// Password, where it is not that of the session.
    pub pwd: Option<Pwd>,
    /// Options besides those of the session.
    pub options: IceOptions,
    /// Candidates in order: the first [`MAX_CANDIDATES`](super::MAX_CANDIDATES), and beyond them those of the default
    /// destinations.
    pub candidates: Vec<CandidateLine>,
    /// `a=remote-candidates`.
    pub remote_candidates: Option<RemoteCandidates>,
    /// RTCP.
    pub rtcp: Rtcp,
    /// `a=bundle-only`: port 0 means nothing.
    pub bundle_only: bool,
    /// `a=ice-mismatch`.
    pub mismatch: bool,
    /// `a=end-of-candidates`.
    pub end_of_candidates: bool,
}

impl Media {
    /// A section of which nothing but the line is known.
    pub fn new(line: MediaLine) -> Self {
        Self {
            line,
            connection: None,
            mid: None,
            ufrag: None,
            pwd: None,
            options: IceOptions::default(),
            candidates: Vec::new(),
            remote_candidates: None,
            rtcp: Rtcp::default(),
            bundle_only: false,
            mismatch: false,
            end_of_candidates: false,
        }
    }

    /// Whether the section is in use: its port is not 0, or 0 stands there because it is bundled (RFC 8843 §6).
    pub const fn is_active(&self) -> bool {
        self.line.port() != 0 || self.bundle_only
    }

    /// The default destination of a component: where somebody without ICE would send (RFC 8839 §3). `None` without a
    /// `c=` line, and for components that are neither RTP nor RTCP.
    pub fn default_destination(&self, component: ComponentId) -> Option<Destination> {
        self.destination_at(self.connection.as_ref(), component)
    }

    /// The same where this is the address of the `c=` line.
    pub(super) fn destination_at(
        &self,
        address: Option<&ConnectionAddress>,
        component: ComponentId,
    ) -> Option<Destination> {
        let address = address?.clone();
        if component == ComponentId::RTP {
            return Some(Destination { address, port: self.line.port() });
        }
        if component != ComponentId::RTCP {
            return None;
        }
        Some(match &self.rtcp.destination {
            Some(rtcp) => Destination { address: rtcp.address.clone().unwrap_or(address), port: rtcp.port },
            // RFC 3605 §2.1: without the attribute RTCP is one port above RTP. The placeholder stands for both.
            None if self.line.port() == 9 => Destination { address, port: 9 },
            None => Destination { address, port: self.line.port().saturating_add(1) },
        })
    }

    /// Writes the section; in a fragment the line says no more than which section is meant.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, fragment: bool) -> fmt::Result {
        write!(f, "m={}\r\n", self.line)?;
        if !fragment {
            let connection = self.connection.as_ref();
            connection.map_or(Ok(()), |address| write!(f, "c={}\r\n", Connection(address)))?;
            if matches!(self.rtcp.silence, RtcpSilence::Senders | RtcpSilence::Everybody) {
                f.write_str("b=RS:0\r\n")?;
            }
            if matches!(self.rtcp.silence, RtcpSilence::Receivers | RtcpSilence::Everybody) {
                f.write_str("b=RR:0\r\n")?;
            }
            if self.bundle_only {
                f.write_str("a=bundle-only\r\n")?;
            }
            let rtcp = self.rtcp.destination.as_ref();
            rtcp.map_or(Ok(()), |destination| write!(f, "a=rtcp:{destination}\r\n"))?;
        }
        if self.rtcp.mux != RtcpMux::No {
            f.write_str("a=rtcp-mux\r\n")?;
        }
        if self.rtcp.mux == RtcpMux::Only {
            f.write_str("a=rtcp-mux-only\r\n")?;
        }
        // RFC 8839 §4.4.1.1.2: a section that is removed has no candidates and no other attribute of ICE.
        let with_ice = self.is_active() || fragment;
        if with_ice {
            write_credentials(f, self.ufrag.as_ref(), self.pwd.as_ref())?;
            if !self.options.is_empty() && !fragment {
                write!(f, "a=ice-options:{}\r\n", self.options)?;
            }
        }
        // RFC 8840 §4.4: right before the candidates.
        self.mid.as_ref().map_or(Ok(()), |mid| write!(f, "a=mid:{mid}\r\n"))?;
        if with_ice { self.write_candidates(f, fragment) } else { Ok(()) }
    }

    fn write_candidates(&self, f: &mut fmt::Formatter<'_>, fragment: bool) -> fmt::Result {
        // RFC 8840 §9.2: it stands in no fragment.
        if self.mismatch && !fragment {
            // RFC 8839 §4.2.5: no candidates beside it.
            return f.write_str("a=ice-mismatch\r\n");
        }
        self.candidates.iter().try_for_each(|line| write!(f, "a={line}\r\n"))?;
        let remote = self.remote_candidates.as_ref();
        remote.map_or(Ok(()), |candidates| write!(f, "a=remote-candidates:{candidates}\r\n"))?;
        if self.end_of_candidates { f.write_str("a=end-of-candidates\r\n") } else { Ok(()) }
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, false)
    }
}
