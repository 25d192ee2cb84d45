//! Who is who: certificates, the directory of members, their keys and their gateways.
//!
//! ```text
//!  authority signs, or the      Certificate ---verify_certificate----> Directory::admit
//!  domain and its endorsers
//!  old key and new key sign     Rotation ------verify_rotation-------> Directory::rotate
//!  authority or domain signs    Revocation ----verify_revocation-----> Directory::revoke
//!  domain signs                 GatewayRecord -verify_gateway_record-> the mesh
//! ```
//!
//! Invariants:
//! * A `Verified…` value comes from its verification and from nowhere else: it has no public
//!   field and cannot be decoded.
//! * What is signed is kept and passed on as the bytes that were received.
//! * Whether a key counts for a statement depends on the statement's epoch and height, never on
//!   a clock. Clocks are read only to admit certificates, gateways and new business.
//! * The keys of authorities and of pinned endorsers come from the operator's [`Anchors`];
//!   nothing that arrives over the network adds to them.

mod address;
mod anchors;
mod certificate;
mod directory;
mod gateway;
mod lei;
mod revocation;
mod rotation;

pub use address::{Address, GatewayPeer};
pub use anchors::{Anchors, AuthorityKey, Endorser, PinnedKey, SuitePolicy};
pub use certificate::{
    Certificate, Endorsement, Issuer, Role, SignedCertificate, VerifiedCertificate,
};
pub use directory::{Change, Directory, KeyRecord, Member, Origin, Revoked};
pub use gateway::{Dealing, GatewayRecord, Service, SignedGatewayRecord, VerifiedGatewayRecord};
pub use lei::Lei;
pub use revocation::{Revocation, RevocationReason, SignedRevocation, VerifiedRevocation};
pub use rotation::{Rotation, SignedRotation, VerifiedRotation};

#[cfg(test)]
mod tests;
