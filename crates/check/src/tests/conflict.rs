//! Role conflicts between two sets.

use floe_pair::{Role, TieBreaker};
use floe_stun::Random;
use floe_stun::binding::Claim;

use super::script::*;
use super::world::*;
use crate::limits::ROLE_SWITCH_LIMIT;
use crate::{Config, RoleVerdict, judge_role};

#[test]
fn ice_27_the_larger_tiebreaker_ends_up_controlling_and_equal_counts_as_larger() {
    use Role::{Controlled, Controlling};
    let cases = [
        (Controlling, 7, Controlling, 7, RoleVerdict::Answer487),
        (Controlling, 8, Controlling, 7, RoleVerdict::Answer487),
        (Controlling, 6, Controlling, 7, RoleVerdict::SwitchTo(Controlled)),
        (Controlled, 7, Controlled, 7, RoleVerdict::SwitchTo(Controlling)),
        (Controlled, 8, Controlled, 7, RoleVerdict::SwitchTo(Controlling)),
        (Controlled, 6, Controlled, 7, RoleVerdict::Answer487),
        (Controlling, 6, Controlled, 7, RoleVerdict::NoConflict),
        (Controlled, 8, Controlling, 7, RoleVerdict::NoConflict),
    ];
    for (role, ours, theirs, claimed, verdict) in cases {
        assert_eq!(judge_role((role, TieBreaker(ours)), (theirs, TieBreaker(claimed))), verdict);
    }
}

#[test]
fn ice_27_the_set_acts_as_judged_and_goes_on_with_the_request() {
    // The controlling set of the script has tiebreaker 2, the controlled one 1.
    let cases = [
        (Role::Controlling, Claim::Controlling(1), true),
        (Role::Controlling, Claim::Controlling(2), true),
        (Role::Controlling, Claim::Controlling(3), false),
        (Role::Controlled, Claim::Controlled(0), false),
        (Role::Controlled, Claim::Controlled(1), false),
        (Role::Controlled, Claim::Controlled(2), true),
    ];
    for (role, claim, refused) in cases {
        let mut script = Script::new(role);
        let tiebreaker = script.set.tiebreaker();
        let (_, answer) = script.ask(remote(), &Ask { claim: Some(claim), ..Ask::default() });
        let answer = answer.expect("an answer");
        assert_eq!(answer.code, refused.then_some(487), "{role:?} {claim:?}");
        // P11: the 487 is signed with the key of the request it answers.
        assert!(answer.integrity.is_some());
        assert_eq!(script.set.role(), if refused { role } else { role.opposite() });
        // ICE-43: the tiebreaker changes only when a 487 was received.
        assert_eq!(script.set.tiebreaker(), tiebreaker);
        assert_eq!(script.slot().is_some(), !refused, "the check is triggered even when the role changed");
    }
}

#[test]
fn p11_equal_roles_settle_whatever_the_tiebreakers_and_losses() {
    for seed in 0..400_u32 {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&seed.to_be_bytes());
        let mut rng = Random::from_seed(bytes);
        let role = if seed % 2 == 0 { Role::Controlling } else { Role::Controlled };
        let hosts = 1 + u16::try_from(rng.below(3)).expect("few");
        let mut world =
            World::new([role; 2], millis(40), u8::try_from(rng.below(100)).expect("few"), Config::default());
        for index in 0..hosts {
            world.sides[0].add_host(STREAM, RTP, index, &std::format!("10.0.0.{}:1", index + 1));
            world.sides[1].add_host(STREAM, RTP, index, &std::format!("10.0.1.{}:1", index + 1));
        }
        // Equal for a third of the seeds.
        for side in &mut world.sides {
            side.set.standing.tiebreaker = TieBreaker(rng.below(3));
        }
        let loss = rng.below(31);
        world.passes = std::boxed::Box::new(move |_, _, _, _| rng.below(100) >= loss);
        world.signal();
        assert!(world.run_to_selection(ms(60_000)), "seed {seed}");
        // Where no check is left, the next consent request settles it.
        let end = world.now.after(millis(20_000));
        world.run(end);
        world.assert_agreed(STREAM, RTP);
    }
}

/// RFC 8445 §8.1.1: one nomination. A peer that gives us the role and takes it back, with one tiebreaker or with another each
/// time, moves the pair no more often than conflicts of role may.
#[test]
fn t14_a_peer_that_plays_with_roles_does_not_move_the_selected_pair_at_will() {
    let other = address("10.0.1.2:1000");
    for (anew, most) in [(false, 0), (true, usize::from(ROLE_SWITCH_LIMIT))] {
        let mut script = Script::new(Role::Controlled);
        script.add_remote(remote(), 0);
        script.add_remote(other, 1);
        for check in [script.slot().expect("a check"), script.slot().expect("a check")] {
            script.succeed(&check);
        }
        let claims = |claim| Ask { claim: Some(claim), ..Ask::default() };
        script.ask_well(remote(), &Ask::nominating());
        let mut moved = 0;
        for round in 0..100 {
            let held = script.selected().expect("selected");
            script.ask_well(held, &claims(Claim::Controlled(0)));
            assert_eq!(script.set.role(), Role::Controlling);
            let again = script.slot().expect("the selected pair is nominated again");
            assert_eq!((again.to, again.nominates()), (held, true));
            script.succeed(&again);
            script.ask_well(held, &claims(Claim::Controlling(u64::MAX)));
            assert_eq!(script.set.role(), Role::Controlled);
            let to = if held == other { remote() } else { other };
            let by = if anew { 2 + round } else { 1 };
            let (_, answer) = script.ask(to, &Ask { use_candidate: true, ..claims(Claim::Controlling(by)) });
            let success = answer.expect("an answer").success;
            assert_eq!(script.selected(), Some(if success { to } else { held }), "{round}");
            moved += usize::from(success);
        }
        assert!(moved <= most, "{moved} times");
    }
}
