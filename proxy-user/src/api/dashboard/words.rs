//! Values in words.

use proxy_common::reason::Reason;

use crate::record::{AuthMethod, Verdict};

/// A reason, for people.
pub(super) const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::IpRestricted => "Address not allowed",
        Reason::CountryRestricted => "Country not allowed",
        Reason::GeoUnavailable => "No country database",
        Reason::SsoDenied => "User not allowed",
        Reason::LoginRequired => "Not signed in",
        Reason::MissingSsoSession => "No single sign-on session",
        Reason::InvalidPassword => "Wrong password",
        Reason::InvalidPin => "Wrong PIN",
        Reason::InvalidHeader => "Wrong header credential",
        Reason::LockedOut => "Too many wrong tries",
        Reason::BadRequest => "Malformed request",
        Reason::UnknownHost => "Unknown host",
        Reason::ConnectionLimit => "Too many connections",
        Reason::BackendUnreachable => "Target unreachable",
        Reason::BackendTimeout => "Target too slow",
        Reason::BackendError => "Target failed",
        Reason::ClientAborted => "Client went away",
        Reason::TlsHandshakeFailed => "TLS handshake failed",
    }
}

/// A reason by its name, else the name.
pub(super) fn reason_named(name: &str) -> &str {
    match Reason::from_name(name) {
        Some(known) => reason(known),
        None => name,
    }
}

/// How somebody signed in.
pub(super) const fn auth_method(method: AuthMethod) -> &'static str {
    match method {
        AuthMethod::None => "None",
        AuthMethod::Password => "Password",
        AuthMethod::Pin => "PIN",
        AuthMethod::Header => "Header",
        AuthMethod::Oidc => "SSO",
    }
}

/// How it ended.
pub(super) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allowed => "Allowed",
        Verdict::Denied => "Denied",
        Verdict::Error => "Error",
    }
}

/// Milliseconds, as short as they can be told.
pub(super) fn duration(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// Bytes in binary units, one digit behind the point.
pub(super) fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let Some(power) = bytes.checked_ilog2().map(|log| log / 10).filter(|power| *power > 0) else {
        return format!("{bytes} B");
    };
    let unit = units.get(power as usize - 1).copied().unwrap_or("EiB");
    let whole = bytes >> (10 * power);
    let rest = (bytes >> (10 * (power - 1))) & 1023;
    format!("{whole}.{} {unit}", rest * 10 / 1024)
}

/// A number in groups of three digits.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_bytes_and_numbers_read_well() {
        for (ms, shown) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1250, "1.2 s"),
            (61_000, "1 min 1 s"),
            (7_260_000, "2 h 1 min"),
        ] {
            assert_eq!(duration(ms), shown);
        }
        for (count, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(bytes(count), shown);
        }
        for (count, shown) in [(0, "0"), (999, "999"), (1000, "1,000"), (10_000_000, "10,000,000")]
        {
            assert_eq!(number(count), shown);
        }
    }
}
