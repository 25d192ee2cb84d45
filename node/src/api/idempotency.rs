//! `Idempotency-Key`: a request that is sent twice is carried out once.
//!
//! For changes that carry no id of their own (issue, freeze, limits). Orders are idempotent by
//! their id in any case. The node remembers answers in memory only: after a restart a client
//! looks at the state before it repeats something.
//!
//! Invariants: at most `KEPT` keys; a key stands for one token, method, path and body; the answer
//! that is given again is the one that was given first; an attempt that changed nothing and may
//! succeed later is forgotten.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;

/// Keys that are remembered.
pub(super) const KEPT: usize = 4096;
/// Longest key.
const KEY_BYTES: usize = 128;

/// Whose key, and which.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    bearer: String,
    key: String,
}

impl Key {
    /// The key in the header's `value`, of the token `bearer`.
    pub fn read(bearer: &str, value: &HeaderValue) -> Result<Self, Refusal> {
        let key = value.to_str().unwrap_or_default();
        let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        if key.is_empty() || key.len() > KEY_BYTES || !visible {
            refuse!(BadIdempotencyKey, "{} bytes", value.len());
        }
        Ok(Self { bearer: bearer.to_owned(), key: key.to_owned() })
    }
}

/// An answer to give again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub content_type: Option<HeaderValue>,
    pub body: Bytes,
}

impl Answer {
    /// Whether it is the last word: what is only busy may be tried again with the same key.
    fn is_final(&self) -> bool {
        let again = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
        !again.contains(&self.status)
    }
}

struct Kept {
    request: [u8; 32],
    answer: Option<Answer>,
}

#[derive(Default)]
struct Inner {
    kept: HashMap<Key, Kept>,
    /// Answered keys, the oldest first; those in progress are not in it and are not forgotten.
    answered: VecDeque<Key>,
}

/// What is remembered.
#[derive(Default)]
pub(super) struct Memory(Mutex<Inner>);

/// What a key means at this moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is new: carry the request out and [`Memory::settle`] it.
    New,
    /// It was answered: give the answer again.
    Answered(Answer),
}

impl Memory {
    /// Looks a key up, and takes it if it is new.
    ///
    /// # Errors
    /// `Q-2116` it was used for another request, `Q-2117` that one is not answered yet, `Q-2112`
    /// too many are in progress.
    pub fn begin(&self, key: &Key, request: [u8; 32]) -> Result<Seen, Refusal> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = inner.kept.get(key) {
            if kept.request != request {
                refuse!(IdempotencyConflict, "other method, path or body");
            }
            return match &kept.answer {
                Some(answer) => Ok(Seen::Answered(answer.clone())),
                None => Err(Refusal::new(Code::IdempotencyBusy, "in progress")),
            };
        }
        if inner.kept.len() >= KEPT {
            let Some(oldest) = inner.answered.pop_front() else {
                refuse!(Overloaded, "{KEPT} keys in progress");
            };
            inner.kept.remove(&oldest);
        }
        inner.kept.insert(key.clone(), Kept { request, answer: None });
        Ok(Seen::New)
    }

    /// Remembers the answer to a key that was taken, or gives the key up.
    pub fn settle(&self, key: &Key, answer: Option<Answer>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match answer.filter(Answer::is_final) {
            Some(answer) => {
                if let Some(kept) = inner.kept.get_mut(key) {
                    kept.answer = Some(answer);
                    inner.answered.push_back(key.clone());
                }
            }
            None => {
                inner.kept.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::read("t-1", &HeaderValue::from_str(text).unwrap()).unwrap()
    }

    fn answer(status: StatusCode) -> Answer {
        Answer { status, content_type: None, body: Bytes::from_static(b"{}") }
    }

    #[test]
    fn the_first_answer_is_given_again_and_another_request_is_refused() {
        let memory = Memory::default();
        assert_eq!(memory.begin(&key("a"), [1; 32]), Ok(Seen::New));
        assert_eq!(memory.begin(&key("a"), [1; 32]).unwrap_err().code, Code::IdempotencyBusy);
        memory.settle(&key("a"), Some(answer(StatusCode::OK)));
        let again = memory.begin(&key("a"), [1; 32]).unwrap();
        assert_eq!(again, Seen::Answered(answer(StatusCode::OK)));
        assert_eq!(memory.begin(&key("a"), [2; 32]).unwrap_err().code, Code::IdempotencyConflict);
    }

    #[test]
    fn what_was_only_busy_is_forgotten_and_what_is_unknown_is_not() {
        let memory = Memory::default();
        for (status, kept) in [
            (StatusCode::SERVICE_UNAVAILABLE, false),
            (StatusCode::TOO_MANY_REQUESTS, false),
            (StatusCode::GATEWAY_TIMEOUT, true),
            (StatusCode::CONFLICT, true),
        ] {
            let key = key(status.as_str());
            memory.begin(&key, [1; 32]).unwrap();
            memory.settle(&key, Some(answer(status)));
            assert_eq!(memory.begin(&key, [1; 32]).unwrap() != Seen::New, kept, "{status}");
        }
    }

    #[test]
    fn the_oldest_answer_goes_first_and_what_is_in_progress_stays() {
        let memory = Memory::default();
        memory.begin(&key("busy"), [1; 32]).unwrap();
        for number in 0..KEPT {
            let key = key(&number.to_string());
            memory.begin(&key, [1; 32]).unwrap();
            memory.settle(&key, Some(answer(StatusCode::OK)));
        }
        assert_eq!(memory.begin(&key("0"), [1; 32]), Ok(Seen::New));
        assert_eq!(memory.begin(&key("busy"), [1; 32]).unwrap_err().code, Code::IdempotencyBusy);
        let inner = memory.0.lock().unwrap();
        assert!(inner.kept.len() <= KEPT && inner.answered.len() <= KEPT);
    }

    #[test]
    fn two_bearers_do_not_share_keys() {
        let memory = Memory::default();
        let value = HeaderValue::from_static("same");
        let (one, two) = (Key::read("t-1", &value).unwrap(), Key::read("t-2", &value).unwrap());
        memory.begin(&one, [1; 32]).unwrap();
        assert_eq!(memory.begin(&two, [2; 32]), Ok(Seen::New));
    }

    #[test]
    fn keys_are_short_and_visible() {
        for bad in ["", " ", "a b", "\t", &"x".repeat(KEY_BYTES + 1)] {
            let value = HeaderValue::from_bytes(bad.as_bytes()).unwrap();
            assert_eq!(Key::read("t", &value).unwrap_err().code, Code::BadIdempotencyKey, "{bad}");
        }
    }
}
