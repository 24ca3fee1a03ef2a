//! What only a clock can show. The only test of this crate that reads one.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    reason = "tests and their statistics"
)]

use std::hint::black_box;
use std::time::Instant;

use floe_stun::attribute::Priority;
use floe_stun::{
    Algorithm, AttributeType, Class, IntegrityKey, Message, MessageWriter, Method, TransactionId,
};

/// The very comparison the codec uses, which is not public.
#[path = "../src/constant_time.rs"]
mod constant_time;

/// Samples of one measurement. As many as threats like this one are commonly tested with.
const SAMPLES: usize = 1_000_000;
/// Comparisons timed together: one alone is shorter than the clock's step.
const BATCH: usize = 16;
/// Welch's t beyond which two classes of inputs are held to take different times.
const LIMIT: f64 = 4.5;

/// Mean, variance and number of the samples of one class, added up as they come.
#[derive(Default)]
struct Moments {
    n: f64,
    mean: f64,
    m2: f64,
}

impl Moments {
    fn add(&mut self, sample: f64) {
        self.n += 1.0;
        let delta = sample - self.mean;
        self.mean += delta / self.n;
        self.m2 += delta * (sample - self.mean);
    }

    fn variance(&self) -> f64 {
        self.m2 / (self.n - 1.0)
    }
}

/// Welch's t between two kinds of wrong tags: one differs from the right one in its first byte, the other in
/// its last. The kinds alternate at random, so that a drift of the machine hits both alike; the slowest tenth
/// of the samples, mostly interruptions, is left out of both.
fn measure(seed: u64, count: usize, compare: impl Fn(&[u32; 5], &[[u8; 4]; 5]) -> bool) -> f64 {
    let right = [0x9AEA_A70C, 0xBFD8_CB56, 0x781E_F2B5, 0xB2D3_F249, 0xC1B5_71A2_u32];
    let (mut first, mut last) = (right.map(u32::to_be_bytes), right.map(u32::to_be_bytes));
    first[0][0] ^= 0x80;
    last[4][3] ^= 1;
    let wrong = [first, last];
    let mut state = seed | 1;
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let kind = usize::from(state & 0x10_0000 != 0);
        let (computed, claimed) = (black_box(&right), black_box(&wrong[kind]));
        let start = Instant::now();
        for _ in 0..BATCH {
            black_box(compare(black_box(computed), black_box(claimed)));
        }
        let nanos = u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX);
        samples.push((nanos, kind));
    }
    let mut sorted: Vec<u32> = samples.iter().map(|sample| sample.0).collect();
    sorted.sort_unstable();
    let crop = sorted[count / 10 * 9];
    let mut classes = [Moments::default(), Moments::default()];
    for (nanos, kind) in samples.into_iter().filter(|sample| sample.0 <= crop) {
        classes[kind].add(f64::from(nanos));
    }
    let [a, b] = &classes;
    (a.mean - b.mean) / (a.variance() / a.n + b.variance() / b.n).sqrt()
}

#[test]
fn t22_the_time_of_a_tag_comparison_does_not_show_where_it_differs() {
    // One measurement in thousands is beyond the limit by chance, and a busy machine adds some: only three
    // in a row count.
    let mut seen = Vec::new();
    for seed in [0x1234_5678, 0x9E37_79B9, 0x0F1E_2D3C] {
        seen.push(measure(seed, SAMPLES, constant_time::tags_are_equal));
        if seen.last().unwrap().abs() < LIMIT {
            println!("t = {seen:?}");
            return;
        }
    }
    panic!("t = {seen:?}");
}

#[test]
fn t22_the_measurement_sees_a_comparison_that_stops_early() {
    let leaky = |computed: &[u32; 5], claimed: &[[u8; 4]; 5]| {
        computed.iter().zip(claimed).all(|(a, b)| black_box(a.to_be_bytes()) == black_box(*b))
    };
    let t = measure(0x5555_AAAA, SAMPLES / 10, leaky);
    assert!(t.abs() > LIMIT, "t = {t}");
}

/// A message of `len` bytes in the worst shape for a scan: nothing but empty attributes nobody knows.
fn crowded(len: usize, key: &IntegrityKey) -> Vec<u8> {
    let mut buffer = vec![0; len];
    let mut writer =
        MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, TransactionId([1; 12])).unwrap();
    for _ in 0..(len - 20 - 32) / 4 {
        writer.put_raw(AttributeType::new(0x7F01), &[]).unwrap();
    }
    assert_eq!(writer.sign(key, Algorithm::Sha1).unwrap().fingerprint(), Ok(len));
    buffer
}

/// Does with a message what an agent does, so many times; returns seconds.
fn work(message: &[u8], key: &IntegrityKey, times: usize) -> f64 {
    let start = Instant::now();
    for _ in 0..times {
        let message = Message::parse(black_box(message)).unwrap();
        assert_eq!(message.get::<Priority>(), Ok(None));
        black_box(message.unknown_required().count());
        message.verify_fingerprint().unwrap();
        message.verify_integrity(key).unwrap();
    }
    start.elapsed().as_secs_f64()
}

#[test]
fn t17_the_cost_of_a_byte_is_the_same_up_to_64_kib() {
    // As many bytes in short messages as in one long, by turns, so that a busy machine slows both alike.
    let key = IntegrityKey::new(b"key");
    let (short, long) = (crowded(2_048, &key), crowded(65_536, &key));
    let (mut short_time, mut long_time) = (f64::MAX, f64::MAX);
    for _ in 0..40 {
        short_time = short_time.min(work(&short, &key, 32));
        long_time = long_time.min(work(&long, &key, 1));
    }
    let ratio = long_time / short_time;
    println!("a byte of 64 KiB costs {ratio:.2} times one of 2 KiB");
    assert!(ratio < 2.0, "{ratio:.2}");
}
