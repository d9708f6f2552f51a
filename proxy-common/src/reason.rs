//! Why something was denied or failed: one numbered, append-only list shared by
//! kernel, store, API and metrics. A number is never given a second meaning.

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// Why a request, connection or attempt was not simply allowed.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $name = $number,)* }

        impl Reason {
            /// Every reason, by number.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The reason with this number.
            #[inline]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            /// The name that records, API and metrics show.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The reason of that name, in any case.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|r| r.as_str().eq_ignore_ascii_case(name))
            }
        }
    };
}

reasons! {
    /// A CIDR rule.
    IpRestricted = 1, "ip_restricted";
    /// A country rule.
    CountryRestricted = 2, "country_restricted";
    /// A country rule without a country database: fail closed.
    GeoUnavailable = 3, "geo_unavailable";
    /// Signed in, but on none of the lists.
    SsoDenied = 4, "sso_denied";
    /// No credential was shown.
    LoginRequired = 5, "login_required";
    /// No session, and single sign-on is the only method.
    MissingSsoSession = 6, "missing_sso_session";
    /// Wrong password.
    InvalidPassword = 7, "invalid_password";
    /// Wrong PIN.
    InvalidPin = 8, "invalid_pin";
    /// Wrong header credential.
    InvalidHeader = 9, "invalid_header";
    /// Too many wrong credentials.
    LockedOut = 10, "locked_out";
    /// A malformed request.
    BadRequest = 11, "bad_request";
    /// No service of that name.
    UnknownHost = 12, "unknown_host";
    /// Over `max_connections` or what the file-descriptor limit carries.
    ConnectionLimit = 13, "connection_limit";
    /// The target could not be reached.
    BackendUnreachable = 14, "backend_unreachable";
    /// The target did not answer in time.
    BackendTimeout = 15, "backend_timeout";
    /// The target answered with a failure.
    BackendError = 16, "backend_error";
    /// The client went away.
    ClientAborted = 17, "client_aborted";
    /// The TLS handshake failed.
    TlsHandshakeFailed = 18, "tls_handshake_failed";
}

/// Reasons that the kernel gives are 1 to 3; counters of denials have one column
/// for each number below this.
pub const KERNEL_REASONS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_names_lead_back() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index + 1);
            assert_eq!(Reason::from_number(*reason as u8), Some(*reason));
            assert_eq!(Reason::from_name(reason.as_str()), Some(*reason));
        }
    }
}
