//! Bounds of every queue and table, each with its reason.

/// Data streams of one set. Sessions have a handful; each costs a checklist.
pub const STREAM_LIMIT: usize = 256;
/// Local candidates of one set of up to [`LIMITED_COMPONENTS`], in proportion of more. They come from our own gathering:
/// far above what any host has. So do those that answers show; when full, the oldest of them goes that no pair stands on.
pub const LOCAL_CANDIDATE_LIMIT: usize = 1024;
/// Remote peer-reflexive candidates of one set of up to eight components. Each costs a pair and a check; a component
/// behind ordinary NATs learns one to three. When full, one without a pair goes, else a failed one, else the lowest; the
/// request is answered all the same.
pub const PEER_REFLEXIVE_LIMIT: usize = 32;

/// Remote peer-reflexive candidates of a set of so many components: four for each, where that is more.
pub fn peer_reflexive_limit(components: usize) -> usize {
    components.saturating_mul(4).max(PEER_REFLEXIVE_LIMIT)
}

/// Components up to which [`Config::pair_limit`](crate::Config::pair_limit) and
/// [`Config::remote_limit`](crate::Config::remote_limit) are in force as they are set: the 100 pairs of RFC 8445 §6.1.2.5
/// are four for each of them.
pub const LIMITED_COMPONENTS: usize = 25;

/// What is in force of a limit in a set of so many components: beyond [`LIMITED_COMPONENTS`] it grows in proportion. RFC
/// 8445 §6.1.2.5 bounds the checks; one bound for any number of components would fail those that come last.
pub const fn limit_of(limit: usize, components: usize) -> usize {
    if components > LIMITED_COMPONENTS {
        limit.saturating_mul(components).div_ceil(LIMITED_COMPONENTS)
    } else {
        limit
    }
}
/// Addresses remembered because the policy denies the type that the peer has signalled for them: as many as remote
/// candidates by default, with as many components. When full, what comes from further ones counts as peer-reflexive; so it would if the peer had
/// not signalled them.
pub(crate) const DENIED_LIMIT: usize = 256;
/// Early checks remembered until the peer's parameters are known. One is kept for each base and source, so that this
/// is more than the peer has addresses; when full, new ones are answered and forgotten.
pub const EARLY_CHECK_LIMIT: usize = 32;
/// Peer addresses asked to be admitted on one base: a TURN client holds no more permissions than that. When full, one that
/// no pair in a checklist leads to is forgotten; without such, further pairs of the base fail.
pub const PEERS_PER_BASE: usize = 64;
/// Answers waiting to be sent. The owner drains after each input, so that one is usual; when full, an answer is
/// dropped as if the network had lost it.
pub const RESPONSE_LIMIT: usize = 64;
/// Pairs of a component that the application keeps beside the selected one. Each costs a consent request each 5 s.
pub const KEPT_LIMIT: usize = 4;
/// Valid pairs of a component up to which a check of the peer leads to another one, after a pair was selected: what
/// either side keeps, twice.
pub(crate) const BESIDE_LIMIT: usize = 16;
/// Pairs of a component that are kept because the peer, which controls, checks them: as many as it may keep itself, and
/// some of those it has just left.
pub(crate) const PEER_KEPT_LIMIT: usize = 8;
/// Pairs whose consent was lost, and that are gone: their component was removed, or they had to make room. A peer
/// whose address changes again and again has one each time; when full, the oldest is forgotten.
pub(crate) const SPENT_LIMIT: usize = 32;
/// Fresh transactions of one pair in one generation, after the first. At the shortest interval that is four seconds
/// of trying, in which 40 losses in a row do not happen.
pub const FRESH_LIMIT: u8 = 40;
/// Transactions open at once over the set: cancelled ones are held for their answers. Where the pair limit in force is above
/// half of it, twice that limit counts, so that every pair may be tried while none has answered. When full, the oldest
/// cancelled one goes; with none cancelled, no new check begins.
pub const TRANSACTION_LIMIT: usize = 2048;

/// Transactions open at once where so many pairs are allowed.
pub fn transaction_limit(pair_limit: usize) -> usize {
    pair_limit.saturating_mul(2).max(TRANSACTION_LIMIT)
}
/// Changes of role by 487 in one generation. Two agents settle after one or two; a peer that answers 487 to
/// everything has its answers taken as failures from then on.
pub const ROLE_SWITCH_LIMIT: u8 = 16;
/// Events waiting to be polled. When full, new ones are counted and reported as lost; levels are never lost.
pub const EVENT_LIMIT: usize = 128;
/// Consent requests of one pair whose answers may still come: 30 s at no less than 4 s each.
pub(crate) const OPEN_CONSENT_LIMIT: usize = 8;
/// Types listed in a 420. More unknown attributes than this are an attack or another protocol.
pub(crate) const UNKNOWN_LISTED: usize = 8;
