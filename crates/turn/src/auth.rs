//! Long-term credentials in requests and responses (RFC 8489 §9.2).

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use floe_stun::attribute::{
    Nonce, PasswordAlgorithmAttribute, PasswordAlgorithms, Realm, Userhash, Username,
};
use floe_stun::{
    Algorithm, AttributeType, IntegrityKey, Message, MessageWriter, PasswordAlgorithm, nonce_features,
    userhash,
};

use crate::credential::Credentials;
use crate::error::RequestError;

/// Longest list of algorithms that is echoed: two are defined, of four bytes each. A longer one would only make
/// every request of ours longer.
pub(crate) const MAX_ALGORITHMS_BYTES: usize = 256;

/// Who we are to one server: all that stays when only the nonce changes.
struct Identity {
    realm: Box<[u8]>,
    /// RFC 8489 §9.2.5: sent instead of the user name where the server can do with it.
    userhash: Option<[u8; 32]>,
    algorithms: Option<Algorithms>,
    key: IntegrityKey,
}

/// What the server offered and what was taken from it.
struct Algorithms {
    /// As received: it is echoed unchanged, which is how the server detects that someone cut it down.
    offered: Box<[u8]>,
    chosen: PasswordAlgorithm,
}

/// What the server last asked of us, and the key to answer it with. Cheap to clone: every request in flight
/// holds the one it was signed with, so that its retransmissions stay the same byte for byte.
#[derive(Clone)]
pub(crate) struct Challenge {
    identity: Arc<Identity>,
    nonce: Arc<[u8]>,
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge(redacted)")
    }
}

/// What a 401 or 438 response says about credentials.
struct Offer<'a> {
    realm: Option<&'a [u8]>,
    nonce: &'a [u8],
    algorithms: Option<(&'a [u8], PasswordAlgorithm)>,
    anonymity: bool,
}

impl<'a> Offer<'a> {
    fn read(message: &Message<'a>) -> Result<Self, RequestError> {
        // RFC 8489 §14.9, §14.10: what is longer than 763 bytes could not be sent back.
        let nonce = match message.get::<Nonce<'a>>() {
            Ok(Some(nonce)) => nonce.as_bytes(),
            Ok(None) | Err(_) => return Err(RequestError::Malformed),
        };
        let realm = message.get::<Realm<'a>>().map_err(|_| RequestError::Malformed)?;
        if lacks_announced_algorithms(message) {
            // RFC 8489 §9.2.5: someone took the list away; no retry.
            return Err(RequestError::BidDown);
        }
        let algorithms = match message.get::<PasswordAlgorithms<'a>>() {
            Ok(None) => None,
            Ok(Some(list)) => {
                // RFC 8656 §6: of MD5 and SHA-256 always the latter, whatever the order; RFC 8489 §9.2.5 would have
                // the first. With none that is supported there is no retry.
                let supported = list.iter().filter_map(|entry| entry.algorithm());
                let chosen = supported.max().ok_or(RequestError::NoCommonAlgorithm)?;
                if list.as_bytes().len() > MAX_ALGORITHMS_BYTES {
                    return Err(RequestError::Malformed);
                }
                Some((list.as_bytes(), chosen))
            }
            Err(_) => return Err(RequestError::Malformed),
        };
        let anonymity = nonce_features(nonce).is_some_and(|features| features.username_anonymity);
        Ok(Self { realm: realm.map(|realm| realm.as_bytes()), nonce, algorithms, anonymity })
    }
}

/// RFC 8489 §9.2.5: whether the nonce says that a PASSWORD-ALGORITHMS attribute belongs to it, and none is there.
pub(crate) fn lacks_announced_algorithms(message: &Message<'_>) -> bool {
    message.raw(AttributeType::PASSWORD_ALGORITHMS).is_none()
        && message
            .raw(AttributeType::NONCE)
            .and_then(nonce_features)
            .is_some_and(|features| features.password_algorithms)
}

impl Identity {
    fn new(
        realm: &[u8],
        anonymity: bool,
        algorithms: Option<(&[u8], PasswordAlgorithm)>,
        credentials: &Credentials,
    ) -> Self {
        let chosen = algorithms.map_or(PasswordAlgorithm::Md5, |(_, chosen)| chosen);
        Self {
            realm: realm.into(),
            // RFC 8489 §9.2.5, TRN-23's wish too: the hash hides who we are from whoever listens.
            userhash: anonymity.then(|| userhash(credentials.username(), realm)),
            algorithms: algorithms.map(|(offered, chosen)| Algorithms { offered: offered.into(), chosen }),
            key: IntegrityKey::long_term(chosen, credentials.username(), realm, credentials.password()),
        }
    }
}

impl Challenge {
    /// From a 401 that answers a request without credentials.
    pub(crate) fn learn(message: &Message<'_>, credentials: &Credentials) -> Result<Self, RequestError> {
        let offer = Offer::read(message)?;
        let realm = offer.realm.ok_or(RequestError::Malformed)?;
        let identity = Identity::new(realm, offer.anonymity, offer.algorithms, credentials);
        Ok(Self { identity: Arc::new(identity), nonce: offer.nonce.into() })
    }

    /// From a 438, or from a 401 on an allocation that this identity was granted: a new nonce, and nothing else. These
    /// answers are not authenticated: whoever forges one must not change who we are to the server, or how we sign, which
    /// the server's own next 438 would not mend.
    pub(crate) fn renew(&self, message: &Message<'_>) -> Result<Self, RequestError> {
        let nonce = Offer::read(message)?.nonce.into();
        Ok(Self { identity: Arc::clone(&self.identity), nonce })
    }

    /// The same challenge answered with another password.
    pub(crate) fn with_password(&self, credentials: &Credentials) -> Self {
        let old = &self.identity;
        let algorithms = old.algorithms.as_ref().map(|algorithms| (&*algorithms.offered, algorithms.chosen));
        let identity = Identity::new(&old.realm, old.userhash.is_some(), algorithms, credentials);
        Self { identity: Arc::new(identity), nonce: Arc::clone(&self.nonce) }
    }

    /// Whether both sign with the same key.
    pub(crate) fn is_signed_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.identity, &other.identity)
    }

    pub(crate) fn realm(&self) -> &[u8] {
        &self.identity.realm
    }

    /// Adds user, realm, nonce and algorithms, and the integrity attribute. Returns the length of the message.
    pub(crate) fn sign(&self, mut writer: MessageWriter<'_>, credentials: &Credentials) -> Option<usize> {
        let identity = &self.identity;
        match identity.userhash {
            Some(hash) => writer.put(&Userhash(hash)).ok()?,
            None => writer.put(&Username::new(credentials.username()).ok()?).ok()?,
        }
        writer.put(&Realm::echo(&identity.realm).ok()?).ok()?;
        writer.put(&Nonce::echo(&self.nonce).ok()?).ok()?;
        if let Some(algorithms) = &identity.algorithms {
            writer.put(&PasswordAlgorithms::from_bytes(&algorithms.offered).ok()?).ok()?;
            writer.put(&PasswordAlgorithmAttribute::new(algorithms.chosen)).ok()?;
        }
        Some(writer.sign(&identity.key, self.algorithm()).ok()?.finish())
    }

    /// RFC 8489 §9.2.5: after PASSWORD-ALGORITHMS only MESSAGE-INTEGRITY-SHA256 is used.
    fn algorithm(&self) -> Algorithm {
        if self.identity.algorithms.is_some() { Algorithm::Sha256 } else { Algorithm::Sha1 }
    }

    /// Whether a response to a request signed with this challenge is from the server. RFC 8489 §9.2.4: the
    /// server signs with the algorithm of the request, so a weaker one is not from it.
    pub(crate) fn verify(&self, message: &Message<'_>) -> bool {
        let wanted = self.algorithm();
        message
            .verify_integrity(&self.identity.key)
            .is_ok_and(|found| found == wanted || found == Algorithm::Sha256)
    }
}
