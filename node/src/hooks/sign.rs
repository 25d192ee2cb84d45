//! The signature of a delivery: what proves to its receiver that this node has sent it.
//!
//! `Quadrille-Signature: t=SECONDS,v1=HEX`, where HEX is HMAC-SHA256 over `SECONDS.BODY` under the
//! subscription's secret. The receiver computes it over the raw body, compares in constant time,
//! and refuses what is older than some minutes.

use hmac::{Hmac, KeyInit, Mac};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::{Duration, Time};
use sha2::Sha256;

/// Longest header that is read.
const HEADER_BYTES: usize = 256;

/// The value of the header for `body`, sent at `now`.
///
/// # Errors
/// `Q-2801` a secret that is no key; none that is kept is.
pub fn signature(secret: &str, body: &[u8], now: Time) -> Result<String, Refusal> {
    let seconds = now.0 / 1000;
    let mac = mac_of(secret, seconds, body)?.finalize().into_bytes();
    Ok(format!("t={seconds},v1={}", hex::encode(mac)))
}

/// Checks the value of the header as a receiver does.
///
/// # Errors
/// `Q-2806` not of this body under this secret; `Q-2807` older, or further ahead, than `tolerance`.
pub fn verify(
    secret: &str,
    header: &str,
    body: &[u8],
    now: Time,
    tolerance: Duration,
) -> Result<Time, Refusal> {
    let bad = |what: &str| Refusal::new(Code::BadHookSignature, what);
    let form = || bad("the header is t=SECONDS,v1=HEX");
    let header = Some(header.trim()).filter(|header| header.len() <= HEADER_BYTES);
    let (time, mac) = header.and_then(|header| header.split_once(',')).ok_or_else(form)?;
    let seconds: u64 = time
        .strip_prefix("t=")
        .and_then(|digits| digits.parse().ok())
        .filter(|seconds| format!("t={seconds}") == time)
        .ok_or_else(form)?;
    let mac = mac.strip_prefix("v1=").and_then(|hex| hex::decode(hex).ok()).ok_or_else(form)?;
    // In constant time.
    mac_of(secret, seconds, body)?
        .verify_slice(&mac)
        .map_err(|_| bad("it is not of this body under this secret"))?;
    let sent = Time(seconds.saturating_mul(1000));
    if now.0.abs_diff(sent.0) > tolerance.0 {
        return Err(Refusal::new(Code::StaleDelivery, format!("it was sent at {sent}")));
    }
    Ok(sent)
}

fn mac_of(secret: &str, seconds: u64, body: &[u8]) -> Result<Hmac<Sha256>, Refusal> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map_err(|_| Refusal::new(Code::BadSubscription, "secret"))?;
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_700_000_000_000);
    const TOLERANCE: Duration = Duration(300_000);

    /// Made with `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac qs_test`.
    const KNOWN: &str = "67d6e861b2f2019c451f58987b58b161619f35ed71dee9213f30b6c8c881495b";

    #[test]
    fn the_signature_is_what_openssl_computes() {
        let known = format!("t=1700000000,v1={KNOWN}");
        assert_eq!(signature("qs_test", br#"{"a":1}"#, NOW).unwrap(), known);
        assert!(verify("qs_test", &known, br#"{"a":1}"#, NOW, TOLERANCE).is_ok());
    }

    #[test]
    fn another_body_secret_or_time_is_refused() {
        let header = signature("qs_test", b"body", NOW).unwrap();
        let code = |secret: &str, header: &str, body: &[u8]| {
            verify(secret, header, body, NOW, TOLERANCE).unwrap_err().code
        };
        assert_eq!(code("qs_test", &header, b"bodY"), Code::BadHookSignature);
        assert_eq!(code("qs_tesT", &header, b"body"), Code::BadHookSignature);
        let later = header.replace("t=1700000000", "t=1700000001");
        assert_eq!(code("qs_test", &later, b"body"), Code::BadHookSignature);
        for broken in ["", "t=1", "v1=00,t=1", "t=01,v1=00", "t=1,v1=0", "t=1,v1=zz"] {
            assert_eq!(code("qs_test", broken, b"body"), Code::BadHookSignature, "{broken}");
        }
    }

    #[test]
    fn an_old_delivery_is_refused_though_its_signature_is_right() {
        let header = signature("qs_test", b"body", NOW).unwrap();
        let at = |now| verify("qs_test", &header, b"body", now, TOLERANCE);
        assert!(at(Time(NOW.0 + 300_000)).is_ok());
        assert_eq!(at(Time(NOW.0 + 301_000)).unwrap_err().code, Code::StaleDelivery);
        assert_eq!(at(Time(NOW.0 - 301_000)).unwrap_err().code, Code::StaleDelivery);
    }
}
