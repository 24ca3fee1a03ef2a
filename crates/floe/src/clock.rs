//! The clock agents live by, and the one timer of the driver.

use std::time::Duration;

use floe_stun::Instant;

/// Reads the time as [`Instant`], counted from the making of the clock.
///
/// On Linux and Android it is `CLOCK_BOOTTIME`, on Apple's systems `CLOCK_MONOTONIC`: they go on while the host sleeps,
/// so that consent (RFC 7675 §5.1) and allocations that ended meanwhile are seen to have ended. Elsewhere it is the clock
/// of the standard library, of which Windows's goes on as well, and that of the BSDs may not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    boot: Option<Duration>,
    start: std::time::Instant,
    /// Nanoseconds that tests have let pass in no time.
    #[cfg(test)]
    skipped: &'static std::sync::atomic::AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
            boot: boot_time(),
            start: std::time::Instant::now(),
            #[cfg(test)]
            skipped: Box::leak(Box::default()),
        }
    }

    /// Lets time pass. Timers that run do not learn of it.
    #[cfg(test)]
    pub(crate) fn skip(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap();
        self.skipped.fetch_add(nanos, std::sync::atomic::Ordering::Relaxed);
    }

    /// The time now. Never goes back, unless the operating system's clock does.
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        let now = Instant::ORIGIN.after(self.elapsed());
        #[cfg(test)]
        let now = now.after(Duration::from_nanos(self.skipped.load(std::sync::atomic::Ordering::Relaxed)));
        now
    }

    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    fn elapsed(&self) -> Duration {
        match (self.boot, boot_time()) {
            (Some(origin), Some(now)) => now.saturating_sub(origin),
            _ => self.start.elapsed(),
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const COUNTS_SLEEP: nix::time::ClockId = nix::time::ClockId::CLOCK_BOOTTIME;
/// What the standard library reads there is `CLOCK_UPTIME_RAW`, which stands still.
#[cfg(target_vendor = "apple")]
const COUNTS_SLEEP: nix::time::ClockId = nix::time::ClockId::CLOCK_MONOTONIC;

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn boot_time() -> Option<Duration> {
    let time = nix::time::clock_gettime(COUNTS_SLEEP).ok()?;
    Some(Duration::new(u64::try_from(time.tv_sec()).ok()?, u32::try_from(time.tv_nsec()).ok()?))
}

/// One timer, set again and again.
///
/// Where it can it is a `timerfd` on `CLOCK_BOOTTIME`: it fires at once when the host wakes after its
/// deadline, and not up to a millisecond late as tokio's does, a fifth of a pacing interval. Elsewhere it is
/// tokio's, which may stand still while the host sleeps: what was due meanwhile is done when it fires or anything arrives.
/// Data is judged by the clock, which every call reads.
pub(crate) struct Timer {
    clock: Clock,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    boot: Option<boot::BootTimer>,
    /// What the kernel has been told.
    armed: Option<Instant>,
}

impl Timer {
    /// A timer at rest. To be called in a tokio runtime.
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            boot: clock.boot.and_then(boot::BootTimer::new),
            armed: None,
        }
    }

    /// Sets the deadline, or stops the timer.
    pub(crate) fn arm(&mut self, deadline: Option<Instant>) {
        if self.armed == deadline {
            return;
        }
        self.armed = deadline;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(boot) = &self.boot
            && !boot.set(deadline)
        {
            self.boot = None;
        }
    }

    /// Waits for the deadline, for ever where there is none. May end early; may be dropped at any time.
    pub(crate) async fn wait(&mut self) {
        let Some(deadline) = self.armed else {
            return std::future::pending().await;
        };
        self.wait_until(deadline).await;
        self.armed = None;
    }

    async fn wait_until(&mut self, deadline: Instant) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(boot) = &self.boot {
            if boot.fired().await {
                return;
            }
            self.boot = None;
        }
        tokio::time::sleep(deadline.since(self.clock.now())).await;
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod boot {
    use std::{
        os::fd::{AsFd, AsRawFd, RawFd},
        time::Duration,
    };

    use floe_stun::Instant;
    use nix::sys::{
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    };
    use tokio::io::unix::AsyncFd;

    pub(super) struct BootTimer {
        origin: Duration,
        fd: AsyncFd<Fd>,
    }

    struct Fd(TimerFd);

    impl AsRawFd for Fd {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_fd().as_raw_fd()
        }
    }

    impl BootTimer {
        #[allow(
            deprecated,
            reason = "the newer constructor is unsafe; what it asks for holds: the descriptor is owned and never replaced"
        )]
        pub(super) fn new(origin: Duration) -> Option<Self> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let fd = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags).ok()?;
            Some(Self { origin, fd: AsyncFd::new(Fd(fd)).ok()? })
        }

        /// Whether the kernel took the deadline. Setting it also forgets an expiration not yet seen.
        pub(super) fn set(&self, deadline: Option<Instant>) -> bool {
            let timer = &self.fd.get_ref().0;
            let Some(deadline) = deadline else {
                return timer.unset().is_ok();
            };
            // An all-zero time would stop the timer; boot was longer ago than a nanosecond.
            let at = self.origin.saturating_add(deadline.since(Instant::ORIGIN));
            let at = at.max(Duration::from_nanos(1));
            timer
                .set(Expiration::OneShot(TimeSpec::from_duration(at)), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
                .is_ok()
        }

        /// Waits for the expiration; `false` says that the timer does not work.
        pub(super) async fn fired(&self) -> bool {
            match self.fd.readable().await {
                Ok(mut guard) => {
                    // Not read: the next `set` takes the count back to zero.
                    guard.clear_ready();
                    true
                }
                Err(_) => false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_starts_at_the_origin_and_goes_on() {
        let clock = Clock::new();
        let first = clock.now();
        assert!(first.as_millis() < 60_000, "counted from the making, not from boot: {first:?}");
        assert!(clock.now() >= first);
    }

    #[tokio::test]
    async fn the_timer_fires_at_its_deadline_and_again_at_the_next() {
        let clock = Clock::new();
        let mut timer = Timer::new(clock);
        for wait in [3, 1, 2] {
            let deadline = clock.now().after(Duration::from_millis(wait));
            timer.arm(Some(deadline));
            while clock.now() < deadline {
                timer.wait().await;
                timer.arm(Some(deadline));
            }
        }
        timer.arm(Some(Instant::ORIGIN));
        timer.wait().await;
    }

    #[tokio::test]
    async fn a_stopped_timer_never_fires() {
        let clock = Clock::new();
        let mut timer = Timer::new(clock);
        timer.arm(Some(clock.now().after(Duration::from_millis(1))));
        timer.arm(None);
        tokio::select! {
            biased;
            () = timer.wait() => panic!("fired though it was stopped"),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    }
}
