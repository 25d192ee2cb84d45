//! What goes over a session's stream: one kind byte, a length, the payload.

/// One thing sent to a peer over its session, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wire {
    /// A page of our feed: canonical bytes of a `Frame`.
    Frame(bytes::Bytes),
    /// A page of the peer's own feed, given back: canonical bytes of a `Frame`.
    Returned(bytes::Bytes),
    /// Canonical bytes of a `Message` that binds nobody.
    Message(bytes::Bytes),
    /// Canonical bytes of the `Evidence` of a decision, in answer to a query.
    Shown(bytes::Bytes),
    /// Canonical bytes of a `Bundle` of notices that are for named domains only.
    Notices(bytes::Bytes),
}
