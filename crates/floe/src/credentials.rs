//! User names and passwords of TURN servers, prepared for comparing (RFC 8489 §9.2.2).

use std::{borrow::Cow, fmt};

use floe_turn::{Credentials, CredentialsError};
use precis_profiles::{OpaqueString, precis_core::profile::PrecisFastInvocation};

/// How the text of a user name and a password becomes the bytes both sides hash.
///
/// The two agree on ASCII and differ on real passwords beyond it, so neither is ever tried after the other:
/// the key would change unseen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preparation {
    /// The profile of RFC 8265 §4.2, which RFC 8489 asks for.
    #[default]
    OpaqueString,
    /// The profile of RFC 4013, which RFC 5389 asked for: for servers that were built by it.
    SaslPrep,
}

impl Preparation {
    fn prepare(self, text: &str) -> Option<Cow<'_, str>> {
        match self {
            Self::OpaqueString => OpaqueString::enforce(text).ok(),
            Self::SaslPrep => stringprep::saslprep(text).ok(),
        }
    }
}

/// Prepares the credentials of one server.
///
/// # Errors
/// [`PreparationError`] says which of the two cannot be used; neither is in it.
pub(crate) fn prepare(
    username: &str,
    password: &str,
    preparation: Preparation,
) -> Result<Credentials, PreparationError> {
    let username = preparation.prepare(username).ok_or(PreparationError::Username(preparation))?;
    let password = preparation.prepare(password).ok_or(PreparationError::Password(preparation))?;
    Credentials::new(username.as_bytes(), password.as_bytes()).map_err(PreparationError::Credentials)
}

/// Why a user name or a password cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PreparationError {
    /// The user name is empty or has characters that this preparation forbids.
    Username(Preparation),
    /// The password is empty or has characters that this preparation forbids.
    Password(Preparation),
    /// A length does not fit.
    Credentials(CredentialsError),
}

impl fmt::Display for PreparationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (which, preparation) = match self {
            Self::Username(preparation) => ("user name", preparation),
            Self::Password(preparation) => ("password", preparation),
            Self::Credentials(error) => return error.fmt(f),
        };
        let rules = match preparation {
            Preparation::OpaqueString => "OpaqueString (RFC 8265)",
            Preparation::SaslPrep => "SASLprep (RFC 4013)",
        };
        write!(f, "the {which} is empty or has characters that {rules} forbids")
    }
}

impl std::error::Error for PreparationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Credentials(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, opaque: Option<&str>, sasl: Option<&str>) {
        assert_eq!(Preparation::OpaqueString.prepare(text).as_deref(), opaque, "OpaqueString of {text:?}");
        assert_eq!(Preparation::SaslPrep.prepare(text).as_deref(), sasl, "SASLprep of {text:?}");
    }

    #[test]
    fn each_preparation_keeps_to_its_own_rfc() {
        check("TheMatrIX", Some("TheMatrIX"), Some("TheMatrIX"));
        check("The\u{AD}M\u{AA}tr\u{2168}", None, Some("TheMatrIX"));
        check("", None, Some(""));
        check("a\u{A0}b", Some("a b"), Some("a b"));
        check("\u{FB01}n", Some("\u{FB01}n"), Some("fin"));
        check("e\u{301}", Some("\u{E9}"), Some("\u{E9}"));
        check("\u{1F600}", Some("\u{1F600}"), None);
        check("tab\t", None, None);
    }

    #[test]
    fn errors_name_the_culprit_and_never_show_it() {
        let error = prepare("se\tcret", "hunter2", Preparation::OpaqueString).unwrap_err();
        assert_eq!(error, PreparationError::Username(Preparation::OpaqueString));
        let error = prepare("user", "hunter\u{7}2", Preparation::SaslPrep).unwrap_err();
        assert_eq!(error, PreparationError::Password(Preparation::SaslPrep));
        assert!(!format!("{error} {error:?}").contains("hunter"));
        let error = prepare("", "", Preparation::SaslPrep).unwrap_err();
        assert!(matches!(error, PreparationError::Credentials(_)), "{error:?}");
    }

    #[test]
    fn t39_prepared_credentials_hide_themselves() {
        let credentials = prepare("alice", "hunter2", Preparation::default()).unwrap();
        assert_eq!(credentials.username(), b"alice");
        let shown = format!("{credentials:?}");
        assert!(!shown.contains("alice") && !shown.contains("hunter2"), "{shown}");
    }
}
