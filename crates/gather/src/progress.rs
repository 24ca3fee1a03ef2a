//! How far gathering has come with each server and interface address, for reports.

use core::net::IpAddr;

use floe_stun::Instant;
use floe_turn::uri::Uri;

use crate::{gatherer::Gatherer, interface::SkipReason};

/// What a configured server was asked and has given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerProgress<'a> {
    /// Where it is and what it speaks.
    pub url: &'a Uri,
    /// When it was first asked for something.
    pub asked: Option<Instant>,
    /// When it first told a mapped address that could be a candidate, new or not.
    pub mapped: Option<Instant>,
    /// When it first granted an allocation that could be used.
    pub relayed: Option<Instant>,
}

/// The instants of one server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) asked: Option<Instant>,
    pub(crate) mapped: Option<Instant>,
    pub(crate) relayed: Option<Instant>,
}

impl Gatherer {
    /// What each server has given so far, in the order of [`Config::servers`](crate::Config::servers).
    pub fn servers(&self) -> impl Iterator<Item = ServerProgress<'_>> {
        self.config.servers.iter().zip(&self.servers).map(|(server, state)| ServerProgress {
            url: &server.url,
            asked: state.times.asked,
            mapped: state.times.mapped,
            relayed: state.times.relayed,
        })
    }

    /// Every address of this host that the driver named last, with its interface: used, or why not. At most
    /// [`MAX_INTERFACES`](crate::MAX_INTERFACES) of either.
    pub fn interfaces(&self) -> impl Iterator<Item = (&str, IpAddr, Option<SkipReason>)> {
        let used = self.used.iter().map(|(name, ip)| (&**name, *ip, None));
        used.chain(self.skipped.iter().map(|(name, ip, reason)| (&**name, *ip, Some(*reason))))
    }

    /// The instants of a server, to be set.
    pub(crate) fn times_mut(&mut self, server: usize) -> Option<&mut Times> {
        self.servers.get_mut(server).map(|state| &mut state.times)
    }
}
