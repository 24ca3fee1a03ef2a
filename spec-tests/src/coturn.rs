//! A coturn of its own for one test: on loopback, on ports the system chose, ended with the value.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::tools;

/// The user every test server knows.
pub const USERNAME: &str = "alice";
/// The password of [`USERNAME`].
pub const PASSWORD: &str = "secret";
/// The realm of the test servers.
pub const REALM: &str = "floe.test";

/// The longest wait for coturn to listen, or to answer its command line.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one Binding request waits for its answer while coturn starts.
const PROBE_WAIT: Duration = Duration::from_millis(50);
/// Starts with other ports when another process took the ones found free.
const ATTEMPTS: u32 = 3;
/// Lines of coturn's log shown when a test fails.
const LOG_TAIL: usize = 60;

/// A running coturn; killed when dropped.
#[derive(Debug)]
pub struct Coturn {
    child: Child,
    directory: PathBuf,
    address: SocketAddr,
    command_line: SocketAddr,
}

impl Coturn {
    /// Starts coturn with long-term credentials and UDP, and waits until it answers.
    ///
    /// # Errors
    /// A text for people that says what is missing.
    pub fn start() -> Result<Self, String> {
        Self::start_with(&[])
    }

    /// [`Self::start`] with further lines of its configuration file.
    ///
    /// # Errors
    /// A text for people that says what is missing.
    pub fn start_with(lines: &[&str]) -> Result<Self, String> {
        let program = tools::program("turnserver")?;
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match Self::attempt(&program, lines) {
                Ok(coturn) => return Ok(coturn),
                Err(log) => last = log,
            }
        }
        panic!("coturn does not start:\n{last}");
    }

    fn attempt(program: &PathBuf, lines: &[&str]) -> Result<Self, String> {
        let directory = new_directory().expect("a directory for coturn");
        let (address, command_line) = free_ports().expect("free ports");
        let config = directory.join("turnserver.conf");
        let log = directory.join("log");
        let text = format!(
            "listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nlistening-port={}\n\
             lt-cred-mech\nrealm={REALM}\nuser={USERNAME}:{PASSWORD}\nallow-loopback-peers\nfingerprint\n\
             cli-ip=127.0.0.1\ncli-port={}\ncli-password={PASSWORD}\n\
             no-tls\nno-dtls\nno-rfc5780\nno-software-attribute\nverbose\nsimple-log\nlog-file=stdout\n\
             userdb={db}\npidfile={pid}\n{more}\n",
            address.port(),
            command_line.port(),
            db = directory.join("db").display(),
            pid = directory.join("pid").display(),
            more = lines.join("\n"),
        );
        fs::write(&config, text).expect("a configuration file");
        let output = fs::File::create(&log).expect("a log file");
        let child = Command::new(program)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle on the log"))
            .stderr(output)
            .spawn()
            .expect("turnserver starts");
        let mut coturn = Self { child, directory, address, command_line };
        if coturn.answers_binding() { Ok(coturn) } else { Err(coturn.log_tail()) }
    }

    /// Where it listens for STUN and TURN over UDP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// An entry of the `servers` list of the peer protocol.
    pub fn turn_server(&self) -> Value {
        json!({
            "url": format!("turn:{}?transport=udp", self.address),
            "username": USERNAME,
            "credential": PASSWORD,
        })
    }

    /// How many allocations it holds, as its own command line tells.
    pub fn allocations(&self) -> usize {
        let answer = self.ask("ps").expect("coturn's command line answers");
        answer.matches("relay addr ").count()
    }

    /// Waits until it holds `count` allocations and says how many it holds in the end.
    pub fn wait_for_allocations(&self, count: usize, patience: Duration) -> usize {
        let deadline = Instant::now() + patience;
        loop {
            let held = self.allocations();
            if held == count || Instant::now() >= deadline {
                return held;
            }
        }
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let log = fs::read(self.directory.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }

    /// Sends Binding requests until one is answered; false when coturn has ended or stays silent.
    fn answers_binding(&mut self) -> bool {
        // Written out by hand: the test of the codec is elsewhere.
        const REQUEST: [u8; 20] = *b"\x00\x01\x00\x00\x21\x12\xA4\x42floe-awaits!";
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.set_read_timeout(Some(PROBE_WAIT)).expect("a time limit");
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0; 1500];
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            let _ = socket.send_to(&REQUEST, self.address);
            if let Ok((len, source)) = socket.recv_from(&mut buffer)
                && source == self.address
                && buffer[..len].starts_with(&[0x01, 0x01])
                && buffer[4..20] == REQUEST[4..]
            {
                return true;
            }
        }
        false
    }

    fn ask(&self, question: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.command_line)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        read_until(&mut stream, "password: ")?;
        stream.write_all(format!("{PASSWORD}\r\n").as_bytes())?;
        read_until(&mut stream, "> ")?;
        stream.write_all(format!("{question}\r\n").as_bytes())?;
        read_until(&mut stream, "Total sessions: ")
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the end of coturn's log:\n{}", self.log_tail());
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Reads up to `end`, which has to come.
fn read_until(stream: &mut TcpStream, end: &str) -> io::Result<String> {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        text.extend_from_slice(&buffer[..len]);
        let so_far = String::from_utf8_lossy(&text);
        if so_far.contains(end) {
            return Ok(so_far.into_owned());
        }
    }
}

fn new_directory() -> io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("floe-coturn-{}-{number}", std::process::id()));
        match fs::create_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(directory),
        }
    }
}

/// A UDP and a TCP address that were free a moment ago. coturn listens on TCP with the number of its UDP port too.
fn free_ports() -> io::Result<(SocketAddr, SocketAddr)> {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = udp.local_addr()?;
        let Ok(_same) = TcpListener::bind(address) else { continue };
        let command_line = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        return Ok((address, command_line.local_addr()?));
    }
}
