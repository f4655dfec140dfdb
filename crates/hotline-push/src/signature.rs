//! HMAC-SHA256 (RFC 2104) over time, key and body.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Shared with one receiver. `Debug` does not show it.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(Vec<u8>);

impl Secret {
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The value of `X-Hotline-Signature`: `v1=` and 64 hexadecimal digits.
pub fn sign(secret: &Secret, timestamp_s: i64, id: &str, body: &str) -> String {
    let mut out = String::from("v1=");
    // HMAC takes a key of any length; there is no error to have.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&secret.0) else { return out };
    mac.update(format!("{timestamp_s}.{id}.").as_bytes());
    mac.update(body.as_bytes());
    for byte in mac.finalize().into_bytes() {
        out.push(digit(byte >> 4));
        out.push(digit(byte & 15));
    }
    out
}

fn digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receiver_with_another_tool_computes_the_same_signature() {
        // printf '1795219200.call-1.{"a":1}' | openssl dgst -sha256 -hmac secret
        let wanted = include_str!("signature/example.txt").trim_end();
        assert_eq!(sign(&Secret::new("secret"), 1_795_219_200, "call-1", "{\"a\":1}"), wanted);
    }
}
