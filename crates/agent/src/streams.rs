//! Data streams and components that come and go while the agent runs.

use floe_pair::{BaseId, ComponentId, StreamId};
use floe_stun::Instant;

use crate::{
    agent::{Agent, Component, Life},
    commands::ApiError,
    config::MOST_STREAMS,
    early::EarlyData,
    event::Event,
};

impl Agent {
    /// Adds a component, and its data stream if it is the first there; no restart is needed (RFC 8839 §4.4.1.1.3). If
    /// the agent gathers, candidates for it are gathered as well, and the end of candidates is told again. A known
    /// component is left as it is.
    ///
    /// # Errors
    /// [`ApiError::TooManyStreams`], [`ApiError::Closed`].
    pub fn add_component(
        &mut self,
        now: Instant,
        stream: StreamId,
        component: ComponentId,
    ) -> Result<(), ApiError> {
        let now = self.advance(now);
        if self.life != Life::Open {
            return Err(ApiError::Closed);
        }
        if self.component(stream, component).is_some() {
            return Ok(());
        }
        let streams = self.streams();
        if !streams.contains(&stream) && streams.len() >= MOST_STREAMS {
            return Err(ApiError::TooManyStreams);
        }
        self.live_checks_mut().for_each(|checks| checks.add_component(stream, component));
        let early = EarlyData::default();
        self.components.push(Component { stream, id: component, path: None, paths: 0, early });
        if self.gatherer.is_started() {
            self.gatherer.start(now, &[(stream, component)]);
        }
        self.pump(now);
        Ok(())
    }

    /// Removes a component: its pairs, its allocations, which are released, and its sockets, which are closed. For
    /// RTCP that is multiplexed, and for data streams that are bundled or rejected.
    ///
    /// # Errors
    /// [`ApiError::NoSuchComponent`], [`ApiError::LastComponent`], [`ApiError::Closed`].
    pub fn remove_component(
        &mut self,
        now: Instant,
        stream: StreamId,
        component: ComponentId,
    ) -> Result<(), ApiError> {
        let now = self.advance(now);
        if self.life != Life::Open {
            return Err(ApiError::Closed);
        }
        if self.component(stream, component).is_none() {
            return Err(ApiError::NoSuchComponent(stream, component));
        }
        if self.components.len() == 1 {
            return Err(ApiError::LastComponent);
        }
        self.drop_component(now, stream, component);
        self.pump(now);
        Ok(())
    }

    /// Removes a data stream with all its components.
    ///
    /// # Errors
    /// [`ApiError::NoSuchStream`], [`ApiError::LastComponent`] where there is no other, [`ApiError::Closed`].
    pub fn remove_stream(&mut self, now: Instant, stream: StreamId) -> Result<(), ApiError> {
        let now = self.advance(now);
        if self.life != Life::Open {
            return Err(ApiError::Closed);
        }
        let streams = self.streams();
        if !streams.contains(&stream) {
            return Err(ApiError::NoSuchStream(stream));
        }
        if streams.len() == 1 {
            return Err(ApiError::LastComponent);
        }
        while let Some(id) = self.components.iter().find(|part| part.stream == stream).map(|part| part.id) {
            self.drop_component(now, stream, id);
        }
        self.pump(now);
        Ok(())
    }

    fn drop_component(&mut self, now: Instant, stream: StreamId, component: ComponentId) {
        let bases: alloc::vec::Vec<BaseId> = self
            .gatherer
            .candidates()
            .filter(|(of, candidate, _)| *of == stream && candidate.component == component)
            .map(|(_, _, base)| base)
            .collect();
        for checks in self.all_checks_mut() {
            checks.remove_component(now, stream, component);
            for base in &bases {
                checks.remove_base(now, *base);
            }
        }
        self.gatherer.remove_component(now, stream, component);
        self.generations.forget(stream, component);
        self.adopted.retain(|adopted| !adopted.is_for(stream, component));
        let index = self.components.iter().position(|part| part.stream == stream && part.id == component);
        let part = index.map(|index| self.components.remove(index));
        if let Some(path) = part.and_then(|part| part.path) {
            path.revoke();
            self.emit(Event::PathChanged { stream, component });
        }
    }
}
