//! The schedule of RFC 8489 §6.2 on a virtual clock.
#![allow(clippy::arithmetic_side_effects, reason = "tests")]

use std::vec::Vec;

use super::*;

const ID: TransactionId = TransactionId([5; 12]);

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

/// Runs a transaction that is never answered: when it sent, and when it gave up, in ms since it began.
fn run(mut transaction: Transaction) -> (Vec<u64>, u64) {
    let since = |now: Instant, t: &Transaction| now.since(t.started()).as_millis().try_into().unwrap();
    let mut now = transaction.started();
    let mut sent = Vec::new();
    if transaction.take_transmission() {
        sent.push(since(now, &transaction));
    }
    while let Some(deadline) = transaction.poll_timeout() {
        assert!(deadline >= now, "a deadline that lies in the past");
        now = deadline;
        transaction.handle_timeout(now);
        if transaction.take_transmission() {
            sent.push(since(now, &transaction));
        }
    }
    assert!(transaction.is_timed_out());
    assert_eq!(usize::try_from(transaction.sent()).unwrap(), sent.len());
    (sent, since(now, &transaction))
}

#[test]
fn rfc8489_6_2_1_seven_requests_then_failure_at_39500_ms() {
    let transaction = Transaction::new(at(10_000), ID, Schedule::default());
    assert_eq!(transaction.id(), ID);
    assert_eq!(run(transaction), (Vec::from([0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]), 39_500));
}

#[test]
fn rc_rm_and_rto_are_settable() {
    let with =
        |rto, rc, rm| run(Transaction::new(at(0), ID, Schedule { rto: Duration::from_millis(rto), rc, rm }));
    assert_eq!(with(100, 3, 4), (Vec::from([0, 100, 300]), 700));
    assert_eq!(with(100, 1, 1), (Vec::from([0]), 100));
    assert_eq!(with(100, 0, 1), (Vec::from([0]), 100), "no request at all makes no transaction");
    assert_eq!(with(250, 2, 0), (Vec::from([0, 250]), 250));
}

#[test]
fn rfc8489_6_2_2_over_a_stream_one_request_and_ti() {
    assert_eq!(run(Transaction::reliable(at(7), ID, Transaction::TI)), (Vec::from([0]), 39_500));
}

#[test]
fn early_calls_and_calls_from_the_past_do_nothing() {
    let mut transaction = Transaction::new(at(1_000), ID, Schedule::default());
    assert!(transaction.take_transmission());
    assert!(!transaction.take_transmission(), "taken once");
    for ms in [0, 1_000, 1_499] {
        transaction.handle_timeout(at(ms));
        assert!(!transaction.take_transmission());
        assert_eq!(transaction.poll_timeout(), Some(at(1_500)));
    }
    transaction.handle_timeout(at(1_500));
    assert!(transaction.take_transmission());
    // Earlier than what was seen: taken as the latest.
    transaction.handle_timeout(at(0));
    assert!(!transaction.take_transmission());
    assert_eq!(transaction.poll_timeout(), Some(at(2_500)));
}

#[test]
fn a_little_late_keeps_the_schedule_and_a_long_sleep_sends_no_burst() {
    let mut transaction = Transaction::new(at(0), ID, Schedule::default());
    assert!(transaction.take_transmission());
    transaction.handle_timeout(at(530));
    assert!(transaction.take_transmission());
    assert_eq!(transaction.poll_timeout(), Some(at(1_500)));
    assert_eq!(transaction.last_sent(), at(530));
    // Ten hours later: one request, and the next a whole wait after it.
    let late = 36_000_000;
    transaction.handle_timeout(at(late));
    assert!(transaction.take_transmission());
    assert_eq!(transaction.poll_timeout(), Some(at(late + 2_000)));
    transaction.handle_timeout(at(late));
    assert!(!transaction.take_transmission());
}

#[test]
fn cancelled_it_waits_until_it_would_have_failed() {
    // Cancelled before the first, after each, and after the last transmission.
    for transmissions in 1..=7 {
        let mut transaction = Transaction::new(at(0), ID, Schedule::default());
        assert!(transaction.take_transmission());
        for _ in 1..transmissions {
            transaction.handle_timeout(transaction.poll_timeout().unwrap());
            assert!(transaction.take_transmission());
        }
        transaction.cancel_retransmission();
        transaction.cancel_retransmission();
        assert!(transaction.is_cancelled() && !transaction.is_timed_out());
        assert_eq!(transaction.poll_timeout(), Some(at(39_500)), "after {transmissions}");
        transaction.handle_timeout(at(39_499));
        assert!(!transaction.take_transmission() && !transaction.is_timed_out());
        transaction.handle_timeout(at(39_500));
        assert!(transaction.is_timed_out() && !transaction.take_transmission());
        assert_eq!((transaction.poll_timeout(), transaction.sent()), (None, transmissions));
    }
}

#[test]
fn cancelled_before_it_was_sent_it_sends_nothing() {
    let mut transaction = Transaction::new(at(0), ID, Schedule::default());
    transaction.cancel_retransmission();
    assert!(!transaction.take_transmission());
    assert_eq!(transaction.sent(), 0);
}

#[test]
fn karns_rule_gives_a_round_trip_time_only_of_a_request_sent_once() {
    let mut transaction = Transaction::new(at(100), ID, Schedule::default());
    assert_eq!(transaction.rtt(at(150)), None, "not sent yet");
    assert!(transaction.take_transmission());
    assert_eq!(transaction.rtt(at(150)), Some(Duration::from_millis(50)));
    transaction.handle_timeout(at(600));
    assert!(transaction.take_transmission());
    assert_eq!(transaction.rtt(at(650)), None);
}

#[test]
fn absurd_schedules_saturate() {
    let schedule = Schedule { rto: Duration::MAX, rc: u32::MAX, rm: u32::MAX };
    let mut transaction = Transaction::new(Instant::from_nanos(u64::MAX), ID, schedule);
    assert!(transaction.take_transmission());
    transaction.cancel_retransmission();
    assert_eq!(transaction.poll_timeout(), Some(Instant::from_nanos(u64::MAX)));
    let schedule = Schedule { rto: Duration::from_millis(1), rc: 50, rm: 1 };
    let mut transaction = Transaction::new(at(0), ID, schedule);
    for _ in 0..60 {
        if let Some(deadline) = transaction.poll_timeout() {
            transaction.handle_timeout(deadline);
        }
    }
    assert!(transaction.is_timed_out());
}
