//! What the driver and the handles of one agent share.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use floe_agent::{Event, State};
use floe_pair::{CandidateLine, ComponentId, StreamId};
use tokio::sync::{Notify, watch};

use crate::component::{Component, Progress};

/// Events of one agent that wait to be read. As many as the agent itself would keep; the oldest goes.
pub const EVENT_QUEUE: usize = 1024;

/// A candidate of this agent, to be signalled to the peer.
#[derive(Clone, Debug)]
pub struct LocalCandidate {
    /// The data stream it is for.
    pub stream: StreamId,
    /// The candidate as RFC 8839 §5.1 writes it.
    pub line: CandidateLine,
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
    first: Arc<Component>,
    components: Vec<Arc<Component>>,
    news: Mutex<News>,
    event_arrived: Notify,
    gathered: watch::Sender<bool>,
    /// Whether the agent has given everything back.
    ended: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct News {
    events: VecDeque<Event>,
    lost: u32,
    /// All candidates so far; the agent bounds their number.
    local: Vec<LocalCandidate>,
}

impl Session {
    /// For an agent with these data streams. It has checked that there is a component; without one, one stands
    /// for it that nothing ever happens to.
    pub(crate) fn new(ufrag: &str, streams: &[(StreamId, Vec<ComponentId>)]) -> Self {
        let components: Vec<_> = streams
            .iter()
            .flat_map(|(stream, ids)| ids.iter().map(|id| Arc::new(Component::new(*stream, *id))))
            .collect();
        let none = || Arc::new(Component::new(StreamId(0), ComponentId::RTP));
        Self {
            ufrag: ufrag.into(),
            first: components.first().map_or_else(none, Arc::clone),
            components,
            news: Mutex::default(),
            event_arrived: Notify::new(),
            gathered: watch::Sender::new(false),
            ended: watch::Sender::new(false),
        }
    }

    pub(crate) fn first(&self) -> &Arc<Component> {
        &self.first
    }

    pub(crate) fn component(&self, stream: StreamId, id: ComponentId) -> Option<&Arc<Component>> {
        self.components.iter().find(|component| component.stream == stream && component.id == id)
    }

    pub(crate) fn components(&self) -> &[Arc<Component>] {
        &self.components
    }

    /// An event of the agent. What follows from it for the handles is done here; then it waits to be read.
    pub(crate) fn push(&self, event: Event) {
        match &event {
            Event::LocalCandidate { stream, candidate } => {
                let line = CandidateLine::from(candidate);
                self.news().local.push(LocalCandidate { stream: *stream, line });
            }
            Event::GatheringDeadline | Event::GatheringComplete => {
                self.gathered.send_replace(true);
            }
            Event::PairValid { stream, component } | Event::Selected { stream, component, .. } => {
                if let Some(component) = self.component(*stream, *component) {
                    component.set_progress(Progress::Connected);
                }
            }
            Event::State(State::Failed) => {
                for component in &self.components {
                    component.set_progress(Progress::Failed);
                }
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
        self.event_arrived.notify_one();
    }

    /// The next event; `None` when the last was read.
    pub(crate) async fn event(&self) -> Option<Event> {
        loop {
            let arrived = self.event_arrived.notified();
            let (event, more) = {
                let mut news = self.news();
                (news.pop(), !news.events.is_empty())
            };
            if more {
                self.event_arrived.notify_one();
            }
            if event.is_some() || *self.ended.borrow() {
                return event;
            }
            arrived.await;
        }
    }

    /// All local candidates, when gathering is complete, its deadline has passed or the agent closed.
    pub(crate) async fn gathered(&self) -> Vec<LocalCandidate> {
        // The sender lives in `self`: it cannot be gone.
        let _ = self.gathered.subscribe().wait_for(|gathered| *gathered).await;
        self.news().local.clone()
    }

    pub(crate) async fn ended(&self) {
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Stops data both ways; events still come.
    pub(crate) fn close(&self) {
        for component in &self.components {
            component.close();
        }
        self.gathered.send_replace(true);
    }

    /// Everything was given back: no event comes any more.
    pub(crate) fn end(&self) {
        self.close();
        self.ended.send_replace(true);
        self.event_arrived.notify_waiters();
        self.event_arrived.notify_one();
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl News {
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
    use super::*;

    fn session() -> Session {
        Session::new("ufrag", &[(StreamId(0), vec![ComponentId::RTP])])
    }

    #[tokio::test]
    async fn events_come_in_order_and_end() {
        let session = session();
        session.push(Event::State(State::Checking));
        session.push(Event::Closed);
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
            session.push(Event::GatheringComplete);
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
