//! What a node is started with: configuration, keys and papers, checked together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use quadrille_protocol::crypto::hash::PreimageSeed;
use quadrille_protocol::crypto::suite::HybridSignatures;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{Anchors, Directory, SignedCertificate, VerifiedCertificate};
use quadrille_protocol::types::{Domain, Time};
use quadrille_protocol::validator::Settings;
use zeroize::Zeroizing;

use crate::armour::{self, Kind};
use crate::config::{Config, Layout};
use crate::mesh::MeshConfig;
use crate::network_file::NetworkFile;
use crate::signer::{Keys, LocalSigner};

/// How long a stopping node waits for open settlements.
const DRAIN: Duration = Duration::from_secs(10);
