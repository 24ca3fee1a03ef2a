//! The long-term credentials of a user (RFC 8489 §9.2).

use alloc::boxed::Box;
use core::fmt;

use zeroize::Zeroize;

use crate::error::CredentialsError;

/// Longest user name in bytes (RFC 8489 §14.3: fewer than 509).
const MAX_USERNAME_BYTES: usize = 508;
/// Longest password in bytes: only hashed, never sent; the bound keeps a mistake from costing memory.
const MAX_PASSWORD_BYTES: usize = 1024;

/// User name and password of a TURN server, both prepared already (RFC 8265 OpaqueString, or SASLprep for
/// servers of RFC 5389). `Debug` shows neither; the password is wiped when dropped.
#[derive(Clone)]
pub struct Credentials {
    username: Box<[u8]>,
    password: Box<[u8]>,
}

impl Credentials {
    /// Takes copies of the prepared bytes.
    ///
    /// # Errors
    ///
    /// The user name is empty, or one of the two is too long.
    pub fn new(username: &[u8], password: &[u8]) -> Result<Self, CredentialsError> {
        if username.is_empty() {
            return Err(CredentialsError::EmptyUsername);
        }
        if username.len() > MAX_USERNAME_BYTES {
            return Err(CredentialsError::UsernameTooLong(username.len()));
        }
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(CredentialsError::PasswordTooLong(password.len()));
        }
        Ok(Self { username: username.into(), password: password.into() })
    }

    /// The user name as it is sent and hashed.
    pub fn username(&self) -> &[u8] {
        &self.username
    }

    pub(crate) fn password(&self) -> &[u8] {
        &self.password
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        self.password.zeroize();
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}
