//! [`Connection`] as a `Conn` of webrtc-util: the transport under webrtc-rs's DTLS and SCTP.

use std::{
    any::Any,
    future::pending,
    io,
    net::{Ipv4Addr, SocketAddr},
};

use async_trait::async_trait;
use webrtc_util::{Conn, Error};

use crate::{Connection, RecvError, SendError};

type Result<T> = std::result::Result<T, Error>;

/// What webrtc-rs expects of a transport differs from what a [`Connection`] says: it calls `recv` again at once
/// after an error, as fast as it can, and an association ends with the first error below it. So here nothing the
/// network does is an error, and the end is not one either. Close from the top, this last.
#[async_trait]
impl Conn for Connection {
    /// Waits until the agent has a valid pair; the address does not matter.
    async fn connect(&self, _: SocketAddr) -> Result<()> {
        self.connected().await.map_err(|error| io::Error::new(io::ErrorKind::NotConnected, error).into())
    }

    /// Receives one datagram. Stays pending after the path is lost and after the end. What does not fit into
    /// `buffer` is dropped.
    async fn recv(&self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match Connection::recv(self, buffer).await {
                Ok(len) => return Ok(len),
                Err(RecvError::BufferTooSmall { .. }) => {}
                Err(RecvError::Closed) => return pending().await,
            }
        }
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr)> {
        let len = Conn::recv(self, buffer).await?;
        // A relayed or moving path has no one address; callers only look at the length.
        Ok((len, self.remote_addr().unwrap_or_else(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))))
    }

    /// Sends one datagram; the first waits for a valid pair. What the network refuses is lost, as it might have
    /// been on the way.
    async fn send(&self, payload: &[u8]) -> Result<usize> {
        if let Err(SendError::NotConnected) = Connection::send(self, payload).await
            && self.connected().await.is_ok()
        {
            let _ = Connection::send(self, payload).await;
        }
        if self.is_closed() {
            return Err(Error::ErrUseClosedNetworkConn);
        }
        Ok(payload.len())
    }

    async fn send_to(&self, payload: &[u8], _: SocketAddr) -> Result<usize> {
        Conn::send(self, payload).await
    }

    /// The address of the local candidate: for a server-reflexive or relayed one that of the NAT or relay.
    fn local_addr(&self) -> Result<SocketAddr> {
        let path = self.path().ok_or(Error::ErrNoAddressAssigned)?;
        Ok(path.local.address.socket_addr())
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        self.path().map(|path| path.remote.socket_addr())
    }

    async fn close(&self) -> Result<()> {
        Connection::close(self);
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}
