//! What a form of the login page sends (URL Standard, 5).

use super::return_to::ReturnTo;
use crate::http::pages::FieldKind;

/// One secret, and where to go then.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) kind: FieldKind,
    pub(super) value: String,
    pub(super) return_to: ReturnTo,
}

/// Why a form is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FormError {
    Nothing,
    Several,
}

impl FormError {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Nothing => "The form holds neither a password nor a PIN.",
            Self::Several => "The form holds more than one secret.",
        }
    }
}

impl Form {
    pub(super) fn parse(body: &[u8]) -> Result<Self, FormError> {
        let (mut secret, mut return_to) = (None, ReturnTo::parse(""));
        for (name, value) in form_urlencoded::parse(body) {
            let kind = match &*name {
                "password" => FieldKind::Password,
                "pin" => FieldKind::Pin,
                "return_to" => {
                    return_to = ReturnTo::parse(&value);
                    continue;
                }
                _ => continue,
            };
            if value.is_empty() {
                continue;
            }
            if secret.replace((kind, value.into_owned())).is_some() {
                return Err(FormError::Several);
            }
        }
        let (kind, value) = secret.ok_or(FormError::Nothing)?;
        Ok(Self { kind, value, return_to })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_secret_is_taken_as_it_was_typed() {
        let form = Form::parse(b"return_to=%2Fa%3Fb%3Dc&password=+%C3%A9%26%00+&x=1").unwrap();
        assert_eq!((form.kind, form.value.as_str()), (FieldKind::Password, " \u{e9}&\0 "));
        assert_eq!(form.return_to.as_str(), "/a?b=c");
        let form = Form::parse(b"password=&pin=123456").unwrap();
        assert_eq!((form.kind, form.return_to.as_str()), (FieldKind::Pin, "/"));
    }

    #[test]
    fn a_form_has_one_secret() {
        for body in [&b""[..], b"password=", b"a=b", b"{\"password\":\"a\"}", &[0xff; 20]] {
            assert_eq!(Form::parse(body), Err(FormError::Nothing));
        }
        for body in [&b"password=a&pin=1"[..], b"pin=1&pin=2"] {
            assert_eq!(Form::parse(body), Err(FormError::Several));
        }
    }
}
