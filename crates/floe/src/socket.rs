//! UDP sockets that tell where a datagram arrived, choose where it leaves from, and read and write its marks.

use std::{
    io::{self, IoSliceMut},
    net::IpAddr,
    sync::{PoisonError, RwLock, RwLockReadGuard},
    task::{Context, Poll, ready},
};

use floe_agent::{Dscp, Ecn};
use floe_pair::TransportAddress;
use quinn_udp::{EcnCodepoint, RecvMeta, UdpSocketState};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::io::Interest;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod marked;
#[cfg(test)]
mod tests;

/// Asked of the kernel for received datagrams, in bytes: some 10 ms at 1 Gbit/s. It gives what it allows.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

/// Header and payload up to this are put together on the stack: more than any path's MTU but loopback's.
const STACK_DATAGRAM_BYTES: usize = 2048;

/// Largest payload of one call to the kernel over IPv4, also of segments sent together.
pub(crate) const MOST_BYTES: usize = 65_507;

/// One UDP socket. Sending and receiving take `&self` and never block.
#[derive(Debug)]
pub(crate) struct Socket {
    io: tokio::net::UdpSocket,
    /// Made anew when a bad datagram spoiled it: see [`Socket::mend`].
    state: RwLock<UdpSocketState>,
    local: TransportAddress,
    #[cfg(test)]
    pub(crate) faults: tests::Faults,
}

/// A datagram to send: the header, then the payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram<'a> {
    /// The address of this host it leaves from; only used where the socket has several.
    pub(crate) source: IpAddr,
    pub(crate) to: TransportAddress,
    pub(crate) dscp: Dscp,
    pub(crate) ecn: Ecn,
    pub(crate) header: &'a [u8],
    pub(crate) payload: &'a [u8],
    /// The payload is several datagrams of this many bytes, the last may have fewer. Without header only.
    pub(crate) segment_bytes: Option<u16>,
}

impl Socket {
    /// Opens a socket at `local`; port 0 lets the system choose. An IPv6 socket takes no IPv4.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O.
    pub(crate) fn bind(local: TransportAddress) -> io::Result<Self> {
        let address = local.socket_addr();
        let socket = RawSocket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            // One host would have two names otherwise, 192.0.2.1 and ::ffff:192.0.2.1.
            socket.set_only_v6(true)?;
        }
        // Less is slower, not wrong.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
        socket.bind(&address.into())?;
        let socket = std::net::UdpSocket::from(socket);
        let state = UdpSocketState::new((&socket).into())?;
        let io = tokio::net::UdpSocket::from_std(socket)?;
        let local = io.local_addr()?.into();
        Ok(Self {
            io,
            state: RwLock::new(state),
            local,
            #[cfg(test)]
            faults: tests::Faults::default(),
        })
    }

    /// The address it is bound to; the IP may be unspecified.
    pub(crate) fn local(&self) -> TransportAddress {
        self.local
    }

    /// Whether datagrams of this address of the host go through the socket.
    pub(crate) fn serves(&self, ip: IpAddr) -> bool {
        self.local.ip() == ip || (self.local.is_unspecified() && self.local.is_ipv4() == ip.is_ipv4())
    }

    /// How many segments one call takes.
    pub(crate) fn most_segments(&self) -> usize {
        self.state().max_gso_segments()
    }

    /// Waits until the kernel takes datagrams again.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.io.writable().await
    }

    /// As [`Socket::writable`], for the one task that drives the endpoint.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_send_ready(cx)
    }

    /// Sends, unless the kernel's buffer is full ([`io::ErrorKind::WouldBlock`]).
    ///
    /// # Errors
    /// What the system says of this destination; the socket goes on working.
    pub(crate) fn try_send(&self, datagram: &Datagram<'_>) -> io::Result<()> {
        self.io.try_io(Interest::WRITABLE, || self.send_now(datagram))
    }

    /// As [`Socket::try_send`], without asking the runtime, which may have ended.
    pub(crate) fn send_now(&self, datagram: &Datagram<'_>) -> io::Result<()> {
        #[cfg(test)]
        self.faults.on_send()?;
        // A bad destination costs more than the datagram: one EINVAL and the state sends neither segments nor
        // ECN any more.
        if datagram.to.port() == 0 || datagram.to.is_unspecified() {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        if datagram.to.is_ipv4() != self.local.is_ipv4() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if datagram.dscp != Dscp::BEST_EFFORT {
            return marked::send(&self.io, self.source(datagram), datagram);
        }
        if datagram.header.is_empty() {
            return self.send_unmarked(datagram, datagram.payload);
        }
        let len = datagram.header.len().saturating_add(datagram.payload.len());
        let mut stack = [0; STACK_DATAGRAM_BYTES];
        if let Some(buffer) = stack.get_mut(..len) {
            let (header, payload) = buffer.split_at_mut(datagram.header.len());
            header.copy_from_slice(datagram.header);
            payload.copy_from_slice(datagram.payload);
            self.send_unmarked(datagram, buffer)
        } else {
            self.send_unmarked(datagram, &[datagram.header, datagram.payload].concat())
        }
    }

    fn send_unmarked(&self, datagram: &Datagram<'_>, contents: &[u8]) -> io::Result<()> {
        let transmit = quinn_udp::Transmit {
            destination: datagram.to.socket_addr(),
            ecn: EcnCodepoint::from_bits(datagram.ecn.bits()),
            contents,
            segment_size: datagram.segment_bytes.map(usize::from),
            src_ip: self.source(datagram),
        };
        let result = self.state().try_send((&self.io).into(), &transmit);
        if datagram.segment_bytes.is_none()
            && result.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
        {
            self.mend();
        }
        result
    }

    /// Undoes what an unlucky datagram does to the state. It takes EINVAL and EIO as a sign that the system has
    /// neither segmentation nor ECN, and the reason is often another: a source address that just vanished.
    fn mend(&self) {
        if self.state().max_gso_segments() > 1 {
            return;
        }
        if let Ok(state) = UdpSocketState::new((&self.io).into()) {
            *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        }
    }

    /// What to tell the kernel of the source. A socket with one address needs nothing said, and cannot name one
    /// that vanished.
    fn source(&self, datagram: &Datagram<'_>) -> Option<IpAddr> {
        self.local.is_unspecified().then_some(datagram.source)
    }

    /// Receives into as many buffers as there are datagrams. Each should hold 64 KiB: the kernel puts datagrams of
    /// one sender together and cuts what does not fit.
    ///
    /// # Errors
    /// What the system says; the next call may succeed.
    pub(crate) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let received = self.io.try_io(Interest::READABLE, || {
                #[cfg(test)]
                self.faults.on_receive()?;
                self.state().recv((&self.io).into(), buffers, metas)
            });
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return Poll::Ready(received),
            }
        }
    }

    fn state(&self) -> RwLockReadGuard<'_, UdpSocketState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The datagrams in one receive buffer: those of one sender that the kernel put together.
pub(crate) fn datagrams<'a>(buffer: &'a mut [u8], meta: &RecvMeta) -> impl Iterator<Item = &'a mut [u8]> {
    let filled = buffer.get_mut(..meta.len).unwrap_or_default();
    // An empty datagram has stride 0, and is one all the same.
    let empty = filled.is_empty().then_some(Default::default());
    filled.chunks_mut(meta.stride.max(1)).chain(empty)
}
