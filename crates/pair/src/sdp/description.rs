//! A whole offer or answer as ICE sees it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::lines::{Body, Lines};
use super::media::Reports;
use super::{
    Attribute, BundleGroup, Implementation, Line, MAX_CANDIDATES, MAX_SECTIONS, Media, Mid, RtcpMux,
    SdpError, SdpFault, Session,
};
use crate::{CandidateLine, ConnectionAddress, IceOptions, Parameters, Pwd, Ufrag};

/// An offer or an answer as ICE sees it: what does not concern ICE is not kept.
///
/// `FromStr` reads any SDP. `Display` writes the lines that were kept, session first; [`Session`] and [`Media`] can be
/// written one by one, for a description that has lines of others between them.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// What stands before the first section.
    pub session: Session,
    /// The media sections in order; at most [`MAX_SECTIONS`] are read.
    pub media: Vec<Media>,
    /// How many candidates were passed over because nothing here knows what to do with them, or because their section has
    /// [`MAX_CANDIDATES`] before them.
    pub ignored: usize,
}

/// What is in force for one section: its own values, or else those of the session.
pub(super) fn effective<'a>(session: &'a Session, media: &'a Media) -> Option<(&'a Ufrag, &'a Pwd)> {
    // RFC 8839 §5.4: the value of the section goes before that of the session.
    let ufrag = media.ufrag.as_ref().or(session.ufrag.as_ref())?;
    Some((ufrag, media.pwd.as_ref().or(session.pwd.as_ref())?))
}

/// The parameters of one section; `None` where user fragment or password is missing.
pub(super) fn parameters(session: &Session, media: &Media) -> Option<Parameters> {
    let (ufrag, pwd) = effective(session, media)?;
    Some(Parameters {
        ufrag: ufrag.clone(),
        pwd: pwd.clone(),
        lite: session.implementation.is_lite(),
        options: options(session, media),
        pacing: session.proposal(),
    })
}

/// Options of the session and of the section.
pub(super) fn options(session: &Session, media: &Media) -> IceOptions {
    // Two lists that fit one by one need not fit together; an extension that finds no room is not used.
    IceOptions::from_tags(session.options.tags().chain(media.options.tags()))
        .unwrap_or_else(|_| session.options.clone())
}

impl Description {
    /// The parameters in force for a section: its own, or those of the session where it has none (RFC 8839 §5.4).
    /// `None` for a section that is not there or that says nothing of ICE.
    pub fn parameters(&self, section: usize) -> Option<Parameters> {
        parameters(&self.session, self.media.get(section)?)
    }

    /// The section with this identification tag.
    pub fn section(&self, mid: &Mid) -> Option<usize> {
        self.media.iter().position(|media| media.mid.as_ref() == Some(mid))
    }

    /// Whether the sender trickles (RFC 8838 §3).
    pub fn trickles(&self) -> bool {
        // RFC 8838 §3: for the session, or for all of its streams; for some of them only is as good as not at all.
        let has = |options: &IceOptions| options.has(IceOptions::TRICKLE);
        let mut active = self.media.iter().filter(|media| media.is_active()).peekable();
        has(&self.session.options) || (active.peek().is_some() && active.all(|media| has(&media.options)))
    }

    /// Whether no more candidates will come for a section (RFC 8840 §8).
    pub fn has_ended(&self, section: usize) -> bool {
        self.session.end_of_candidates || self.media.get(section).is_some_and(|media| media.end_of_candidates)
    }
}

impl FromStr for Description {
    type Err = SdpError;

    fn from_str(text: &str) -> Result<Self, SdpError> {
        let (description, places) = read(text, Body::Description)?;
        check_passwords(&description, &places)?;
        Ok(description)
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.session, f)?;
        self.media.iter().try_for_each(|media| fmt::Display::fmt(media, f))
    }
}

/// Reads all lines. The second value has the number of the `m=` line of each section.
pub(super) fn read(text: &str, body: Body) -> Result<(Description, Vec<usize>), SdpError> {
    let mut reader = Reader::default();
    for item in Lines::new(text, body) {
        let (number, line) = item?;
        reader.take(number, line).map_err(|fault| SdpError { line: number, fault })?;
    }
    let Reader { mut description, sections, connection, reports } = reader;
    for (media, read) in description.media.iter_mut().zip(&sections) {
        media.connection = media.connection.take().or_else(|| connection.clone());
        media.rtcp.silence = read.reports.silence(reports);
    }
    Ok((description, sections.into_iter().map(|section| section.place).collect()))
}

/// RFC 8839 §5.4: one user fragment, one password.
fn check_passwords(description: &Description, places: &[usize]) -> Result<(), SdpError> {
    let mut known: BTreeMap<&Ufrag, &Pwd> = BTreeMap::new();
    for (media, place) in description.media.iter().zip(places).filter(|(media, _)| media.is_active()) {
        let Some((ufrag, pwd)) = effective(&description.session, media) else { continue };
        if known.entry(ufrag).or_insert(pwd).expose() != pwd.expose() {
            return Err(SdpError { line: *place, fault: SdpFault::TwoPasswords });
        }
    }
    Ok(())
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    description: Description,
    /// One for each section of the description.
    sections: Vec<Section>,
    /// The `c=` line before all sections.
    connection: Option<ConnectionAddress>,
    /// `b=` lines before all sections.
    reports: Reports,
}

/// What is known of a section besides what is kept of it.
struct Section {
    /// Number of its `m=` line.
    place: usize,
    /// Its `b=` lines.
    reports: Reports,
}

impl Reader {
    fn take(&mut self, number: usize, line: Line) -> Result<(), SdpFault> {
        let section = self.description.media.last_mut();
        match line {
            Line::Media(line) => {
                if self.description.media.len() >= MAX_SECTIONS {
                    return Err(SdpFault::TooManySections);
                }
                self.description.media.push(Media::new(line));
                self.sections.push(Section { place: number, reports: Reports::default() });
            }
            Line::Connection(address) => match section {
                // RFC 8866 §5.7: several lines of a section are addresses of one layered stream; the first counts.
                Some(media) => _ = media.connection.get_or_insert(address),
                None => _ = self.connection.get_or_insert(address),
            },
            Line::SenderReports(some) => _ = self.reports().senders.get_or_insert(some),
            Line::ReceiverReports(some) => _ = self.reports().receivers.get_or_insert(some),
            Line::IgnoredCandidate(_) => self.ignore_candidate(),
            Line::Attribute(Attribute::Candidate(candidate)) => match section {
                Some(media) if has_room(media, self.connection.as_ref(), &candidate) => {
                    media.candidates.push(candidate);
                }
                Some(_) => self.ignore_candidate(),
                None => {}
            },
            Line::Attribute(attribute) => match section {
                Some(_) => self.of_section(attribute)?,
                None => self.of_session(attribute)?,
            },
        }
        Ok(())
    }

    fn ignore_candidate(&mut self) {
        self.description.ignored = self.description.ignored.saturating_add(1);
    }

    /// What the lines of this level say of RTCP; the first of a kind counts.
    fn reports(&mut self) -> &mut Reports {
        self.sections.last_mut().map_or(&mut self.reports, |section| &mut section.reports)
    }

    /// Takes an attribute that stands before all sections. One that belongs into a section means nothing here.
    fn of_session(&mut self, attribute: Attribute) -> Result<(), SdpFault> {
        let name = attribute.name();
        let session = &mut self.description.session;
        match attribute {
            Attribute::Ufrag(ufrag) => once(&mut session.ufrag, ufrag, Ufrag::eq, name)?,
            Attribute::Pwd(pwd) => once(&mut session.pwd, pwd, same_pwd, name)?,
            Attribute::Options(options) => add_options(&mut session.options, &options)?,
            Attribute::EndOfCandidates => session.end_of_candidates = true,
            Attribute::Bundle(group) => {
                // RFC 8843 §7.1: a section is in one group, so that all have no more tags than there are sections.
                let tags = |group: &BundleGroup| group.mids().len().max(1);
                let all = session.bundles.iter().chain([&group]).map(tags).fold(0, usize::saturating_add);
                if all > MAX_SECTIONS {
                    return Err(SdpFault::Bundle);
                }
                session.bundles.push(group);
            }
            Attribute::Lite | Attribute::Pacing(_) => self.of_implementation(&attribute)?,
            _ => {}
        }
        Ok(())
    }

    /// Takes an attribute of the last section.
    fn of_section(&mut self, attribute: Attribute) -> Result<(), SdpFault> {
        let name = attribute.name();
        let Some(media) = self.description.media.last_mut() else { return Ok(()) };
        match attribute {
            // RFC 8839 §5.2: one line a component, or all in one.
            Attribute::RemoteCandidates(candidates) => match &mut media.remote_candidates {
                Some(before) => before.join(candidates).ok_or(SdpFault::Contradiction(name))?,
                None => media.remote_candidates = Some(candidates),
            },
            Attribute::Ufrag(ufrag) => once(&mut media.ufrag, ufrag, Ufrag::eq, name)?,
            Attribute::Pwd(pwd) => once(&mut media.pwd, pwd, same_pwd, name)?,
            Attribute::Options(options) => add_options(&mut media.options, &options)?,
            Attribute::Mid(mid) => {
                let is_new = media.mid.is_none();
                once(&mut media.mid, mid.clone(), Mid::eq, name)?;
                // Looked at once a section, so that a text of nothing but such lines costs no more than others.
                let known = || self.description.media.iter().filter(|media| media.mid.as_ref() == Some(&mid));
                if is_new && known().nth(1).is_some() {
                    return Err(SdpFault::MidTwice);
                }
            }
            Attribute::Mismatch => media.mismatch = true,
            Attribute::EndOfCandidates => media.end_of_candidates = true,
            Attribute::BundleOnly => media.bundle_only = true,
            Attribute::Rtcp(destination) => {
                once(&mut media.rtcp.destination, destination, PartialEq::eq, name)?;
            }
            Attribute::RtcpMux => media.rtcp.mux = media.rtcp.mux.max(RtcpMux::Yes),
            Attribute::RtcpMuxOnly => media.rtcp.mux = RtcpMux::Only,
            // These belong to the session. Whoever writes one into a section means all of it.
            Attribute::Lite | Attribute::Pacing(_) => self.of_implementation(&attribute)?,
            // A candidate was taken where it was read; a group belongs to the session.
            Attribute::Candidate(_) | Attribute::Bundle(_) => {}
        }
        Ok(())
    }

    fn of_implementation(&mut self, attribute: &Attribute) -> Result<(), SdpFault> {
        let held = &mut self.description.session.implementation;
        match (attribute, &mut *held) {
            // A lite agent that proposes a Ta anyway has said nothing with it.
            (Attribute::Lite, _) => *held = Implementation::Lite,
            (Attribute::Pacing(pacing), Implementation::Full(proposal)) => {
                once(proposal, *pacing, PartialEq::eq, attribute.name())?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether a section takes one more candidate, where this is the `c=` line before all sections. RFC 8445 §6.1.2.5: pairs
/// beyond a limit are left out, and so are candidates. RFC 8839 §4.2.5: ICE would not be used without the candidate of a
/// default destination, so that it is taken beyond the limit, once.
fn has_room(media: &Media, session: Option<&ConnectionAddress>, line: &CandidateLine) -> bool {
    let Some(beyond) = media.candidates.get(MAX_CANDIDATES..) else { return true };
    let address = media.connection.as_ref().or(session);
    beyond.iter().all(|known| known.component() != line.component())
        && media.destination_at(address, line.component()).as_ref() == Some(&line.into())
}

/// Puts a value that may stand there once; the same value again does no harm.
fn once<T>(
    held: &mut Option<T>,
    value: T,
    same: impl Fn(&T, &T) -> bool,
    name: &'static str,
) -> Result<(), SdpFault> {
    match held {
        Some(before) if !same(before, &value) => Err(SdpFault::Contradiction(name)),
        _ => {
            *held = Some(value);
            Ok(())
        }
    }
}

fn same_pwd(one: &Pwd, other: &Pwd) -> bool {
    one.expose() == other.expose()
}

/// Adds the tags of one more line.
fn add_options(held: &mut IceOptions, more: &IceOptions) -> Result<(), SdpFault> {
    if more.tags().any(|tag| !held.has(tag)) {
        *held = IceOptions::from_tags(held.tags().chain(more.tags())).map_err(SdpFault::Options)?;
    }
    Ok(())
}
