//! ICE in SDP: the attributes of RFC 8839 and RFC 8840, the body of trickled INFO requests, the candidate object of
//! WebRTC, and the rules of offer and answer that concern ICE.
//!
//! [`Description`] reads an offer or answer, [`Fragment`] a trickle fragment, [`lines`] either line by line. All of them
//! pass over what does not concern ICE. The rules are functions without state: [`initial_role`], [`answer_options`],
//! [`Description::ice_use`], [`check_subsequent`], [`needed_offer`], [`announced`] and others.
//!
//! ```
//! use floe_pair::sdp::{Description, IceUse};
//!
//! let offer: Description = "v=0\r\no=- 1 1 IN IP4 192.0.2.3\r\ns=-\r\nc=IN IP4 192.0.2.3\r\nt=0 0\r\n\
//!     a=ice-options:ice2\r\na=ice-pacing:50\r\na=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n\
//!     m=audio 45664 RTP/AVP 0\r\nb=RS:0\r\nb=RR:0\r\na=rtpmap:0 PCMU/8000\r\n\
//!     a=candidate:1 1 UDP 2130706431 203.0.113.141 8998 typ host\r\n\
//!     a=candidate:2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998\r\n"
//!     .parse()?;
//! assert_eq!(offer.ice_use(0), Some(IceUse::Usable));
//! assert_eq!(offer.media[0].candidates.len(), 2);
//! assert_eq!(offer.parameters(0).unwrap().ufrag.as_str(), "8hhY");
//! # Ok::<(), floe_pair::sdp::SdpError>(())
//! ```

mod attribute;
mod candidate_init;
mod conclude;
mod default;
mod description;
mod destination;
mod error;
mod fragment;
mod ice_use;
mod lines;
mod media;
mod media_line;
mod mid;
mod negotiate;
mod pacing;
mod session;
mod subsequent;

pub use attribute::Attribute;
pub use candidate_init::{CandidateInitError, IceCandidateInit, SectionName, Trickled};
pub use conclude::{
    Announced, Conclusion, NeededOffer, Race, Selected, Standing, announced, conclusion, needed_offer, race,
};
pub use default::{agreed_components, default_candidate};
pub use description::Description;
pub use destination::{Destination, RemoteCandidates, RtcpDestination};
pub use error::{SdpError, SdpFault};
pub use fragment::{Fragment, FragmentError, is_same_candidate, new_candidates};
pub use ice_use::{IceUse, SessionUse, follows_rfc8445};
pub use lines::{Line, Lines, lines};
pub use media::{Media, Rtcp, RtcpMux, RtcpSilence};
pub use media_line::{MediaLine, MediaLineError};
pub use mid::{BundleGroup, InvalidMid, Mid};
pub use negotiate::{
    Side, agreed_pacing, answer_options, initial_role, is_agreed, role_after_offer, role_after_restart,
};
pub use pacing::Pacing;
pub use session::{Implementation, Session};
pub use subsequent::{
    CredentialChange, SubsequentFault, check_offer_after, check_own_subsequent, check_subsequent,
    credential_change, is_restart,
};

/// Longest text in bytes that is read. Those of large conferences, with all their codecs, have one or two megabytes.
pub const MAX_LENGTH: usize = 4 << 20;

/// Most media sections of a description. Large conferences have some hundreds.
pub const MAX_SECTIONS: usize = 1024;

/// Most candidates of one section that are read, besides those of its default destinations: four for each of 256
/// components. Hosts with many interfaces and two components have some tens. Further ones are passed over and counted
/// ([`Description::ignored`], [`Fragment::ignored`]).
pub const MAX_CANDIDATES: usize = 1024;
