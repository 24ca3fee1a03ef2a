//! One ICE agent in a process of its own, spoken to by the peer protocol (docs/peer-protocol.md).

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::tools;

/// Which implementation is behind the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implementation {
    /// `floe peer`.
    Floe,
    /// aioice, by `peers/aioice_peer.py`.
    Aioice,
    /// libnice, by `peers/libnice_peer.py`.
    Libnice,
}

impl Implementation {
    /// The command that starts it.
    ///
    /// # Errors
    /// A text for people that says what is missing.
    pub fn command(self) -> Result<Command, String> {
        match self {
            Self::Floe => {
                let mut command = Command::new(tools::floe());
                command.arg("peer");
                Ok(command)
            }
            Self::Aioice => Ok(driver(&tools::python_with_aioice()?, "aioice_peer.py")),
            Self::Libnice => Ok(driver(&tools::python_with_libnice()?, "libnice_peer.py")),
        }
    }
}

fn driver(python: &Path, script: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script));
    command
}

/// What a peer said: a line, or that its output has ended.
#[derive(Clone, Debug)]
pub enum Said {
    /// One event.
    Event(Value),
    /// Something that is no event: the driver is at fault.
    Garbage(String),
    /// The end of its standard output.
    Ended,
}

/// A running peer; killed when dropped.
#[derive(Debug)]
pub struct Peer {
    name: String,
    child: Child,
    commands: Option<ChildStdin>,
}

/// How long a process may take to end after it was told to.
const EXIT_WAIT: Duration = Duration::from_secs(10);

impl Peer {
    /// Starts `command`; what it says goes to `said` together with `tag`, in order.
    pub fn start<T: Copy + Send + 'static>(
        name: &str,
        mut command: Command,
        tag: T,
        said: Sender<(T, Said)>,
    ) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let commands = child.stdin.take();
        let output = child.stdout.take().expect("standard output was asked for");
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { break };
                let heard = match serde_json::from_str::<Value>(&line) {
                    Ok(event) if event.get("event").is_some_and(Value::is_string) => Said::Event(event),
                    _ => Said::Garbage(line),
                };
                if said.send((tag, heard)).is_err() {
                    return;
                }
            }
            let _ = said.send((tag, Said::Ended));
        });
        Self { name: name.to_owned(), child, commands }
    }

    /// Writes one command.
    pub fn send(&mut self, command: &Value) {
        self.send_line(&command.to_string());
    }

    /// Writes one line, whatever it holds.
    pub fn send_line(&mut self, line: &str) {
        self.send_bytes(format!("{line}\n").as_bytes());
    }

    /// Writes bytes that may be no text.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let commands = self.commands.as_mut().expect("the commands have not ended");
        let written = commands.write_all(bytes).and_then(|()| commands.flush());
        assert!(written.is_ok(), "{} does not read its commands: {written:?}", self.name);
    }

    /// Ends the commands: for the peer that is the same as `close`.
    pub fn end_commands(&mut self) {
        self.commands = None;
    }

    /// Waits for the end of the process, whose output has ended, and checks its status.
    pub fn expect_exit(&mut self) {
        self.commands = None;
        let pid = self.child.id().to_string();
        let (ended, watch) = mpsc::channel::<()>();
        // Nothing is ever sent: the channel closes in time, or the process is ended for being late.
        let watchdog = thread::spawn(move || {
            let late = watch.recv_timeout(EXIT_WAIT) == Err(RecvTimeoutError::Timeout);
            late && Command::new("kill").args(["-KILL", &pid]).status().is_ok()
        });
        let status = self.child.wait().expect("the process is ours");
        drop(ended);
        let late = watchdog.join().unwrap_or(false);
        assert!(!late, "{} runs on after its output has ended", self.name);
        assert!(status.success(), "{} ended with {status}", self.name);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A single peer and its events, for tests of the protocol itself.
#[derive(Debug)]
pub struct Talk {
    /// The process.
    pub peer: Peer,
    said: Receiver<((), Said)>,
}

impl Talk {
    /// Starts a peer.
    ///
    /// # Errors
    /// A text for people that says what is missing.
    pub fn start(implementation: Implementation) -> Result<Self, String> {
        let (sender, said) = mpsc::channel();
        let peer = Peer::start(&format!("{implementation:?}"), implementation.command()?, (), sender);
        Ok(Self { peer, said })
    }

    /// The next thing said, which has to come within 10 s.
    #[track_caller]
    pub fn next(&self) -> Said {
        match self.said.recv_timeout(Duration::from_secs(10)) {
            Ok(((), said)) => said,
            Err(RecvTimeoutError::Timeout) => panic!("{} says nothing", self.peer.name),
            Err(RecvTimeoutError::Disconnected) => Said::Ended,
        }
    }

    /// The next event called `name`; what comes before it is passed over.
    #[track_caller]
    pub fn expect(&self, name: &str) -> Value {
        loop {
            match self.next() {
                Said::Event(event) if event["event"] == name => return event,
                Said::Event(_) => {}
                Said::Garbage(line) => panic!("{} wrote a line that is no event: {line}", self.peer.name),
                Said::Ended => panic!("{} ended without the event {name}", self.peer.name),
            }
        }
    }

    /// Begins to gather, with loopback candidates.
    pub fn start_agent(&mut self, role: &str) {
        self.peer.send(&json!({"cmd": "start", "role": role, "options": {"loopback": true}}));
    }

    /// Reads to the end, whose last event has to be `closed`, and checks the exit status.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let mut last = Value::Null;
        while let Said::Event(event) = self.next() {
            last = event;
        }
        assert_eq!(last["event"], "closed", "the last event of {}", self.peer.name);
        self.peer.expect_exit();
    }
}
