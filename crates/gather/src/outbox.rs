//! What waits to be taken by the owner of a gatherer.

use alloc::{
    collections::{BTreeSet, VecDeque},
    vec::Vec,
};

use floe_pair::{BaseId, SocketId};

use crate::{
    event::{Event, Limit},
    request::{Request, RequestId},
};

/// Skips and failures that wait to be read: some for each address and server of a host with many of both.
const MAX_NOTICES: usize = 256;
/// Events of allocations that wait to be read. When full, they stay in their TURN client.
const MAX_TURN_EVENTS: usize = 256;

/// What waits to be taken by the owner.
///
/// Requests need no bound of their own: each belongs to a host, a relay or a server, whose tables have one, and
/// is taken back with it; each `Close` belongs to a socket the driver had opened. So it is with bases that are gone.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    requests: VecDeque<Request>,
    notices: VecDeque<Event>,
    lost: u32,
    turn: VecDeque<(BaseId, floe_turn::Event)>,
    gone: Vec<BaseId>,
    limits: BTreeSet<Limit>,
    deadline_passed: bool,
    complete: bool,
    /// Something was reported since nothing waited.
    news: bool,
}

impl Outbox {
    pub(crate) fn request(&mut self, request: Request) {
        self.requests.push_back(request);
    }

    /// Makes room for that many more.
    pub(crate) fn expect_requests(&mut self, more: usize) {
        self.requests.reserve_exact(more);
    }

    /// Takes a request back that the driver has not seen.
    pub(crate) fn withdraw(&mut self, id: RequestId) {
        self.requests.retain(|request| request.id() != Some(id));
    }

    pub(crate) fn close(&mut self, socket: SocketId) {
        self.requests.push_back(Request::Close { socket });
    }

    #[inline]
    pub(crate) fn take_request(&mut self) -> Option<Request> {
        let request = self.requests.pop_front()?;
        if self.requests.is_empty() {
            // There may be none ever again.
            self.requests = VecDeque::new();
        }
        Some(request)
    }

    /// Whether there is nothing to report.
    #[inline]
    pub(crate) fn is_silent(&self) -> bool {
        !self.news
    }

    pub(crate) fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    /// A report; the oldest goes when there are too many, and is counted.
    pub(crate) fn notice(&mut self, event: Event) {
        if self.notices.len() >= MAX_NOTICES {
            self.notices.pop_front();
            self.lost = self.lost.saturating_add(1);
        }
        self.notices.push_back(event);
        self.news = true;
    }

    /// A limit was reached; said once.
    pub(crate) fn limit(&mut self, limit: Limit) {
        if self.limits.insert(limit) {
            self.notice(Event::LimitReached(limit));
        }
    }

    pub(crate) fn takes_turn_events(&self) -> bool {
        self.turn.len() < MAX_TURN_EVENTS
    }

    pub(crate) fn turn(&mut self, base: BaseId, event: floe_turn::Event) {
        self.turn.push_back((base, event));
        self.news = true;
    }

    pub(crate) fn gone(&mut self, base: BaseId) {
        self.gone.push(base);
        self.news = true;
    }

    pub(crate) fn deadline_passed(&mut self) {
        (self.deadline_passed, self.news) = (true, true);
    }

    /// Nothing more is waited for.
    pub(crate) fn complete(&mut self) {
        (self.deadline_passed, self.complete, self.news) = (false, true, true);
    }

    /// The next event that is not about a candidate and not the last one.
    pub(crate) fn take_event(&mut self) -> Option<Event> {
        if let Some((base, event)) = self.turn.pop_front() {
            return Some(Event::Turn(base, event));
        }
        if let Some(base) = self.gone.pop() {
            return Some(Event::BaseGone { base });
        }
        // The gap is before everything that is still here.
        if self.lost > 0 {
            return Some(Event::EventsLost(core::mem::take(&mut self.lost)));
        }
        self.notices.pop_front()
    }

    /// What is said after all candidates that there are, and all events.
    pub(crate) fn take_last(&mut self) -> Option<Event> {
        if core::mem::take(&mut self.deadline_passed) {
            return Some(Event::DeadlinePassed);
        }
        self.news = core::mem::take(&mut self.complete);
        self.news.then_some(Event::Complete)
    }
}
