//! What the driver and the handles of one agent share.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use floe_agent::Event;
use floe_pair::{CandidateLine, ComponentId, StreamId, Ufrag};
use tokio::sync::{Notify, watch};

use crate::component::Component;

/// Events of one agent that wait to be read. As many as the agent itself would keep; the oldest goes.
pub const EVENT_QUEUE: usize = 1024;

/// A candidate of this agent, to be signalled to the peer.
#[derive(Clone, Debug)]
pub struct LocalCandidate {
    /// The data stream it is for.
    pub stream: StreamId,
    /// The candidate as RFC 8839 §5.1 writes it, with the user fragment of its generation as the extension `ufrag`
    /// (RFC 8838 §9): a line that arrives late is not taken for one of a later generation. Peers that know no such
    /// extension ignore it.
    pub line: CandidateLine,
    /// The generation it belongs to: [`Agent::parameters_of`](crate::Agent::parameters_of) has its user fragment.
    pub generation: u32,
}

impl fmt::Display for LocalCandidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.line.fmt(f)
    }
}

/// What the driver and the handles of one agent share.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) ufrag: Box<str>,
    /// In the order in which they joined.
    components: RwLock<Vec<Arc<Component>>>,
    news: Mutex<News>,
    event_arrived: Notify,
    gathered: watch::Sender<Gathered>,
    /// Sent to where the agent may have changed: who waits for it to come to something looks again.
    changed: watch::Sender<()>,
    /// Whether the agent has given everything back.
    ended: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct News {
    events: VecDeque<Event>,
    lost: u32,
    /// The candidates of the generations that live, for the components there are.
    local: Vec<LocalCandidate>,
}

/// How far gathering has come.
#[derive(Debug, Default)]
struct Gathered {
    /// The generation in force.
    generation: u32,
    /// Those whose end of candidates was told.
    ended: Vec<u32>,
    closed: bool,
}

/// Candidates of one agent that are kept: as many as two generations of 128 components have by default. Only an agent whose
/// addresses change all the time before it has a peer comes to so many; the oldest goes.
const LOCAL_KEPT: usize = 4096;

impl Session {
    /// For an agent with these data streams.
    pub(crate) fn new(ufrag: &str, streams: &[(StreamId, Vec<ComponentId>)]) -> Self {
        let components = streams
            .iter()
            .flat_map(|(stream, ids)| ids.iter().map(|id| Arc::new(Component::new(*stream, *id))))
            .collect();
        Self {
            ufrag: ufrag.into(),
            components: RwLock::new(components),
            news: Mutex::default(),
            event_arrived: Notify::new(),
            gathered: watch::Sender::new(Gathered::default()),
            changed: watch::Sender::new(()),
            ended: watch::Sender::new(false),
        }
    }

    /// The first component there is. The agent has at least one at any time; were there none, one would stand here that
    /// nothing ever happens to.
    pub(crate) fn first(&self) -> Arc<Component> {
        let components = self.components.read().unwrap_or_else(PoisonError::into_inner);
        let none = || Arc::new(Component::new(StreamId(0), ComponentId::RTP));
        components.first().map_or_else(none, Arc::clone)
    }

    pub(crate) fn component(&self, stream: StreamId, id: ComponentId) -> Option<Arc<Component>> {
        let components = self.components.read().unwrap_or_else(PoisonError::into_inner);
        components.iter().find(|component| component.stream == stream && component.id == id).map(Arc::clone)
    }

    pub(crate) fn components(&self) -> Vec<Arc<Component>> {
        self.components.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A component joined the agent, which gathers for it or does not.
    pub(crate) fn add(&self, stream: StreamId, id: ComponentId, gathers: bool) {
        if self.component(stream, id).is_some() {
            return;
        }
        let mut components = self.components.write().unwrap_or_else(PoisonError::into_inner);
        components.push(Arc::new(Component::new(stream, id)));
        drop(components);
        if gathers {
            // The end of candidates is told again.
            self.gathered.send_modify(|gathered| gathered.ended.clear());
        }
    }

    /// Components left the agent: their connections are closed.
    pub(crate) fn remove(&self, gone: impl Fn(StreamId, ComponentId) -> bool) {
        let mut components = self.components.write().unwrap_or_else(PoisonError::into_inner);
        components.retain(|component| {
            let gone = gone(component.stream, component.id);
            if gone {
                component.close();
            }
            !gone
        });
        drop(components);
        self.note_change();
        self.news().local.retain(|candidate| !gone(candidate.stream, candidate.line.component()));
    }

    /// Another generation is in force; these live.
    pub(crate) fn renew(&self, generation: u32, lives: impl Fn(u32) -> bool) {
        self.gathered.send_if_modified(|gathered| {
            let changes = gathered.generation != generation;
            gathered.generation = generation;
            gathered.ended.retain(|of| lives(*of));
            changes
        });
        self.news().local.retain(|candidate| lives(candidate.generation));
    }

    /// The agent may have changed.
    pub(crate) fn note_change(&self) {
        self.changed.send_replace(());
    }

    /// Waits until `look` finds something, and looks again whenever the agent may have changed.
    pub(crate) async fn until<T>(&self, look: impl Fn() -> Option<T>) -> T {
        // Made before the first look, so that no change in between is missed.
        let mut changes = self.changed.subscribe();
        loop {
            if let Some(found) = look() {
                return found;
            }
            // The sender lives in `self`: it cannot be gone.
            let _ = changes.changed().await;
        }
    }

    /// An event of the agent. What follows from it for the handles is done here; then it waits to be read. `ufrag` is
    /// the user fragment of the generation a candidate is for, while that lives.
    pub(crate) fn push(&self, event: Event, ufrag: Option<&Ufrag>) {
        match &event {
            Event::LocalCandidate { stream, candidate, generation } => {
                let (stream, generation, line) = (*stream, *generation, CandidateLine::from(candidate));
                // RFC 8838 §9: the peer is to know which generation a candidate belongs to, however late it arrives.
                let line = ufrag.and_then(|ufrag| line.with_extension("ufrag", ufrag.as_str()).ok());
                // One of a component or generation that is gone meanwhile is nobody's.
                if let Some(line) = line.filter(|line| self.component(stream, line.component()).is_some()) {
                    self.news().keep(LocalCandidate { stream, line, generation });
                }
            }
            Event::GatheringDeadline => {
                self.gathered.send_modify(|gathered| gathered.end(gathered.generation));
            }
            Event::GatheringComplete { generation } => {
                self.gathered.send_modify(|gathered| gathered.end(*generation));
            }
            _ => {}
        }
        let mut news = self.news();
        if news.events.len() >= EVENT_QUEUE {
            news.events.pop_front();
            news.lost = news.lost.saturating_add(1);
        }
        news.events.push_back(event);
        drop(news);
        self.note_change();
        self.event_arrived.notify_one();
    }

    /// The next event; `None` when the last was read.
    pub(crate) async fn event(&self) -> Option<Event> {
        loop {
            let arrived = self.event_arrived.notified();
            // Looked at before the queue: the last events are pushed before it is set, so that none is left behind.
            let ended = *self.ended.borrow();
            let (event, more) = {
                let mut news = self.news();
                (news.pop(), !news.events.is_empty())
            };
            if more {
                self.event_arrived.notify_one();
            }
            if event.is_some() || ended {
                return event;
            }
            arrived.await;
        }
    }

    /// All local candidates of the generation in force, when gathering is complete, its deadline has passed or the agent
    /// closed.
    pub(crate) async fn gathered(&self) -> Vec<LocalCandidate> {
        let complete = |gathered: &Gathered| gathered.closed || gathered.ended.contains(&gathered.generation);
        // The sender lives in `self`: it cannot be gone.
        let generation = {
            let mut gathered = self.gathered.subscribe();
            let found = gathered.wait_for(complete).await;
            found.map(|gathered| gathered.generation).unwrap_or_default()
        };
        let news = self.news();
        news.local.iter().filter(|candidate| candidate.generation == generation).cloned().collect()
    }

    pub(crate) async fn ended(&self) {
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Stops data both ways; events still come.
    pub(crate) fn close(&self) {
        for component in self.components() {
            component.close();
        }
        self.gathered.send_modify(|gathered| gathered.closed = true);
        self.note_change();
    }

    /// Everything was given back: no event comes any more.
    pub(crate) fn end(&self) {
        self.close();
        self.ended.send_replace(true);
        self.note_change();
        self.event_arrived.notify_waiters();
        self.event_arrived.notify_one();
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gathered {
    /// The candidates of a generation are to be signalled.
    fn end(&mut self, generation: u32) {
        if !self.ended.contains(&generation) {
            self.ended.push(generation);
        }
    }
}

impl News {
    fn keep(&mut self, candidate: LocalCandidate) {
        let is_same = |known: &LocalCandidate| {
            (known.generation, known.stream) == (candidate.generation, candidate.stream)
                && known.line == candidate.line
        };
        // An address that comes back brings the same candidate.
        if self.local.iter().any(is_same) {
            return;
        }
        if self.local.len() >= LOCAL_KEPT {
            self.local.remove(0);
        }
        self.local.push(candidate);
    }

    fn pop(&mut self) -> Option<Event> {
        // The gap is before everything that is still here.
        if self.lost > 0 {
            return Some(Event::EventsLost(std::mem::take(&mut self.lost)));
        }
        self.events.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use floe_agent::State;

    use super::*;

    fn session() -> Session {
        Session::new("ufrag", &[(StreamId(0), vec![ComponentId::RTP])])
    }

    #[tokio::test]
    async fn events_come_in_order_and_end() {
        let session = session();
        session.push(Event::State(State::Checking), None);
        session.push(Event::Closed, None);
        session.end();
        assert!(matches!(session.event().await, Some(Event::State(State::Checking))));
        assert!(matches!(session.event().await, Some(Event::Closed)));
        assert!(session.event().await.is_none());
        assert!(session.event().await.is_none());
    }

    #[tokio::test]
    async fn the_oldest_events_go_and_are_counted() {
        let session = session();
        for _ in 0..=EVENT_QUEUE {
            session.push(Event::GatheringComplete { generation: 0 }, None);
        }
        session.end();
        assert!(matches!(session.event().await, Some(Event::EventsLost(1))));
        let mut rest = 0;
        while session.event().await.is_some() {
            rest += 1;
        }
        assert_eq!(rest, EVENT_QUEUE);
    }

    #[tokio::test]
    async fn a_waiting_reader_is_told_of_the_end() {
        let session = Arc::new(session());
        let reader = tokio::spawn({
            let session = Arc::clone(&session);
            async move { session.event().await.is_none() }
        });
        tokio::task::yield_now().await;
        session.end();
        assert!(reader.await.unwrap());
        session.ended().await;
        assert!(session.gathered().await.is_empty());
    }
}
