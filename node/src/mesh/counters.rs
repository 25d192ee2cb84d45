//! What the mesh counts, for metrics and tests.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($name:ident $about:literal;)*) => {
        /// Counters since the start; each only rises.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(#[doc = $about] pub $name: Counter,)*
        }

        impl Counters {
            /// Every counter: name, meaning, value.
            #[must_use]
            pub fn all(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), $about, self.$name.get()),)*]
            }
        }
    };
}

counters! {
    connections_opened "Connections that passed the membership handshake.";
    connections_closed "Connections that have ended.";
    connections_failed "Connections that failed before the membership handshake.";
    handshakes_refused "Peers refused in the membership handshake.";
    dials_failed "Dials that failed.";
    sessions_opened "Sessions opened.";
    sessions_closed "Sessions ended.";
    frames_in "Frames received over sessions.";
    frames_out "Frames sent over sessions.";
    bytes_in "Bytes received over sessions.";
    bytes_out "Bytes sent over sessions.";
    refused_inputs "Things received over sessions that were refused.";
    bad_frames "Sessions ended by bytes that are no frame.";
    stalls "Sessions ended because nothing came or went.";
    strange_streams "Streams opened by a peer that had no right to.";
    bad_requests "Requests for pages that could not be read in time or at all.";
    pages_served "Pages of books and members served.";
    questions_answered "Questions of peers answered or refused.";
    books_taken "Peers' live offers taken up.";
    member_pages_taken "Pages of members taken up.";
    members_refused "Documents of members, told by others, that were not taken up.";
    bad_pages "Pages of books and members received that were refused.";
    notices_published "Notices published.";
    notices_unpublished "Notices that could not be published.";
    notices_accepted "Gossiped notices accepted.";
    notices_ignored "Gossiped notices ignored.";
    notices_rejected "Gossiped notices rejected.";
    notices_limited "Gossiped notices dropped over the rate.";
    slow_peers "Times that a peer was too slow for gossip.";
    records_stored "Directory records stored for others.";
    records_refused "Directory records refused.";
    peers_limited "Times that a peer's notices were cut off for misbehaviour.";
    peers_blocked "Times that a peer was blocked.";
}

/// A counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn one(&self) {
        self.add(1);
    }
}
