//! The long-term credential mechanism, server side (RFC 8489 §9.2).

use std::collections::BTreeMap;

use floe_stun::{
    Algorithm, AttributeType, Instant, IntegrityKey, Message, MessageWriter, NonceCookie, PasswordAlgorithm,
    Random, SecurityFeatures, WriteError,
    attribute::{Nonce, PasswordAlgorithmAttribute, PasswordAlgorithms, Userhash, Username},
    nonce_features, userhash,
};

use super::{ServerConfig, allocation::FiveTuple, config::Security, nonce::NonceSource};

/// Longest realm sent, in bytes (RFC 8489 §14.9 allows fewer than 128 characters).
const MAX_REALM_BYTES: usize = 127;

/// A user of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AccountId(usize);

/// The keys of one user; the password itself is not kept (RFC 8656 §6).
struct Account {
    md5: IntegrityKey,
    sha256: IntegrityKey,
}

impl Account {
    fn key(&self, algorithm: PasswordAlgorithm) -> &IntegrityKey {
        match algorithm {
            PasswordAlgorithm::Md5 => &self.md5,
            PasswordAlgorithm::Sha256 => &self.sha256,
        }
    }
}

/// How an answer is signed: as the request was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) account: AccountId,
    key: PasswordAlgorithm,
    pub(super) algorithm: Algorithm,
}

/// A request whose integrity was verified.
#[derive(Clone, Copy, Debug)]
pub(super) struct Authenticated {
    pub(super) signature: Signature,
    /// Whether its nonce is still good.
    pub(super) fresh: bool,
}

/// Why a request was not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 401.
    Unauthenticated,
    /// 400.
    BadRequest,
}

/// Users, keys and nonces.
pub(super) struct Authenticator {
    realm: Vec<u8>,
    accounts: Vec<Account>,
    by_name: BTreeMap<Vec<u8>, AccountId>,
    by_hash: BTreeMap<[u8; 32], AccountId>,
    nonces: NonceSource,
    /// PASSWORD-ALGORITHMS as sent.
    offer: Option<PasswordAlgorithms<'static>>,
}

impl core::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Authenticator").field("accounts", &self.accounts.len()).finish_non_exhaustive()
    }
}

impl Authenticator {
    pub(super) fn new(config: &ServerConfig, random: &mut Random) -> Self {
        let realm = shortened(&config.realm).as_bytes().to_vec();
        let features = SecurityFeatures { password_algorithms: true, username_anonymity: true };
        let cookie = NonceCookie::new(features);
        let (prefix, offer): (&[u8], _) = match config.security {
            Security::Rfc5389 => (&[], None),
            Security::Rfc8489 => (cookie.as_bytes(), Some(PasswordAlgorithms::SHA256_AND_MD5)),
        };
        let nonces = NonceSource::new(prefix, config.lifetimes.nonce, random);
        let (accounts, by_name, by_hash) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let mut known = Self { realm, accounts, by_name, by_hash, nonces, offer };
        for user in &config.users {
            known.set_user(user.name.as_bytes(), Some(user.password.as_bytes()));
        }
        known
    }

    /// From here on this is the password of a user, known before or not; without one the user is not known any more.
    pub(super) fn set_user(&mut self, name: &[u8], password: Option<&[u8]>) {
        let hash = userhash(name, &self.realm);
        let Some(password) = password else {
            self.by_name.remove(name);
            self.by_hash.remove(&hash);
            return;
        };
        let account = Account {
            md5: IntegrityKey::long_term_md5(name, &self.realm, password),
            sha256: IntegrityKey::long_term_sha256(name, &self.realm, password),
        };
        if let Some(known) = self.by_name.get(name).and_then(|id| self.accounts.get_mut(id.0)) {
            *known = account;
            return;
        }
        let id = AccountId(self.accounts.len());
        self.by_name.insert(name.to_vec(), id);
        self.by_hash.insert(hash, id);
        self.accounts.push(account);
    }

    /// RFC 8489 §9.2.4: the checks in the order of the text. Freshness of the nonce, the last of them, is left to
    /// the caller, who may hold an answer to the same request already.
    pub(super) fn authenticate(
        &self,
        now: Instant,
        tuple: FiveTuple,
        message: &Message<'_>,
    ) -> Result<Authenticated, Refusal> {
        if !message.has_integrity() {
            return Err(Refusal::Unauthenticated);
        }
        let nonce = message.get::<Nonce<'_>>().ok().flatten().ok_or(Refusal::BadRequest)?;
        if message.raw(AttributeType::REALM).is_none() {
            return Err(Refusal::BadRequest);
        }
        let claimed = self.claimed_account(message)?;
        let chosen = self.password_algorithm(nonce.as_bytes(), message)?;
        let (id, account) = claimed.ok_or(Refusal::Unauthenticated)?;
        let key = chosen.unwrap_or(PasswordAlgorithm::Md5);
        message.verify_integrity(account.key(key)).map_err(|_| Refusal::Unauthenticated)?;
        // A client that negotiated is answered with SHA-256 whatever it chose, one that did not with SHA-1.
        let algorithm = if chosen.is_some() { Algorithm::Sha256 } else { Algorithm::Sha1 };
        let fresh = self.nonces.is_fresh(now, tuple.client, nonce.as_bytes());
        Ok(Authenticated { signature: Signature { account: id, key, algorithm }, fresh })
    }

    /// The key an answer is signed with.
    pub(super) fn key(&self, signature: Signature) -> Option<&IntegrityKey> {
        self.accounts.get(signature.account.0).map(|account| account.key(signature.key))
    }

    /// Puts REALM, NONCE and, if offered, PASSWORD-ALGORITHMS: what a 401 and a 438 carry.
    pub(super) fn put_challenge(
        &self,
        now: Instant,
        tuple: FiveTuple,
        writer: &mut MessageWriter<'_>,
    ) -> Result<(), WriteError> {
        writer.put_raw(AttributeType::REALM, &self.realm)?;
        writer.put_raw(AttributeType::NONCE, &self.nonces.mint(now, tuple.client))?;
        self.offer.map_or(Ok(()), |offer| writer.put(&offer))
    }

    /// The account USERNAME or USERHASH names; `Ok(None)` if there is no such user.
    fn claimed_account(&self, message: &Message<'_>) -> Result<Option<(AccountId, &Account)>, Refusal> {
        let id = if let Ok(Some(name)) = message.get::<Username<'_>>() {
            self.by_name.get(name.as_bytes())
        } else if let Ok(Some(Userhash(hash))) = message.get::<Userhash>() {
            self.by_hash.get(&hash)
        } else {
            return Err(Refusal::BadRequest);
        };
        Ok(id.and_then(|id| Some((*id, self.accounts.get(id.0)?))))
    }

    /// The algorithm the client chose; `Ok(None)` if it did not choose, which means MD5. RFC 8489 §9.2.4: a client
    /// that chooses must echo the list it chose from, so that nobody on the path can have shortened it.
    fn password_algorithm(
        &self,
        nonce: &[u8],
        message: &Message<'_>,
    ) -> Result<Option<PasswordAlgorithm>, Refusal> {
        let negotiating = nonce_features(nonce).is_some_and(|features| features.password_algorithms);
        let Some(offer) = self.offer.filter(|_| negotiating) else { return Ok(None) };
        let list = message.get::<PasswordAlgorithms<'_>>();
        let chosen = message.get::<PasswordAlgorithmAttribute<'_>>();
        match (list, chosen) {
            (Ok(None), Ok(None)) => Ok(None),
            (Ok(Some(list)), Ok(Some(chosen))) if list == offer => {
                chosen.algorithm().map(Some).ok_or(Refusal::BadRequest)
            }
            _ => Err(Refusal::BadRequest),
        }
    }
}

/// As much of a realm as may be sent, cut between characters.
fn shortened(realm: &str) -> &str {
    let cut = (0..=MAX_REALM_BYTES.min(realm.len())).rev().find(|cut| realm.is_char_boundary(*cut));
    realm.get(..cut.unwrap_or_default()).unwrap_or_default()
}
