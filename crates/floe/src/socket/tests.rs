//! Sockets against each other on loopback; faults on purpose.

use std::{
    collections::VecDeque,
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Mutex,
};

use floe_agent::{Dscp, Ecn};
use floe_pair::TransportAddress;
use quinn_udp::RecvMeta;

use super::{Datagram, Socket, datagrams};

/// Errors that the next system calls return, by number; 0 lets one through.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) send: Mutex<VecDeque<i32>>,
    pub(crate) receive: Mutex<VecDeque<i32>>,
}

impl Faults {
    pub(super) fn on_send(&self) -> io::Result<()> {
        next(&self.send)
    }

    pub(super) fn on_receive(&self) -> io::Result<()> {
        next(&self.receive)
    }
}

fn next(faults: &Mutex<VecDeque<i32>>) -> io::Result<()> {
    match faults.lock().unwrap().pop_front() {
        None | Some(0) => Ok(()),
        Some(number) => Err(io::Error::from_raw_os_error(number)),
    }
}

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn bind(ip: IpAddr) -> Socket {
    Socket::bind(TransportAddress::new(ip, 0)).unwrap()
}

fn to(socket: &Socket, payload: &'static [u8]) -> Datagram<'static> {
    let local = socket.local();
    let ip = match local.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => V4,
        IpAddr::V6(ip) if ip.is_unspecified() => V6,
        ip => ip,
    };
    Datagram {
        source: ip,
        to: TransportAddress::new(ip, local.port()),
        dscp: Dscp::BEST_EFFORT,
        ecn: Ecn::NotCapable,
        header: &[],
        payload,
        segment_bytes: None,
    }
}

async fn send(socket: &Socket, datagram: &Datagram<'_>) {
    socket.writable().await.unwrap();
    socket.try_send(datagram).unwrap();
}

struct Arrived {
    payload: Vec<u8>,
    meta: RecvMeta,
}

async fn receive(socket: &Socket) -> Vec<Arrived> {
    let mut buffer = vec![0; 1 << 16];
    let mut metas = [RecvMeta::default()];
    let count =
        std::future::poll_fn(|cx| socket.poll_recv(cx, &mut [IoSliceMut::new(&mut buffer)], &mut metas));
    assert_eq!(count.await.unwrap(), 1);
    let [meta] = metas;
    datagrams(&mut buffer, &meta).map(|payload| Arrived { payload: payload.to_vec(), meta }).collect()
}

#[tokio::test]
async fn p31_datagrams_tell_where_they_came_to_and_leave_from_where_they_are_told() {
    let wildcard = bind(Ipv4Addr::UNSPECIFIED.into());
    let peer = bind(V4);
    let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    send(
        &peer,
        &Datagram { to: TransportAddress::new(other, wildcard.local().port()), ..to(&wildcard, b"to") },
    )
    .await;
    let [arrived] = &receive(&wildcard).await[..] else { panic!("one datagram") };
    assert_eq!((arrived.payload.as_slice(), arrived.meta.dst_ip), (&b"to"[..], Some(other)));

    send(&wildcard, &Datagram { source: other, ..to(&peer, b"back") }).await;
    let [arrived] = &receive(&peer).await[..] else { panic!("one datagram") };
    assert_eq!(arrived.meta.addr.ip(), other);
}

#[tokio::test]
async fn empty_datagrams_are_datagrams() {
    for ip in [V4, V6] {
        let (a, b) = (bind(ip), bind(ip));
        send(&a, &to(&b, b"")).await;
        let [arrived] = &receive(&b).await[..] else { panic!("one datagram") };
        assert!(arrived.payload.is_empty());
    }
}

#[tokio::test]
async fn headers_go_before_payloads_of_any_length() {
    static LONG: [u8; 3000] = [7; 3000];
    let (a, b) = (bind(V4), bind(V4));
    for payload in [&b"payload"[..], &LONG] {
        send(&a, &Datagram { header: &[1, 2, 3, 4], ..to(&b, payload) }).await;
        let [arrived] = &receive(&b).await[..] else { panic!("one datagram") };
        assert_eq!(arrived.payload, [&[1, 2, 3, 4], payload].concat());
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[tokio::test]
async fn dscp_and_ecn_are_on_the_wire() {
    use nix::{
        cmsg_space,
        sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt},
    };
    use std::os::fd::AsRawFd;

    for ip in [V4, V6] {
        let peer = tokio::net::UdpSocket::bind((ip, 0)).await.unwrap();
        if ip.is_ipv4() {
            setsockopt(&peer, sockopt::IpRecvTos, &true).unwrap();
        } else {
            setsockopt(&peer, sockopt::Ipv6RecvTClass, &true).unwrap();
        }
        let read = async || {
            peer.readable().await.unwrap();
            let (mut buffer, mut space) = ([0; 2000], cmsg_space!(i32, u8));
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let message = peer.try_io(tokio::io::Interest::READABLE, || {
                let flags = MsgFlags::empty();
                let message =
                    recvmsg::<SockaddrStorage>(peer.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
                let octet = message.cmsgs().unwrap().find_map(|control| match control {
                    ControlMessageOwned::Ipv4Tos(octet) => Some(octet),
                    ControlMessageOwned::Ipv6TClass(class) => u8::try_from(class).ok(),
                    _ => None,
                });
                Ok((message.bytes, octet))
            });
            message.unwrap()
        };
        // Once from a socket with one address, once from one where the source is told.
        let any = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        for own in [ip, any] {
            let socket = bind(own);
            let plain = Datagram {
                to: peer.local_addr().unwrap().into(),
                ecn: Ecn::Capable0,
                header: b"head",
                ..to(&bind(ip), b"payload")
            };
            send(&socket, &plain).await;
            assert_eq!(read().await, (11, Some(0b10)));
            let marked = Datagram { dscp: Dscp::new(46).unwrap(), ..plain };
            send(&socket, &marked).await;
            assert_eq!(read().await, (11, Some(46 << 2 | 0b10)));
            send(&socket, &Datagram { header: &[], segment_bytes: Some(3), ..marked }).await;
            for len in [3, 3, 1] {
                assert_eq!(read().await, (len, Some(46 << 2 | 0b10)));
            }
        }
    }
}

#[tokio::test]
async fn ecn_is_read() {
    for ip in [V4, V6] {
        let (a, b) = (bind(ip), bind(ip));
        for ecn in [Ecn::Congestion, Ecn::Capable1, Ecn::NotCapable] {
            send(&a, &Datagram { ecn, ..to(&b, b"x") }).await;
            let [arrived] = &receive(&b).await[..] else { panic!("one datagram") };
            assert_eq!(arrived.meta.ecn.map_or(0, |ecn| ecn as u8), ecn.bits());
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn segments_arrive_as_datagrams() {
    let (a, b) = (bind(V4), bind(V4));
    let most = a.most_segments();
    send(&a, &Datagram { segment_bytes: Some(4), ..to(&b, b"onceagain!") }).await;
    let mut arrived = vec![];
    while arrived.len() < 3 {
        arrived.extend(receive(&b).await.into_iter().map(|one| one.payload));
    }
    assert_eq!(arrived, [&b"once"[..], b"agai", b"n!"]);
    assert_eq!(a.most_segments(), most);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_bad_destination_spoils_nothing_for_the_others() {
    let peer = bind(V4);
    let socket = bind(V4);
    let most = socket.most_segments();
    let good = to(&peer, b"good");
    let bad = [
        TransportAddress::new(V4, 0),
        TransportAddress::new(Ipv4Addr::UNSPECIFIED.into(), 9),
        TransportAddress::new(V6, 9),
        TransportAddress::new(Ipv4Addr::BROADCAST.into(), 9),
        // Not reachable from a loopback address: the kernel answers EINVAL.
        TransportAddress::new(Ipv4Addr::new(192, 0, 2, 1).into(), 9),
    ];
    for to in bad {
        socket.writable().await.unwrap();
        socket.try_send(&Datagram { to, ..good }).unwrap_err();
        assert_eq!(socket.most_segments(), most, "{to}");
        send(&socket, &Datagram { ecn: Ecn::Capable0, ..good }).await;
        let [arrived] = &receive(&peer).await[..] else { panic!("one datagram") };
        assert_eq!(arrived.meta.ecn.map(|ecn| ecn as u8), Some(0b10), "{to}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_source_that_vanished_spoils_nothing_for_the_others() {
    let peer = bind(V6);
    let socket = bind(Ipv6Addr::UNSPECIFIED.into());
    let most = socket.most_segments();
    let good = to(&peer, b"good");
    socket.writable().await.unwrap();
    let gone = "2001:db8::1".parse().unwrap();
    socket.try_send(&Datagram { source: gone, ..good }).unwrap_err();
    assert_eq!(socket.most_segments(), most);
    send(&socket, &good).await;
    assert_eq!(receive(&peer).await[0].payload, b"good");
}

#[tokio::test]
async fn an_ipv6_socket_leaves_ipv4_alone() {
    let six = bind(Ipv6Addr::UNSPECIFIED.into());
    let four = Socket::bind(TransportAddress::new(Ipv4Addr::UNSPECIFIED.into(), six.local().port()));
    assert!(four.is_ok() && six.serves(V6) && !six.serves(V4));
}
