//! Names that were read lately, to share them.
//!
//! The same few domains and assets stand in everything that is read. Reading one again gives the
//! one that was made before: no memory, no check of its form, and comparing it with itself ends
//! at the address. What is remembered changes no result; a name that is pushed out of its place
//! by another is made anew.

/// How many are remembered per kind of name and thread.
const PLACES: usize = 256;

/// The names read lately, each in the one place that its key gives it.
pub(super) struct Recent<T>([Option<T>; PLACES]);

impl<T: Clone> Recent<T> {
    /// None yet.
    pub(super) const fn new() -> Self {
        Self([const { None }; PLACES])
    }

    /// The one in the place of `key`, if it is the one that is looked for.
    pub(super) fn find(&self, key: &[u8], is_it: impl FnOnce(&T) -> bool) -> Option<T> {
        let known = self.0.get(place_of(key))?.as_ref()?;
        is_it(known).then(|| known.clone())
    }

    /// Puts `name` into the place of `key`.
    pub(super) fn put(&mut self, key: &[u8], name: &T) {
        if let Some(place) = self.0.get_mut(place_of(key)) {
            *place = Some(name.clone());
        }
    }
}

/// Mixes the ends of a key, where names differ, into the number of a place.
fn place_of(key: &[u8]) -> usize {
    let head = key.first_chunk::<8>().map_or(0, |head| u64::from_le_bytes(*head));
    let tail = key.last_chunk::<8>().map_or(0, |tail| u64::from_le_bytes(*tail));
    let length = u64::try_from(key.len()).unwrap_or(0);
    let mixed = (head ^ tail.rotate_left(29) ^ length).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The top byte, which every bit below it has had a part in.
    usize::from(mixed.to_be_bytes()[0])
}

const _: () = assert!(PLACES == u8::MAX as usize + 1);
