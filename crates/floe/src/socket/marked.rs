//! Sending with a differentiated services code point (RFC 8837), which `quinn-udp` always clears.

use std::{
    io::{self, IoSlice},
    net::IpAddr,
    os::fd::AsRawFd,
};

use nix::{
    errno::Errno,
    libc,
    sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg},
};

use super::Datagram;

/// Most control messages of one datagram: mark, source, segment size.
const MOST_CONTROLS: usize = 3;

pub(super) fn send(
    socket: &tokio::net::UdpSocket,
    source: Option<IpAddr>,
    datagram: &Datagram<'_>,
) -> io::Result<()> {
    let to = SockaddrStorage::from(datagram.to.socket_addr());
    // RFC 2474 §3, RFC 3168 §5: six bits of code point, two of congestion notification.
    let octet = datagram.dscp.get() << 2 | datagram.ecn.bits();
    let class = i32::from(octet);
    let (v4, v6) = (source.map(v4_info), source.map(v6_info));
    let mut controls = Vec::with_capacity(MOST_CONTROLS);
    if datagram.to.is_ipv4() {
        controls.push(ControlMessage::Ipv4Tos(&octet));
        controls.extend(v4.iter().flatten().map(ControlMessage::Ipv4PacketInfo));
    } else {
        controls.push(ControlMessage::Ipv6TClass(&class));
        controls.extend(v6.iter().flatten().map(ControlMessage::Ipv6PacketInfo));
    }
    controls.extend(datagram.segment_bytes.iter().map(ControlMessage::UdpGsoSegments));
    let parts = [IoSlice::new(datagram.header), IoSlice::new(datagram.payload)];
    loop {
        match sendmsg(socket.as_raw_fd(), &parts, &controls, MsgFlags::empty(), Some(&to)) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn v4_info(source: IpAddr) -> Option<libc::in_pktinfo> {
    let IpAddr::V4(ip) = source else { return None };
    let local = libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
    Some(libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: local, ipi_addr: libc::in_addr { s_addr: 0 } })
}

fn v6_info(source: IpAddr) -> Option<libc::in6_pktinfo> {
    let IpAddr::V6(ip) = source else { return None };
    Some(libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: ip.octets() }, ipi6_ifindex: 0 })
}
