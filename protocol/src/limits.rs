//! Every bound of the protocol, in one place.
//!
//! A queue, map, vector or retry without a constant here does not exist. Relations between
//! constants are asserted at compile time. Sizes are bytes, lives are milliseconds.

/// Longest domain name, in bytes of its text form.
pub const DOMAIN_BYTES: usize = 64;
/// Longest local part of a holder name (`alice` in `alice@bank-a.example`).
pub const HOLDER_LOCAL_BYTES: usize = 64;
/// Longest asset code.
pub const ASSET_CODE_BYTES: usize = 12;
/// Longest free text a record may carry (a refusal's detail, a label).
pub const DETAIL_BYTES: usize = 240;
/// Longest sealed payload (travel rule, memo) inside an order or agreement.
pub const SEALED_BYTES: usize = 16 * 1024;

/// Largest canonical form of one log record other than a received feed page.
pub const RECORD_BYTES: usize = 64 * 1024;
/// Largest feed frame on the wire.
pub const FRAME_BYTES: usize = 1024 * 1024;
/// Largest gossip message.
pub const GOSSIP_BYTES: usize = 16 * 1024;
/// Largest Kademlia record.
pub const DIRECTORY_RECORD_BYTES: usize = 8 * 1024;
/// Largest signed order.
pub const ORDER_BYTES: usize = 32 * 1024;
/// Largest snapshot a validator restores (a sanity bound, not a working set).
pub const SNAPSHOT_BYTES: usize = 64 * 1024 * 1024 * 1024;

/// Records in one batch, feed pages included.
pub const BATCH_RECORDS: usize = 16 * 1024;
/// Depth of the Merkle tree over the largest batch.
pub const MERKLE_DEPTH: usize = 14;
/// Records after which a batch takes no further input. What one input makes fits in the rest.
pub const BATCH_FULL: usize = BATCH_RECORDS / 2;
/// Peers that hear of our own key rotation from us: each takes a page of the batch.
pub const ROTATION_LISTENERS: usize = BATCH_RECORDS / 4;
/// Statements on one feed page; a batch may hold several pages for one peer.
pub const PAGE_ITEMS: usize = 512;
/// Bytes of statements on one feed page, so that its frame fits.
pub const PAGE_BYTES: usize = 512 * 1024;
/// Hashes in the multi-proof of one page: at most one path per item.
pub const PAGE_PROOF_HASHES: usize = (PAGE_ITEMS + 1) * MERKLE_DEPTH;

/// Largest public key (suite byte, Ed25519 and ML-DSA-65 halves).
pub const PUBLIC_KEY_BYTES: usize = 4 * 1024;
/// Largest signature (suite byte, Ed25519 and ML-DSA-65 halves).
pub const SIGNATURE_BYTES: usize = 8 * 1024;
/// Largest sealing public key (X25519 and ML-KEM-768 halves).
pub const SEALING_KEY_BYTES: usize = 2 * 1024;

/// Parties of one agreement.
pub const AGREEMENT_PARTIES: usize = 8;
/// Legs of one agreement.
pub const AGREEMENT_LEGS: usize = 16;
/// Entries one transaction may touch (both ends of every leg, at most).
pub const TRANSACTION_ENTRIES: usize = 2 * AGREEMENT_LEGS;
/// Movements inside one entry.
pub const ENTRY_MOVEMENTS: usize = 2 * AGREEMENT_LEGS;
/// Contra postings of one transaction.
pub const TRANSACTION_CONTRAS: usize = 2 * AGREEMENT_LEGS;
/// Legs of one payment, from ledger to ledger.
pub const ROUTE_HOPS: usize = AGREEMENT_PARTIES - 1;
/// Routes that a bank tries for one payment, one after the other.
pub const PAYMENT_ROUTES: usize = 8;

/// Open settlements shared with one peer.
pub const OPEN_SETTLEMENTS_PER_PEER: usize = 4096;
/// Tombstones that one peer's questions may keep here.
pub const TOMBSTONES_PER_ASKER: usize = 1024;
/// Settlements for whose decision the log is searched at one time.
pub const DECISION_SEARCHES: usize = 1024;
/// Takes waiting in one offer's selection window.
pub const TAKES_PER_OFFER: usize = 256;
/// Allowed counterparties an offer may name.
pub const OFFER_COUNTERPARTIES: usize = 32;
/// Remote offers one validator keeps, over all peers.
pub const REMOTE_OFFERS: usize = 65_536;
/// Remote offers one peer may have in our book.
pub const REMOTE_OFFERS_PER_PEER: usize = 8_192;
/// Closed offers of one peer remembered so that a late notice cannot bring them back.
pub const CLOSED_OFFERS_PER_PEER: usize = REMOTE_OFFERS_PER_PEER;
/// Closed offers remembered over all peers.
pub const CLOSED_OFFERS: usize = REMOTE_OFFERS;
/// Live offers of our own.
pub const LIVE_OFFERS: usize = 262_144;
/// Assets a ledger's parameters may name.
pub const LEDGER_ASSETS: usize = 32;
/// Backup validators a ledger may name.
pub const LEDGER_BACKUPS: usize = 8;
/// Peers that an attestation of an asset may name.
pub const ATTESTED_PEERS: usize = 512;
/// Nonces behind the highest one that may still be used, per ledger.
pub const NONCE_WINDOW: u64 = 64;
/// Documents that an asset's profile may name.
pub const ASSET_DOCUMENTS: usize = 8;
/// Jurisdictions, and domains, that an asset's profile may name.
pub const ASSET_PERMISSIONS: usize = 32;
/// Named issues that an asset remembers, to answer a repetition.
pub const NAMED_ISSUES: usize = 1024;
/// Recent orders whose outcome a ledger remembers, to answer a repetition.
pub const RECENT_ORDERS: usize = 8;
/// Members (domains with a certificate) one validator knows.
pub const MEMBERS: usize = 65_536;
/// Keys (epochs) one domain may have had.
pub const KEY_EPOCHS: usize = 64;
/// Roles a certificate may carry.
pub const CERTIFICATE_ROLES: usize = 8;
/// Endorsements of a self-signed certificate.
pub const ENDORSEMENTS: usize = 16;
/// Largest certificate, without signatures.
pub const CERTIFICATE_BYTES: usize = 8 * 1024;
/// Largest certificate with its signature and endorsements.
pub const SIGNED_CERTIFICATE_BYTES: usize = 62 * 1024;
/// Largest key rotation, without signatures.
pub const ROTATION_BYTES: usize = 8 * 1024;
/// Largest key rotation with its two signatures.
pub const SIGNED_ROTATION_BYTES: usize = ROTATION_BYTES + 3 * SIGNATURE_BYTES;
/// Largest revocation, without its signature.
pub const REVOCATION_BYTES: usize = 1024;
/// Largest revocation with its signature.
pub const SIGNED_REVOCATION_BYTES: usize = REVOCATION_BYTES + 2 * SIGNATURE_BYTES;
/// Authority keys one validator trusts, over all authorities.
pub const AUTHORITY_KEYS: usize = 16;
/// Domains whose endorsements one validator counts.
pub const ENDORSERS: usize = 64;
/// Addresses a gateway record may carry.
pub const GATEWAY_ADDRESSES: usize = 16;
/// Longest network address, in bytes of its text form.
pub const ADDRESS_BYTES: usize = 256;
/// Assets a gateway record may say its domain deals in.
pub const GATEWAY_SERVICES: usize = 32;
/// Correspondents a gateway record may name: as many as a service has bits for them.
pub const GATEWAY_CORRESPONDENTS: usize = u64::BITS as usize;
/// Offers of one pair that paths are looked for over: the best.
pub const PATH_OFFERS: usize = 32;
/// Steps that one search for paths considers.
pub const PATH_LABELS: usize = 200_000;
/// Ways on from one place that a search keeps in each round: the cheapest.
pub const PATH_LABELS_PER_PLACE: usize = 32;
/// Largest gateway record without its signature: what it names is cut to fit.
pub const GATEWAY_RECORD_BYTES: usize = DIRECTORY_RECORD_BYTES - 3_584;
/// Parts (`/name` or `/name/value`) of one network address.
pub const ADDRESS_PARTS: usize = 16;
/// Evidence carried inside one Reveal or Decided.
pub const BUNDLE_EVIDENCE: usize = AGREEMENT_PARTIES;
/// Evidence inside the statements of one page.
pub const FRAME_LOCKS: usize = PAGE_ITEMS * BUNDLE_EVIDENCE;
/// Checkpoints of one peer kept to notice equivocation.
pub const CHECKPOINT_WINDOW: usize = 16;
/// Feed pages sent to one peer and not yet acknowledged.
pub const UNACKNOWLEDGED_PAGES: usize = 65_536;
/// Missing own statements gathered in recovery.
pub const RECOVERED_RECORDS: usize = 1_048_576;

/// Longest memo.
pub const MEMO_BYTES: usize = 1024;
/// Largest payload before it is sealed: memo, identities and salt.
pub const PAYLOAD_BYTES: usize = 14 * 1024;
/// Largest set of personal data of one holder.
pub const IDENTITY_BYTES: usize = 8 * 1024;
/// Persons on either side of a payment, in travel rule data.
pub const TRAVEL_PERSONS: usize = 4;
/// Names, addresses and account numbers of one person, in travel rule data.
pub const TRAVEL_ITEMS: usize = 4;
/// Lines of one address.
pub const ADDRESS_LINES: usize = 7;
/// Largest answer about a name, without its signature.
pub const NAME_BYTES: usize = 8 * 1024;
/// Largest answer about a name with its signature.
pub const SIGNED_NAME_BYTES: usize = NAME_BYTES + SIGNATURE_BYTES + 64;
/// Answers about names that are remembered.
pub const NAMES_CACHED: usize = 4096;

/// Longest life of an answer about a name.
pub const NAME_LIFE_MAX_MS: u64 = 24 * 60 * 60 * 1000;
/// How far ahead of ours the clock of a bank that answers may be.
pub const NAME_AHEAD_MS: u64 = 60_000;
/// Longest life of an order.
pub const ORDER_LIFE_MS: u64 = 24 * 60 * 60 * 1000;
/// Life of a settlement when its terms name none: the decider refunds after it.
pub const SETTLEMENT_LIFE_MS: u64 = 30_000;
/// No Reveal is written when less than this is left of a settlement's life.
pub const REVEAL_MARGIN_MS: u64 = 10_000;
/// Longest life of a settlement a party locks for.
pub const SETTLEMENT_LIFE_MAX_MS: u64 = 10 * 60 * 1000;
/// First wait before a waiting party asks the decider.
pub const QUERY_FIRST_MS: u64 = 5_000;
/// Longest wait between two queries.
pub const QUERY_MAX_MS: u64 = 5 * 60 * 1000;
/// Longest life of a received offer notice: an order's, and what two honest clocks may differ.
pub const NOTICE_LIFE_MAX_MS: u64 = ORDER_LIFE_MS + 60_000;
/// First wait before a peer that has not acknowledged everything is asked where it stands.
pub const PROBE_FIRST_MS: u64 = 2_000;
/// Longest wait between two such questions.
pub const PROBE_MAX_MS: u64 = 60_000;
/// After something was booked with a peer, the wait before it is told our position.
pub const POSITION_WAIT_MS: u64 = 2_000;
/// How often a peer is told our position although nothing was booked.
pub const POSITION_REPEAT_MS: u64 = 10 * 60 * 1000;
/// Obligations that a search for cycles looks at.
pub const NETTING_OBLIGATIONS: usize = 16 * 1024;
/// Steps of one search for a cycle.
pub const NETTING_STEPS: usize = 200_000;
/// Cycles that one search proposes.
pub const NETTING_CYCLES: usize = 64;
/// Longest selection window of an offer.
pub const SELECTION_WINDOW_MAX_MS: u64 = 60_000;

const _: () = assert!(POSITION_WAIT_MS < POSITION_REPEAT_MS);
const _: () = assert!(REVEAL_MARGIN_MS < SETTLEMENT_LIFE_MS);
const _: () = assert!(SETTLEMENT_LIFE_MS <= SETTLEMENT_LIFE_MAX_MS);
const _: () = assert!(SETTLEMENT_LIFE_MAX_MS <= ORDER_LIFE_MS);
const _: () = assert!(QUERY_FIRST_MS <= QUERY_MAX_MS);
const _: () = assert!(1 << MERKLE_DEPTH == BATCH_RECORDS);
const _: () = assert!(PAGE_BYTES + RECORD_BYTES + PAGE_PROOF_HASHES * 32 < FRAME_BYTES);
// The reactions to one full page: at most eight records each, and a page for each other party.
const _: () = assert!(BATCH_FULL + (8 + AGREEMENT_PARTIES - 1) * PAGE_ITEMS < BATCH_RECORDS);
const _: () = assert!(ORDER_BYTES < RECORD_BYTES);
const _: () = assert!(IDENTITY_BYTES < PAYLOAD_BYTES && PAYLOAD_BYTES < SEALED_BYTES);
const _: () = assert!(SIGNATURE_BYTES * BUNDLE_EVIDENCE <= RECORD_BYTES);
const _: () = assert!(PUBLIC_KEY_BYTES + SEALING_KEY_BYTES < CERTIFICATE_BYTES);
const _: () = assert!(PUBLIC_KEY_BYTES + SEALING_KEY_BYTES < ROTATION_BYTES);
const _: () = assert!(CERTIFICATE_BYTES < SIGNED_CERTIFICATE_BYTES);
const _: () = assert!(SIGNED_CERTIFICATE_BYTES < RECORD_BYTES);
const _: () = assert!(SIGNED_ROTATION_BYTES < RECORD_BYTES);
const _: () = assert!(SIGNED_REVOCATION_BYTES < RECORD_BYTES);
const _: () = assert!(GATEWAY_ADDRESSES * (ADDRESS_BYTES + 8) < GATEWAY_RECORD_BYTES);
const _: () = assert!(TRANSACTION_ENTRIES >= AGREEMENT_LEGS);
const _: () = assert!(REMOTE_OFFERS_PER_PEER <= REMOTE_OFFERS);
const _: () = assert!(CLOSED_OFFERS_PER_PEER <= CLOSED_OFFERS);
const _: () = assert!(TOMBSTONES_PER_ASKER <= OPEN_SETTLEMENTS_PER_PEER);
const _: () = assert!(LIVE_OFFERS <= u32::MAX as usize);
const _: () = assert!(SELECTION_WINDOW_MAX_MS <= ORDER_LIFE_MS);
