//! tmp
#[path = "../tests/support/mod.rs"]
mod support;
use support::{connect, pair, carry};
fn cpu() -> String { let s = std::fs::read_to_string("/proc/self/stat").unwrap(); let v: Vec<_> = s.split(' ').collect(); format!("u{} s{} ", v[13], v[14]) }
fn sw() -> String { std::fs::read_to_string("/proc/self/status").unwrap().lines().filter(|l| l.contains("ctxt")).collect::<Vec<_>>().join(" ") }
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (a, b) = pair().await;
    let t = std::time::Instant::now();
    let (to_b, to_a) = connect(&a, &b).await;
    println!("usable {:?}", t.elapsed());
    while to_b.path().is_none() || to_a.path().is_none() {
        tokio::select! { e = a.event() => println!("{:?} {e:?}", t.elapsed()), e = b.event() => println!("{:?} {e:?}", t.elapsed()) }
    }
    println!("selected {:?}", t.elapsed());
    carry(&to_b, &to_a, b"x").await;
    println!("{} {}", cpu(), sw());
    tokio::time::sleep(std::time::Duration::from_secs(12)).await;
    println!("idle 12s: {} {}", cpu(), sw());
    // throughput
    let n = 200_000usize;
    let t = std::time::Instant::now();
    let rx = tokio::spawn(async move { let mut c = 0; let mut buf = vec![0; 2000]; loop { match tokio::time::timeout(std::time::Duration::from_millis(500), to_a.recv(&mut buf)).await { Ok(Ok(_)) => c += 1, _ => break } } (c, to_a.stats()) });
    for i in 0..n { to_b.send(&[0; 1200]).await.unwrap(); if i % 32 == 0 { tokio::task::yield_now().await; } }
    let d = t.elapsed();
    let (c, st) = rx.await.unwrap();
    println!("single: sent {n} in {d:?} = {:.0} Mbit/s, got {c} {st:?}", n as f64*1200.0*8.0/1e6/d.as_secs_f64());
    println!("{} {}", cpu(), sw());
}
