//! Body of trickled INFO requests, `application/trickle-ice-sdpfrag` (RFC 8840 §4.4, §9).

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::description::{self, effective};
use super::lines::Body;
use super::{
    BundleGroup, Description, MAX_CANDIDATES, MAX_SECTIONS, Media, MediaLine, Mid, SdpError, SdpFault,
    Session,
};
use crate::{CandidateLine, Parameters, Pwd, Ufrag};

/// All that one side has trickled of a generation so far. Every section has an identification tag of its own.
///
/// The sender keeps one for each generation, begun with [`Fragment::of`] from its offer or answer, adds to it and
/// sends the whole of it each time: candidates can only be added, at the end, so that each body repeats what all
/// before it said, in the same order. `FromStr` reads what came; `Display` writes the body, with the password.
#[derive(Clone, Debug)]
pub struct Fragment {
    session: Session,
    media: Vec<Media>,
    ignored: usize,
}

impl Fragment {
    /// Media type of the body, for `Content-Type`.
    pub const CONTENT_TYPE: &'static str = "application/trickle-ice-sdpfrag";
    /// Name of the package, for `Info-Package` and `Recv-Info` (RFC 8840 §10.4), and of the option for `Supported`.
    pub const INFO_PACKAGE: &'static str = "trickle-ice";

    /// A fragment without sections, for an agent that has sent no description yet, with user fragment and password
    /// for all sections.
    pub fn new(parameters: &Parameters) -> Self {
        Self { session: Session::new(parameters), media: Vec::new(), ignored: 0 }
    }

    /// The fragment that goes on where an offer or answer of one's own ends: with its candidates, and with user
    /// fragment and password where they stand there.
    ///
    /// # Errors
    /// [`FragmentError::NoMid`] if a section in use has no identification tag.
    pub fn of(description: &Description) -> Result<Self, FragmentError> {
        let active = description.media.iter().filter(|media| media.is_active());
        // RFC 8840 §4.1.1, §4.1.3: whoever trickles has a tag in every section.
        if active.clone().any(|media| media.mid.is_none()) {
            return Err(FragmentError::NoMid);
        }
        Ok(Self { session: description.session.clone(), media: active.cloned().collect(), ignored: 0 })
    }

    /// What stands before all sections.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// How many candidates were passed over when the fragment was read, as in [`Description::ignored`].
    pub const fn ignored(&self) -> usize {
        self.ignored
    }

    /// The sections with their tags, in order.
    pub fn sections(&self) -> impl Iterator<Item = (&Mid, &Media)> {
        self.media.iter().filter_map(|media| Some((media.mid.as_ref()?, media)))
    }

    /// The section with this tag.
    pub fn section(&self, mid: &Mid) -> Option<&Media> {
        self.sections().find(|(known, _)| *known == mid).map(|(_, media)| media)
    }

    /// Adds an empty section where there is none with this tag.
    ///
    /// # Errors
    /// [`FragmentError::Full`] beyond [`MAX_SECTIONS`].
    pub fn add_section(&mut self, mid: Mid) -> Result<(), FragmentError> {
        if self.section(&mid).is_some() {
            return Ok(());
        }
        if self.media.len() >= MAX_SECTIONS {
            return Err(FragmentError::Full);
        }
        self.media.push(Media { mid: Some(mid), ..Media::new(MediaLine::pseudo()) });
        Ok(())
    }

    /// Adds a candidate behind all others of its section. One that is there already is not added again.
    ///
    /// # Errors
    /// No such section, the end of its candidates has been told, or it has [`MAX_CANDIDATES`].
    pub fn add_candidate(&mut self, mid: &Mid, line: CandidateLine) -> Result<(), FragmentError> {
        let ended = self.session.end_of_candidates;
        let media = self.section_mut(mid).ok_or(FragmentError::NoSuchSection)?;
        if media.candidates.iter().any(|known| is_same_candidate(known, &line)) {
            return Ok(());
        }
        // RFC 8838 §13: nothing new after the end.
        if ended || media.end_of_candidates {
            return Err(FragmentError::Ended);
        }
        if media.candidates.len() >= MAX_CANDIDATES {
            return Err(FragmentError::Full);
        }
        media.candidates.push(line);
        Ok(())
    }

    /// Says that a section has no more candidates.
    ///
    /// # Errors
    /// [`FragmentError::NoSuchSection`].
    pub fn end_section(&mut self, mid: &Mid) -> Result<(), FragmentError> {
        self.section_mut(mid).ok_or(FragmentError::NoSuchSection)?.end_of_candidates = true;
        Ok(())
    }

    /// Says that no section has any more candidates.
    pub const fn end(&mut self) {
        // RFC 8840 §4.4: before the first section it ends all trickling.
        self.session.end_of_candidates = true;
    }

    /// Says which sections share a transport, before the answer does (RFC 8840 §7). All tags, in the order of the
    /// answer.
    pub fn set_bundle(&mut self, group: BundleGroup) {
        self.session.bundles = Vec::from([group]);
    }

    /// Whether no more candidates will come for a section.
    pub fn has_ended(&self, mid: &Mid) -> bool {
        self.session.end_of_candidates || self.section(mid).is_some_and(|media| media.end_of_candidates)
    }

    /// The parameters in force for a section, as far as the fragment tells them.
    pub fn parameters(&self, mid: &Mid) -> Option<Parameters> {
        description::parameters(&self.session, self.section(mid)?)
    }

    /// Whether the fragment is of the generation of `description`, the peer's last one. If not, all of it is to be
    /// left aside (RFC 8840 §4.4).
    pub fn belongs_to(&self, description: &Description) -> bool {
        let same = |mine: Option<(&Ufrag, &Pwd)>, theirs: Option<(&Ufrag, &Pwd)>| match (mine, theirs) {
            (Some((ufrag, pwd)), Some((current, secret))) => {
                ufrag == current && pwd.expose() == secret.expose()
            }
            _ => false,
        };
        let of_section = |media: &Media| {
            let section = media.mid.as_ref().and_then(|mid| description.section(mid))?;
            effective(&description.session, description.media.get(section)?)
        };
        if self.media.is_empty() {
            // The end of all candidates and nothing else: the one generation it can mean is the one of all sections.
            let mut active = description.media.iter().filter(|media| media.is_active()).peekable();
            let mine = self.session.ufrag.as_ref().zip(self.session.pwd.as_ref());
            return active.peek().is_some()
                && active.all(|media| same(mine, effective(&description.session, media)));
        }
        self.media.iter().all(|media| same(effective(&self.session, media), of_section(media)))
    }

    fn section_mut(&mut self, mid: &Mid) -> Option<&mut Media> {
        self.media.iter_mut().find(|media| media.mid.as_ref() == Some(mid))
    }
}

impl FromStr for Fragment {
    type Err = SdpError;

    fn from_str(text: &str) -> Result<Self, SdpError> {
        let (description, places) = description::read(text, Body::Fragment)?;
        let Description { session, mut media, ignored } = description;
        let says = |media: &Media| !media.candidates.is_empty() || media.end_of_candidates;
        let lost = media.iter().zip(places).find(|(media, _)| media.mid.is_none() && says(media));
        if let Some((_, line)) = lost {
            return Err(SdpError { line, fault: SdpFault::NoMid });
        }
        media.retain(|media| media.mid.is_some());
        Ok(Self { session, media, ignored })
    }
}

impl fmt::Display for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.session, f)?;
        self.media.iter().try_for_each(|media| media.write(f, true))
    }
}

/// Whether two lines are one candidate that was sent twice: address, port, transport and component (RFC 8840 §4.4).
pub fn is_same_candidate(one: &CandidateLine, other: &CandidateLine) -> bool {
    let key = |line: &CandidateLine| (line.component(), line.transport(), line.port());
    key(one) == key(other) && one.address() == other.address()
}

/// Those of `received` that are not among `known`, in their order and each once: what is new in a fragment or in a
/// description after a fragment (RFC 8840 §4.4).
pub fn new_candidates<'a>(
    known: &'a [CandidateLine],
    received: &'a [CandidateLine],
) -> impl Iterator<Item = &'a CandidateLine> {
    received.iter().enumerate().filter_map(move |(index, line)| {
        let mut before = known.iter().chain(received.iter().take(index));
        (!before.any(|known| is_same_candidate(known, line))).then_some(line)
    })
}

/// Why something could not be added to a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FragmentError {
    /// A section of the description has no identification tag.
    NoMid,
    /// No section has this tag.
    NoSuchSection,
    /// The end of the candidates has been told.
    Ended,
    /// There is no room for more sections or candidates.
    Full,
}

impl fmt::Display for FragmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMid => f.write_str("a section has no mid"),
            Self::NoSuchSection => f.write_str("no section has this mid"),
            Self::Ended => f.write_str("the end of the candidates has been told"),
            Self::Full => {
                write!(f, "more than {MAX_SECTIONS} sections or {MAX_CANDIDATES} candidates in one")
            }
        }
    }
}

impl core::error::Error for FragmentError {}
