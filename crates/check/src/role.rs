//! Role conflicts (RFC 8445 §7.3.1.1 and §7.2.5.1). The only place that compares tiebreakers.

use floe_pair::{Role, TieBreaker};

/// What to do about the role a request claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleVerdict {
    /// The roles differ, as they should.
    NoConflict,
    /// Keep the role, answer 487.
    Answer487,
    /// Take this role, then go on with the request.
    SwitchTo(Role),
}

/// RFC 8445 §7.3.1.1, one arm per bullet. Decides only; the caller acts.
pub fn judge_role(ours: (Role, TieBreaker), claimed: (Role, TieBreaker)) -> RoleVerdict {
    match (ours.0, claimed.0, ours.1 >= claimed.1) {
        (Role::Controlling, Role::Controlling, false) => RoleVerdict::SwitchTo(Role::Controlled),
        (Role::Controlled, Role::Controlled, true) => RoleVerdict::SwitchTo(Role::Controlling),
        (Role::Controlling, Role::Controlling, true) | (Role::Controlled, Role::Controlled, false) => {
            RoleVerdict::Answer487
        }
        _ => RoleVerdict::NoConflict,
    }
}
