//! Data of one component.

use std::{
    fmt, io,
    sync::Arc,
    task::{Context, Poll},
};

use floe_agent::{ComponentState, Ecn, Frame, PathError};
use floe_check::SelectedPair;
use floe_pair::{ComponentId, Place, StreamId};

use crate::{
    component::{Component, ConnectionStats},
    error::{ConnectError, RecvError, SendError},
    handle::Handle,
    inbox::Received,
    socket::{Datagram, MOST_BYTES, Socket},
};

/// Most a Send indication adds to a payload: header, peer address, DATA header and padding (RFC 8656 §11).
const INDICATION_BYTES: usize = 20 + 24 + 4 + 3;

/// Datagrams to and from the peer over one component.
///
/// Cheap to clone; clones share the incoming datagrams, each goes to one of them. Sending takes no lock that the
/// driver holds over a system call: the path of the component is shared with it.
///
/// It is UDP: datagrams may be lost, doubled or overtaken, and keep their boundaries.
#[derive(Clone)]
pub struct Connection {
    handle: Arc<Handle>,
    component: Arc<Component>,
}

/// What became of a datagram.
enum Sent {
    Done,
    /// This socket takes none now.
    Blocked(Arc<Socket>),
}

impl Connection {
    pub(crate) fn new(handle: Arc<Handle>, component: Arc<Component>) -> Self {
        Self { handle, component }
    }

    /// The data stream and the component.
    pub fn id(&self) -> (StreamId, ComponentId) {
        (self.component.stream, self.component.id)
    }

    /// Waits until data can be sent: a pair is valid, though perhaps none selected yet. It is asked how things stand,
    /// not what they have been: after the loss of a path this waits, or tells what is the matter, until there is another.
    ///
    /// # Errors
    /// [`ConnectError`]; after [`Agent::restart`](crate::Agent::restart) the component may connect again.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn connected(&self) -> Result<(), ConnectError> {
        let (stream, component) = self.id();
        let state = || {
            let state = self.handle.look(|agent| agent.component_state(stream, component)).flatten();
            // Another component may have come in the place of one that was removed.
            state.filter(|_| !self.component.is_closed()).unwrap_or(ComponentState::Closed)
        };
        let verdict = || match state() {
            ComponentState::Connected => Some(Ok(())),
            ComponentState::ConsentLost => Some(Err(ConnectError::ConsentLost)),
            ComponentState::Failed => Some(Err(ConnectError::Failed)),
            ComponentState::Absent => Some(Err(ConnectError::Absent)),
            ComponentState::Closed => Some(Err(ConnectError::Closed)),
            _ => None,
        };
        self.handle.until(verdict).await
    }

    /// Sends one datagram, and waits while the kernel's buffer is full.
    ///
    /// # Errors
    /// [`SendError`]; the connection may work again.
    ///
    /// # Cancel safety
    /// The datagram was sent or not, never in part.
    pub async fn send(&self, payload: &[u8]) -> Result<(), SendError> {
        self.send_marked(payload, Ecn::NotCapable).await
    }

    /// As [`Connection::send`], with a congestion mark (RFC 3168 §5).
    ///
    /// # Errors
    /// [`SendError`].
    ///
    /// # Cancel safety
    /// As [`Connection::send`].
    pub async fn send_marked(&self, payload: &[u8], ecn: Ecn) -> Result<(), SendError> {
        // Asked again after each wait: consent may have ended in it.
        while let Sent::Blocked(socket) = self.attempt(payload, ecn)? {
            socket.writable().await.map_err(SendError::Socket)?;
        }
        Ok(())
    }

    /// Sends one datagram, if the kernel takes it now.
    ///
    /// # Errors
    /// [`SendError`], [`SendError::WouldBlock`] among them.
    pub fn try_send(&self, payload: &[u8]) -> Result<(), SendError> {
        match self.attempt(payload, Ecn::NotCapable)? {
            Sent::Done => Ok(()),
            Sent::Blocked(_) => Err(SendError::WouldBlock),
        }
    }

    /// Sends many datagrams that lie one after another: all of `segment_bytes`, but the last may be shorter. Where
    /// the path allows it, one system call sends up to 64 of them. Returns how many were sent.
    ///
    /// # Errors
    /// [`SendError`], also when some were sent before: their number is in [`Connection::stats`].
    ///
    /// # Cancel safety
    /// Some may have been sent.
    pub async fn send_segments(&self, payload: &[u8], segment_bytes: usize) -> Result<usize, SendError> {
        let size = segment_bytes.max(1);
        let mut sent = 0_usize;
        let mut rest = payload;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.batch_bytes(size).min(rest.len()));
            if now.len() <= size {
                self.send(now).await?;
            } else {
                self.send_batch(now, size).await?;
            }
            sent = sent.saturating_add(now.len().div_ceil(size));
            rest = later;
        }
        Ok(sent)
    }

    /// How much of equal datagrams one system call may take.
    fn batch_bytes(&self, size: usize) -> usize {
        let Some(route) = self.component.route() else { return size };
        let most = route.socket.most_segments().min(MOST_BYTES.checked_div(size).unwrap_or(1)).max(1);
        size.saturating_mul(most)
    }

    async fn send_batch(&self, payload: &[u8], size: usize) -> Result<(), SendError> {
        loop {
            let Some(route) = self.component.route() else { break };
            let now = self.handle.shared().clock.now();
            let Ok(frame) = route.path.frame(now, size) else { break };
            // Framing goes before each datagram, so that only bare ones can be cut by the kernel.
            let segment_bytes = u16::try_from(size).ok();
            if segment_bytes.is_none() || !frame.header().is_empty() {
                break;
            }
            let datagram = Datagram { segment_bytes, ..datagram(&frame, payload, Ecn::NotCapable) };
            match route.socket.try_send(&datagram) {
                Ok(()) => {
                    self.component.counts.sent(payload.len().div_ceil(size), payload.len());
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    route.socket.writable().await.map_err(SendError::Socket)?;
                }
                // The interface cannot do it after all: one by one.
                Err(_) => break,
            }
        }
        for segment in payload.chunks(size) {
            self.send(segment).await?;
        }
        Ok(())
    }

    /// Receives one datagram into `buffer` and returns its length.
    ///
    /// # Errors
    /// [`RecvError::BufferTooSmall`], which loses the datagram, and [`RecvError::Closed`] from
    /// [`Connection::close`] on. The loss of the path is no error: it may come back.
    ///
    /// # Cancel safety
    /// No datagram is lost.
    pub async fn recv(&self, buffer: &mut [u8]) -> Result<usize, RecvError> {
        self.recv_marked(buffer).await.map(|received| received.len)
    }

    /// As [`Connection::recv`], with the datagram's congestion mark (RFC 3168 §5).
    ///
    /// # Errors
    /// As [`Connection::recv`].
    ///
    /// # Cancel safety
    /// No datagram is lost.
    pub async fn recv_marked(&self, buffer: &mut [u8]) -> Result<Received, RecvError> {
        self.component.receive(|inbox| inbox.pop(buffer)).await
    }

    /// Receives as many datagrams as are there, at least one, one after another into `buffer`; their lengths go
    /// to `received`. Returns how many they are.
    ///
    /// # Errors
    /// As [`Connection::recv`].
    ///
    /// # Cancel safety
    /// No datagram is lost.
    pub async fn recv_batch(&self, buffer: &mut [u8], received: &mut [Received]) -> Result<usize, RecvError> {
        if received.is_empty() {
            return Ok(0);
        }
        self.component.receive(|inbox| inbox.pop_batch(buffer, received)).await
    }

    /// As [`Connection::recv_marked`], for futures written by hand. Only the last task that polled is woken.
    pub fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<Received, RecvError>> {
        self.component.poll_receive(cx, buffer)
    }

    /// The selected pair; `None` before there is one, though data may flow already, and after the end. After a restart it
    /// is the new one, while data stays on the one before until every component of the stream has its own.
    pub fn path(&self) -> Option<SelectedPair> {
        let (stream, component) = self.id();
        self.handle.selected(stream, component)
    }

    /// What went through.
    pub fn stats(&self) -> ConnectionStats {
        self.component.counts.read()
    }

    /// Closes the agent with all its connections, as [`Agent::close`](crate::Agent::close) does.
    pub fn close(&self) {
        self.handle.close();
    }

    /// Whether [`Connection::close`] was called, the agent ended otherwise, or the component was removed.
    pub fn is_closed(&self) -> bool {
        self.component.is_closed()
    }

    fn attempt(&self, payload: &[u8], ecn: Ecn) -> Result<Sent, SendError> {
        if let Some(route) = self.component.route() {
            let now = self.handle.shared().clock.now();
            match route.path.frame(now, payload.len()) {
                Ok(frame) => {
                    let result = route.socket.try_send(&datagram(&frame, payload, ecn));
                    return self.note(&route.socket, payload.len(), result);
                }
                Err(PathError::TooLong(_)) => return Err(SendError::TooLong),
                // The agent knows whether there is another way, or why not.
                Err(_) => {}
            }
        }
        self.attempt_through_agent(payload, ecn)
    }

    /// The slow way: through the agent, which also sends over a relay that has no channel yet.
    fn attempt_through_agent(&self, payload: &[u8], ecn: Ecn) -> Result<Sent, SendError> {
        if self.component.is_closed() {
            return Err(SendError::Closed);
        }
        if payload.len() > MOST_BYTES {
            return Err(SendError::TooLong);
        }
        let mut buffer = vec![0; payload.len().saturating_add(INDICATION_BYTES)];
        let (stream, component) = self.id();
        let shared = self.handle.shared();
        let mut state = shared.state();
        let now = shared.clock.now();
        let agent = state.hub.agent_mut(self.handle.key()).ok_or(SendError::Closed)?;
        let sent = agent.send(now, stream, component, payload, &mut buffer);
        // Also where nothing is sent: consent that rested is asked for again.
        shared.wake.notify_one();
        let transmit = sent.map_err(send_error)?;
        let socket = state.sockets.get(&transmit.from.socket).ok_or(SendError::NotConnected)?;
        let socket = Arc::clone(socket);
        drop(state);
        let datagram = Datagram {
            source: transmit.from.local_ip,
            to: transmit.to,
            dscp: transmit.dscp,
            ecn,
            header: &[],
            payload: buffer.get(..transmit.len).unwrap_or_default(),
            segment_bytes: None,
        };
        let result = socket.try_send(&datagram);
        self.note(&socket, payload.len(), result)
    }

    fn note(&self, socket: &Arc<Socket>, bytes: usize, result: io::Result<()>) -> Result<Sent, SendError> {
        match result {
            Ok(()) => {
                self.component.counts.sent(1, bytes);
                Ok(Sent::Done)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Sent::Blocked(Arc::clone(socket))),
            Err(error) => {
                self.component.counts.send_failed();
                if quinn_udp::is_msg_size_err(&error) {
                    return Err(SendError::TooLong);
                }
                Err(SendError::Socket(error))
            }
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("stream", &self.component.stream)
            .field("component", &self.component.id)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

fn datagram<'a>(frame: &'a Frame, payload: &'a [u8], ecn: Ecn) -> Datagram<'a> {
    let Place { local_ip, .. } = frame.from;
    Datagram {
        source: local_ip,
        to: frame.to,
        dscp: frame.dscp,
        ecn,
        header: frame.header(),
        payload,
        segment_bytes: None,
    }
}

fn send_error(error: floe_agent::SendError) -> SendError {
    match error {
        floe_agent::SendError::Path(PathError::Expired) => SendError::ConsentExpired,
        floe_agent::SendError::Path(PathError::TooLong(_)) | floe_agent::SendError::BufferTooSmall(_) => {
            SendError::TooLong
        }
        floe_agent::SendError::Relay(error) => SendError::Relay(error),
        _ => SendError::NotConnected,
    }
}
