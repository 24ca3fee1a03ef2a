//! Data streams and components that come and go while the agent runs.

use floe_pair::{ComponentId, StreamId};
use floe_stun::Instant;

use crate::{
    agent::{Agent, Component},
    commands::ApiError,
    config::MOST_STREAMS,
    event::Event,
};

impl Agent {
    /// Adds a component, and its data stream if it is the first there. If the agent gathers, candidates for it are
    /// gathered as well. A known component is left as it is.
    ///
    /// No restart is needed, neither for a data stream (RFC 8839 §4.4.1.1.3) nor for a component of one whose candidates
    /// were all told: the stream is open for candidates again until its next
    /// [`Event::EndOfCandidates`](crate::Event::EndOfCandidates) and the peer's. The peer has to add the component as
    /// well, before it is given our candidates for it.
    ///
    /// # Errors
    /// [`ApiError::ComponentGap`] where the component before it is not there, [`ApiError::TooManyStreams`],
    /// [`ApiError::Closed`].
    pub fn add_component(
        &mut self,
        now: Instant,
        stream: StreamId,
        component: ComponentId,
    ) -> Result<(), ApiError> {
        let now = self.open(now)?;
        self.catch_up();
        if self.component(stream, component).is_some() {
            return Ok(());
        }
        let streams = self.streams();
        if !streams.contains(&stream) && streams.len() >= MOST_STREAMS {
            return Err(ApiError::TooManyStreams);
        }
        // RFC 8839 §5.1: component ids start at 1, each one above the one before.
        let below = ComponentId::new(component.get().saturating_sub(1));
        if below.is_some_and(|below| self.component(stream, below).is_none()) {
            return Err(ApiError::ComponentGap(stream, component));
        }
        let told = self.components.iter().find(|other| other.stream == stream).map(|other| other.told);
        let part = Component::new(stream, component);
        self.components.push(Component { told: told.unwrap_or(part.told), ..part });
        if let Some(standing) = self.generations.standing_mut() {
            standing.checks.add_component(now, stream, component);
            standing.ended.remove(stream);
        }
        self.checks.add_component(now, stream, component);
        self.generations.ended.remove(stream);
        if self.gatherer.is_started() {
            self.gatherer.start(now, &[(stream, component)]);
        }
        self.pump(now);
        Ok(())
    }

    /// Removes a component: its pairs, its allocations, which are released, and its sockets, which are closed. For
    /// RTCP that is multiplexed.
    ///
    /// # Errors
    /// [`ApiError::NoSuchComponent`], [`ApiError::LastComponent`] where the agent has no other,
    /// [`ApiError::ComponentGap`] where it is not the last of its data stream, [`ApiError::Closed`].
    pub fn remove_component(
        &mut self,
        now: Instant,
        stream: StreamId,
        component: ComponentId,
    ) -> Result<(), ApiError> {
        let now = self.open(now)?;
        self.catch_up();
        if self.component(stream, component).is_none() {
            return Err(ApiError::NoSuchComponent(stream, component));
        }
        if self.components.len() == 1 {
            return Err(ApiError::LastComponent);
        }
        // RFC 8839 §5.1: what is left starts at 1 as well.
        let above = ComponentId::new(component.get().saturating_add(1));
        if above.is_some_and(|above| self.component(stream, above).is_some()) {
            return Err(ApiError::ComponentGap(stream, component));
        }
        self.drop_component(now, stream, component);
        self.pump(now);
        Ok(())
    }

    /// Removes a data stream with all its components: for one that is bundled or rejected.
    ///
    /// # Errors
    /// [`ApiError::NoSuchStream`], [`ApiError::LastComponent`] where there is no other, [`ApiError::Closed`].
    pub fn remove_stream(&mut self, now: Instant, stream: StreamId) -> Result<(), ApiError> {
        let now = self.open(now)?;
        self.catch_up();
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
        self.all_checks_mut().for_each(|checks| checks.remove_component(now, stream, component));
        self.give_back(|_, adopted| adopted.is_for(stream, component));
        // Its bases go when the gatherer says so, which is before anything else is done.
        self.gatherer.remove_component(now, stream, component);
        self.generations.forget(stream, component);
        let index = self.components.iter().position(|part| part.stream == stream && part.id == component);
        let part = index.map(|index| self.components.remove(index));
        if self.components.iter().all(|other| other.stream != stream) {
            self.generations.forget_stream(stream);
        }
        if let Some(path) = part.and_then(|part| part.path) {
            path.revoke();
            self.emit(Event::PathChanged { stream, component });
        }
    }
}
