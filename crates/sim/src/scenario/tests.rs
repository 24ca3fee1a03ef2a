//! Scenarios as values, and what comes of them.

use super::*;

fn passes(scenario: &Scenario, seed: u64) -> Outcome {
    scenario.run(seed).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn p12_every_cell_comes_to_what_the_table_says() {
    for a in NatKind::ALL {
        for b in NatKind::ALL {
            let scenario = Scenario::between(a, b);
            let outcome = passes(&scenario, 1);
            assert_eq!(
                (outcome.connected, outcome.direct),
                (scenario.expect.connect, scenario.expect.direct),
                "{a} {b}"
            );
        }
    }
}
