use super::*;
use std::collections::BTreeMap as Map;
#[test]
fn sweep() {
    use Dependence::{AddressAndPortDependent as P, AddressDependent as A, EndpointIndependent as E};
    let places = [Place::Open, Place::Behind(E, E), Place::Behind(E, A), Place::Behind(E, P), Place::Behind(A, A), Place::Behind(P, P)];
    let mut counts: Map<String, u32> = Map::new();
    for loss in [0, 10, 30] {
        let (mut n, mut conn, mut direct, mut possible, mut usable) = (0, 0, 0, 0, vec![]);
        for (i, a) in places.into_iter().enumerate() { for (j, b) in places.into_iter().enumerate() { for seed in 0..40 {
            let hard = |x: usize| x == 4 || x == 5;
            let bad = (hard(i) && j >= 3) || (hard(j) && i >= 3);
            let setup = Setup { seed, loss: Probability::percent(loss), ..Setup::new([a, b]) };
            let mut w = World::new(setup);
            w.network.keep_story(0);
            let s = w.session;
            s.start(&mut w.network);
            let ended = w.run_until_completed();
            n += 1;
            if !bad { possible += 1; }
            if ended == Ended::Met {
                conn += 1;
                usable.push(w.network.now().as_millis());
                w.network.run_for(ms(200));
                let t = w.selected_types();
                let relay = t.iter().flatten().any(|k| *k == CandidateType::Relayed);
                if !relay && !bad { direct += 1; }
                if relay && !bad && loss == 0 { *counts.entry(format!("not direct {i} {j}")).or_default() += 1; }
                if relay && bad == false { *counts.entry(format!("relay loss {loss}")).or_default() += 1; }
                let carried = (0..60).any(|_| s.carries_data(&mut w.network, STREAM, COMPONENT, ms(100)) == [true, true]);
                if !carried { *counts.entry(format!("nodata loss {loss} {i} {j} seed {seed} {t:?}")).or_default() += 1; }
                // same pair seen through relays: a.local==b.remote if no nat
                let pa = w.network.agent(s.a).unwrap().selected(STREAM, COMPONENT);
                let pb = w.network.agent(s.b).unwrap().selected(STREAM, COMPONENT);
                if let (Some(pa), Some(pb)) = (pa, pb) {
                    if pa.remote != pb.local.address || pb.remote != pa.local.address {
                        *counts.entry(format!("disagree loss {loss}")).or_default() += 1;
                        eprintln!("DIS {i} {j} seed {seed} now {:?}\n  a {:?} -> {:?}\n  b {:?} -> {:?}", w.network.now(), pa.local, pa.remote, pb.local, pb.remote);
                        for id in [s.a, s.b] { for (at, e) in w.network.events(id) { if matches!(e, Event::Selected{..}) { eprintln!("    {:?} {}", at, if id == s.a {"a"} else {"b"}); } } }
                    }
                }
            } else {
                *counts.entry(format!("ended {ended:?} loss {loss} {:?} states {:?} now {:?}", if loss > 0 {(9,9)} else {(i, j)}, s.states(&w.network), 0)).or_default() += 1;
            }
            for id in [s.a, s.b] { w.network.command(id, |now, a| a.close(now)); }
            w.network.run_for(ms(5000));
            let left = w.network.server(w.server).unwrap().allocations();
            let socks = w.network.open_sockets(s.a.host()) + w.network.open_sockets(s.b.host());
            if left + socks > 0 { *counts.entry(format!("left {left} {socks} loss {loss}")).or_default() += 1; }
        }}}
        usable.sort_unstable();
        eprintln!("loss {loss}: {n} sessions, {conn} connected, possible direct {possible} direct {direct}, median {:?} p99 {:?}", usable.get(usable.len()/2), usable.get(usable.len()*99/100));
    }
    for (k, v) in counts { eprintln!("{v:>5} {k}"); }
}
