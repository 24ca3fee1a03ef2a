//! How far a sweep has come, on one line of standard error that is written again and again.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

const WIDTH: u64 = 30;

/// The line; it is shown to people only, not in a file or a pipe.
pub(super) struct Bar {
    visible: bool,
    shown: bool,
}

impl Bar {
    pub(super) fn new() -> Self {
        Self { visible: io::stderr().is_terminal(), shown: false }
    }

    #[cfg(test)]
    pub(super) fn hidden() -> Self {
        Self { visible: false, shown: false }
    }

    pub(super) fn show(&mut self, done: u64, all: u64, elapsed: Duration) {
        if self.visible {
            self.shown = true;
            // Nothing can be done about a closed standard error.
            let _ = write!(io::stderr(), "\r{}\x1b[K", line(done, all, elapsed));
        }
    }

    pub(super) fn clear(&mut self) {
        if core::mem::take(&mut self.shown) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(done: u64, all: u64, elapsed: Duration) -> String {
    let filled =
        usize::try_from(done.saturating_mul(WIDTH).checked_div(all).unwrap_or(WIDTH)).unwrap_or_default();
    let width = usize::try_from(WIDTH).unwrap_or_default();
    #[allow(clippy::cast_precision_loss, reason = "a rate for people to read")]
    let rate = done as f64 / elapsed.as_secs_f64().max(1e-3);
    #[allow(clippy::cast_precision_loss, reason = "as above")]
    let left = if done == 0 {
        String::new()
    } else {
        format!(", {:.0} s left", all.saturating_sub(done) as f64 / rate)
    };
    let (full, empty) = ("#".repeat(filled), ".".repeat(width.saturating_sub(filled)));
    format!("[{full}{empty}] {done} of {all} sessions, {rate:.0} a second{left}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_how_far_it_is_and_how_long_it_takes() {
        let half = line(500, 1_000, Duration::from_secs(2));
        assert_eq!(
            half,
            format!("[{}{}] 500 of 1000 sessions, 250 a second, 2 s left", "#".repeat(15), ".".repeat(15))
        );
        assert!(line(0, 1_000, Duration::ZERO).ends_with("0 a second"));
    }
}
