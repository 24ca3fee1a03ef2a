//! Role conflicts (RFC 8445 §7.3.1.1 and §7.2.5.1). The only place that compares tiebreakers.

use floe_pair::{Role, TieBreaker};

use crate::ChecklistSet;
use crate::limits::ROLE_SWITCH_LIMIT;

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

impl ChecklistSet {
    /// The role has changed in the generation before, which goes on while a restart is unanswered. RFC 8445 §6.1.1: roles
    /// outlive a restart, so that this generation takes it. Without effect once there is a peer, and not told.
    pub fn inherit_role(&mut self, role: Role) {
        if self.peer.is_none() && self.standing.role != role {
            self.standing.take(role);
            self.follow_role();
            self.reported_role = role;
            self.settle(self.now);
        }
    }
}

/// Role and tiebreaker of an agent, and how they came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Standing {
    pub role: Role,
    pub tiebreaker: TieBreaker,
    /// Counts changes of the role: a request is of the tenure it was sent in.
    pub tenure: u32,
    /// Changes of the role by 487.
    yields: u8,
    /// Set by what the agents are, not by a conflict: one full, one lite.
    fixed: bool,
}

/// What a 487 comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The role has changed since the request was sent, perhaps back again.
    Late,
    /// We have the other role now, and a new tiebreaker.
    Yielded,
    /// The role has changed for a 487 so often that this one changes nothing.
    Spent,
}

impl Standing {
    pub(crate) fn new(role: Role, tiebreaker: TieBreaker) -> Self {
        Self { role, tiebreaker, tenure: 0, yields: 0, fixed: false }
    }

    /// A request claims a role. What [`judge_role`] says is done.
    pub(crate) fn hear(&mut self, claimed: (Role, TieBreaker)) -> RoleVerdict {
        let verdict = match judge_role((self.role, self.tiebreaker), claimed) {
            // RFC 8445 §6.1.1: the peer has the wrong role, and takes the other when it is told.
            RoleVerdict::SwitchTo(_) if self.fixed => RoleVerdict::Answer487,
            verdict => verdict,
        };
        if let RoleVerdict::SwitchTo(role) = verdict {
            self.take(role);
        }
        verdict
    }

    /// A request of ours, of this tenure, was answered with 487 (RFC 8445 §7.2.5.1). `fresh` draws a tiebreaker.
    pub(crate) fn refused(&mut self, tenure: u32, fresh: impl FnOnce() -> TieBreaker) -> Refused {
        if tenure != self.tenure {
            return Refused::Late;
        }
        if self.fixed || self.yields >= ROLE_SWITCH_LIMIT {
            return Refused::Spent;
        }
        self.yields = self.yields.saturating_add(1);
        // The role opposite to that of the refused request, which is the one we have.
        self.take(self.role.opposite());
        // RFC 8445 §7.2.5.1: the tiebreaker must change.
        self.tiebreaker = fresh();
        Refused::Yielded
    }

    /// This role, for good. True if it is another one than before.
    pub(crate) fn fix(&mut self, role: Role) -> bool {
        self.fixed = true;
        let other = self.role != role;
        if other {
            self.take(role);
        }
        other
    }

    fn take(&mut self, role: Role) {
        self.role = role;
        self.tenure = self.tenure.wrapping_add(1);
    }
}
