//! What the demo sends, judged by another program: tcpdump records it and tshark reads the record.
//!
//! tshark recognises STUN on any port by the look of it, checks every FINGERPRINT and says what it finds wrong
//! as an "expert" note. That it really does is tested first, on a record made here of good and of broken messages.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use floe_stun::{Class, MessageWriter, Method, TransactionId, attribute::Software};
use spec_tests::tools::{floe, is_root, or_skip, program};

/// STUN that tshark has something against; its lowest level, "chat", is no objection.
const BAD: &str =
    "stun && (_ws.malformed || _ws.expert.severity > 0x200000 || stun.att.crc32.status == \"Bad\")";
/// What has the magic cookie in its place and still is no STUN for tshark: its length is wrong.
const UNRECOGNISED: &str = "udp.payload[4:4] == 21:12:a4:42 && !stun";
/// How tshark marks an attribute that ends after its message: only in its text, with no field to filter by.
const TOO_LONG: &str = "bogus";
/// What must be there: FINGERPRINTs that were checked and found right.
const GOOD_FINGERPRINT: &str = "stun.att.crc32.status == \"Good\"";
/// STUN in UDP over IPv4 or IPv6, by its magic cookie, also inside a TURN channel: the test data stays away.
const FILTER: &str = "(udp and (udp[12:4] = 0x2112a442 or udp[16:4] = 0x2112a442)) \
    or (ip6[6] = 17 and (ip6[52:4] = 0x2112a442 or ip6[56:4] = 0x2112a442))";
/// A connectivity check or its answer that lacks what RFC 8445 §7.1 demands; on a shared port nothing else tells it
/// from data.
const CHECK_WITHOUT_FINGERPRINT: &str = "stun.type.method == 1 && stun.att.hmac && !stun.att.crc32";
/// The two runs of the demo gather, check, nominate, allocate, bind a channel and release: 57 messages were counted.
/// With fewer than this some of it was not recorded.
const FEWEST_MESSAGES: usize = 40;
/// Each side of each run checks and nominates, which makes 6 messages a run at the least. One is our own.
const FEWEST_FINGERPRINTS: usize = 13;
/// How long tcpdump may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// A record file that is removed with the value.
struct Record(PathBuf);

impl Record {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("floe-{name}-{}.pcap", std::process::id())))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What tshark prints about the packets of a record that match: one line each, or all `details`.
fn tshark(record: &Path, filter: &str, details: bool) -> Vec<String> {
    let output = Command::new(program("tshark").expect("looked for before"))
        .args(["-n", "-r"])
        .arg(record)
        .args(["-o", "udp.check_checksum:FALSE", "--enable-heuristic", "stun_udp", "-Y", filter])
        .args(details.then_some("-V"))
        .output()
        .expect("tshark starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn count(record: &Path, filter: &str) -> usize {
    tshark(record, filter, false).len()
}

/// Everything tshark objects to.
fn objections(record: &Path) -> Vec<String> {
    let too_long = tshark(record, "stun", true).into_iter().filter(|line| line.contains(TOO_LONG));
    [BAD, UNRECOGNISED].iter().flat_map(|filter| tshark(record, filter, false)).chain(too_long).collect()
}

/// A record of these datagrams between two unprivileged ports of 127.0.0.1, in the classic pcap format.
fn write_record(record: &Path, datagrams: &[Vec<u8>]) {
    // Little-endian magic, version 2.4, no time zone, 64 KiB, link type 101: packets begin with the IP header.
    let mut bytes = Vec::new();
    for word in [0xA1B2_C3D4, 0x0004_0002, 0, 0, 0x1_0000, 101_u32] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    for datagram in datagrams {
        let udp = u16::try_from(8 + datagram.len()).expect("a short datagram");
        let mut packet = vec![0x45, 0];
        packet.extend_from_slice(&(20 + udp).to_be_bytes());
        // Identification, "do not fragment", 64 hops, UDP, no header checksum, both addresses.
        packet.extend_from_slice(&[0, 0, 0x40, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        for field in [40_001, 40_002, udp, 0] {
            packet.extend_from_slice(&field.to_be_bytes());
        }
        packet.extend_from_slice(datagram);
        let length = u32::try_from(packet.len()).expect("a short packet");
        for word in [0, 0, length, length] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&packet);
    }
    fs::write(record, bytes).expect("a record");
}

/// A Binding request with FINGERPRINT.
fn message() -> Vec<u8> {
    let mut buffer = [0; 256];
    let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, TransactionId([7; 12]))
        .expect("room for a header");
    writer.put(&Software::new(b"floe").expect("a short name")).expect("room");
    let len = writer.fingerprint().expect("room");
    buffer[..len].to_vec()
}

#[test]
fn tshark_finds_what_is_broken() {
    let Some(_) = or_skip(program("tshark")) else { return };
    let record = Record::new("broken");
    let good = message();
    write_record(&record.0, &[good.clone(), good.clone()]);
    assert_eq!(count(&record.0, "stun"), 2, "STUN is recognised on any port");
    assert_eq!(count(&record.0, GOOD_FINGERPRINT), 2, "each FINGERPRINT is checked");
    assert_eq!(objections(&record.0), [""; 0]);

    let mut wrong_fingerprint = good.clone();
    *wrong_fingerprint.last_mut().expect("not empty") ^= 1;
    // The attribute behind the header is SOFTWARE; now it claims to be longer than the message.
    let mut too_long = good.clone();
    too_long[22..24].copy_from_slice(&0x0FF0_u16.to_be_bytes());
    let cut_short = good[..good.len() - 3].to_vec();
    for (what, broken) in [
        ("a wrong FINGERPRINT", wrong_fingerprint),
        ("an attribute too long", too_long),
        ("a cut message", cut_short),
    ] {
        write_record(&record.0, &[good.clone(), broken]);
        assert_eq!(objections(&record.0).len(), 1, "{what}");
    }
}

/// tcpdump on the loopback interface, recording since [`Recorder::start`] returned.
struct Recorder {
    child: Child,
    messages: thread::JoinHandle<String>,
}

impl Recorder {
    fn start(record: &Path) -> Self {
        let mut child = Command::new(program("tcpdump").expect("looked for before"))
            // Unbuffered, whole packets, without giving up the rights to write into the directory.
            .args(["-i", "lo", "-n", "-U", "--immediate-mode", "-s", "0", "-B", "16384", "-Z", "root", "-w"])
            .arg(record)
            .arg(FILTER)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tcpdump starts");
        let lines = BufReader::new(child.stderr.take().expect("standard error was asked for")).lines();
        let (listening, is_listening) = mpsc::channel();
        let messages = thread::spawn(move || {
            let mut all = String::new();
            for line in lines.map_while(Result::ok) {
                if line.contains("listening on") {
                    let _ = listening.send(());
                }
                all += &(line + "\n");
            }
            all
        });
        if is_listening.recv_timeout(PATIENCE).is_err() {
            let _ = child.kill();
            panic!("tcpdump does not listen: {}", messages.join().unwrap_or_default());
        }
        Self { child, messages }
    }

    /// Ends the recording, when all that was sent before is in the record, and returns what tcpdump had to say.
    fn stop(mut self, record: &Path) -> String {
        // What is sent last is recorded last. It is a good message, and counts as one.
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let last = message();
        socket.send_to(&last, socket.local_addr().expect("an address")).expect("loopback takes it");
        let deadline = Instant::now() + PATIENCE;
        while !fs::read(record).is_ok_and(|bytes| bytes.ends_with(&last)) {
            assert!(Instant::now() < deadline, "tcpdump does not record what is sent");
            thread::yield_now();
        }
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().is_ok_and(|status| status.success()));
        let _ = self.child.wait();
        self.messages.join().unwrap_or_default()
    }
}

#[test]
fn the_demo_sends_no_message_that_tshark_objects_to() {
    let rights = if is_root() { Ok(()) } else { Err("recording packets needs root".to_owned()) };
    let Some(()) = or_skip(program("tshark").and(program("tcpdump")).and(rights)) else { return };
    let record = Record::new("demo");
    let recorder = Recorder::start(&record.0);
    let demo = Command::new(floe()).args(["demo", "--json"]).output().expect("floe starts");
    let counts = recorder.stop(&record.0);
    assert!(demo.status.success(), "the demo failed: {}", String::from_utf8_lossy(&demo.stderr));
    assert!(counts.contains("0 packets dropped by kernel"), "the record has gaps:\n{counts}");

    let messages = count(&record.0, "stun");
    assert!(messages >= FEWEST_MESSAGES, "only {messages} STUN messages were recorded:\n{counts}");
    let methods = [("Allocate", 3), ("Refresh", 4), ("CreatePermission", 8), ("ChannelBind", 9)];
    for (name, method) in methods {
        assert!(count(&record.0, &format!("stun.type.method == {method}")) > 0, "no {name} was recorded");
    }
    let checked = count(&record.0, GOOD_FINGERPRINT);
    assert!(
        checked >= FEWEST_FINGERPRINTS,
        "only {checked} of {messages} messages had a FINGERPRINT to check"
    );
    assert_eq!(tshark(&record.0, CHECK_WITHOUT_FINGERPRINT, false), [""; 0]);
    assert_eq!(objections(&record.0), [""; 0], "of {messages} messages, {checked} with FINGERPRINT");
}
