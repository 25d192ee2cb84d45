//! Every figure that a run can give, under its key, with its unit and what is aimed at.
//!
//! Invariant: a figure that is not here cannot be written, and each one here is in every report:
//! as a number, or as `null` with the reason beside it.

use self::Part::{Floor, Gossip, Paths, Payments, Postgres, Restart, Scale, Trades};

/// A part of the benchmark, measured on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Part {
    /// What the machine's signatures, disk and loopback take.
    Floor,
    /// Trades between two banks' processes.
    Trades,
    /// The same money movement as a two-phase commit over two PostgreSQL clusters.
    Postgres,
    /// Payments between customers of one bank.
    Payments,
    /// Payments over three and five banks.
    Paths,
    /// How offers spread over 32 banks.
    Gossip,
    /// Starting a bank again with a long log.
    Restart,
    /// Trades beside many idle ledgers, and several pairs at once.
    Scale,
}

impl Part {
    /// All parts, in the order in which they run.
    pub const ALL: [Self; 8] = [
        Self::Floor,
        Self::Postgres,
        Self::Trades,
        Self::Payments,
        Self::Paths,
        Self::Gossip,
        Self::Restart,
        Self::Scale,
    ];

    /// Its name on the command line and in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Trades => "trades",
            Self::Postgres => "postgres",
            Self::Payments => "payments",
            Self::Paths => "paths",
            Self::Gossip => "gossip",
            Self::Restart => "restart",
            Self::Scale => "scale",
        }
    }
}

/// What is aimed at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aim {
    /// This much or more.
    AtLeast(f64),
    /// This much or less.
    AtMost(f64),
}

/// A figure.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its key; each dot opens an object of the JSON report.
    pub name: &'static str,
    /// The unit of its value.
    pub unit: &'static str,
    /// What is aimed at, if anything was promised.
    pub aim: Option<Aim>,
    /// The part that measures it.
    pub part: Part,
    /// What it is.
    pub what: &'static str,
}

const fn key(part: Part, name: &'static str, unit: &'static str, what: &'static str) -> Key {
    Key { name, unit, aim: None, part, what }
}

const fn least(mut key: Key, aim: f64) -> Key {
    key.aim = Some(Aim::AtLeast(aim));
    key
}

const fn most(mut key: Key, aim: f64) -> Key {
    key.aim = Some(Aim::AtMost(aim));
    key
}

/// Every figure.
pub const KEYS: &[Key] = &[
    least(key(Trades, "trades_per_s.suite3", "1/s", "trades, 256 in flight, holders Ed25519"), 8e3),
    least(key(Trades, "trades_per_s.suite1", "1/s", "trades, 256 in flight, holders hybrid"), 5e3),
    key(Trades, "trades_per_s_16.suite3", "1/s", "the same, 16 in flight"),
    key(Trades, "trades_per_s_16.suite1", "1/s", "the same, 16 in flight"),
    key(Trades, "trades_per_s_1.suite3", "1/s", "the same, one after the other"),
    key(Trades, "trades_per_s_1.suite1", "1/s", "the same, one after the other"),
    most(key(Trades, "trade_latency_ms.idle_p50", "ms", "a trade on idle banks, suite 3"), 12.0),
    key(Trades, "trade_latency_ms.idle_p99", "ms", "the same, 99 of 100"),
    key(Trades, "trade_latency_ms.half_load_p50", "ms", "open loop at half the top rate, suite 3"),
    most(key(Trades, "trade_latency_ms.half_load_p99", "ms", "the same, 99 of 100"), 60.0),
    key(Trades, "trade_latency_ms.in_flight_256_p99", "ms", "at the top rate, suite 3"),
    key(Trades, "trade_cpu_us.suite3", "us", "processor time of both banks for one trade"),
    key(Trades, "trade_cpu_us.suite1", "us", "the same, holders hybrid"),
    key(Trades, "trade_cpu_us.driver_suite3", "us", "the load driver's share of the same cores"),
    least(
        key(Trades, "ratio_to_signature_floor", "", "trades_per_s.suite3 to its signature floor"),
        0.4,
    ),
    key(Trades, "ratio_to_signature_floor_suite1", "", "the same of suite 1"),
    key(Floor, "floor.trades_per_s.suite3", "1/s", "trades if there were only signatures"),
    key(Floor, "floor.trades_per_s.suite1", "1/s", "the same, holders hybrid"),
    key(Floor, "floor.trade_us.suite3", "us", "signatures of one trade, batches of 256"),
    key(Floor, "floor.trade_us.suite1", "us", "the same, holders hybrid"),
    key(Floor, "floor.trade_alone_us.suite3", "us", "signatures of one trade, batches of its own"),
    key(Floor, "floor.trade_alone_us.suite1", "us", "the same, holders hybrid"),
    key(Floor, "floor.trade_latency_ms", "ms", "steps that one trade waits for, each at its floor"),
    key(Floor, "floor.sign_us.suite3", "us", "one Ed25519 signature"),
    key(Floor, "floor.sign_us.suite1", "us", "one hybrid signature"),
    key(Floor, "floor.verify_us.suite3", "us", "one strict Ed25519 check"),
    key(Floor, "floor.verify_us.suite1", "us", "one hybrid check"),
    key(Floor, "floor.verify_batch_us.suite3", "us", "one of 64 checks handed in together"),
    key(Floor, "floor.verify_batch_us.suite1", "us", "the same, hybrid"),
    key(Floor, "floor.ml_dsa_65_us.sign", "us", "the ML-DSA-65 half of a signature"),
    key(Floor, "floor.ml_dsa_65_us.verify", "us", "the ML-DSA-65 half of a check"),
    key(Floor, "floor.sha256_us.bytes256", "us", "SHA-256 of 256 bytes"),
    key(Floor, "floor.fdatasync_us.kib4", "us", "append and fdatasync of 4 KiB"),
    key(Floor, "floor.fdatasync_us.kib64", "us", "the same of 64 KiB"),
    key(Floor, "floor.fdatasync_us.mib1", "us", "the same of 1 MiB"),
    key(Floor, "floor.loopback_us.kib1", "us", "a 1 KiB TCP round trip over loopback"),
    key(Postgres, "postgres_2pc_per_s", "1/s", "two-phase commits, best number of clients"),
    key(Postgres, "postgres_2pc.best_clients", "", "that number of clients"),
    key(Postgres, "postgres_2pc.clients1_per_s", "1/s", "1 client"),
    key(Postgres, "postgres_2pc.clients4_per_s", "1/s", "4 clients"),
    key(Postgres, "postgres_2pc.clients16_per_s", "1/s", "16 clients"),
    key(Postgres, "postgres_2pc.clients64_per_s", "1/s", "64 clients"),
    key(Postgres, "postgres_2pc.clients1_p50_ms", "ms", "1 client"),
    key(Postgres, "postgres_2pc.best_p50_ms", "ms", "at the best number of clients"),
    key(Postgres, "postgres_2pc.best_p99_ms", "ms", "the same, 99 of 100"),
    least(key(Trades, "ratio_to_postgres_2pc", "", "trades_per_s.suite3 to it"), 4.0),
    least(
        key(Payments, "same_bank_payments_per_s", "1/s", "one bank, 256 in flight, Ed25519"),
        15e3,
    ),
    key(Payments, "same_bank_payments_suite1_per_s", "1/s", "the same, holders hybrid"),
    key(Paths, "path_payments_per_s.parties3", "1/s", "payments over three banks, Ed25519"),
    key(Paths, "path_payments_per_s.parties5", "1/s", "payments over five banks, Ed25519"),
    key(Paths, "path_payment_latency_ms.parties3_p50", "ms", "one at a time"),
    key(Paths, "path_payment_latency_ms.parties5_p50", "ms", "one at a time"),
    most(key(Gossip, "gossip_ms.p95_of_32", "ms", "95 % of 32 banks know an offer: median"), 500.0),
    key(Gossip, "gossip_ms.p95_of_32_worst", "ms", "the slowest offer of the run"),
    key(Gossip, "gossip_ms.first_of_32", "ms", "the first other bank knows it: median"),
    key(Gossip, "gossip_offers_per_s", "1/s", "highest tried rate at which every bank got all"),
    key(Gossip, "gossip_loaded_ms.p95_of_32", "ms", "95 % know an offer, at that rate"),
    most(key(Restart, "restart_s_per_million", "s", "ready after kill -9 with a million"), 10.0),
    key(Restart, "restart_clean_s_per_million", "s", "ready after an orderly stop with a million"),
    key(Restart, "restart_replay_s_per_million", "s", "ready with no snapshot, all replayed"),
    key(Restart, "restart_empty_s", "s", "ready with a log of nothing"),
    key(Restart, "restart.settlements", "", "settlements in the log that was measured"),
    key(Restart, "restart.log_bytes_each", "B", "log bytes of one settlement at one bank"),
    key(Restart, "restart.index_bytes_each", "B", "index bytes of one settlement at one bank"),
    key(Restart, "restart.memory_bytes", "B", "resident memory once it is ready"),
    key(Scale, "scale.trades_per_s.ledgers_1k", "1/s", "trades with 1 thousand idle ledgers"),
    key(Scale, "scale.trades_per_s.ledgers_100k", "1/s", "with 100 thousand"),
    key(Scale, "scale.trades_per_s.ledgers_1m", "1/s", "with 1 million"),
    key(Scale, "scale.trades_per_s.ledgers_10m", "1/s", "with 10 million"),
    most(
        key(Scale, "scale.lower_at_10m_percent", "%", "how much lower than with 1 thousand"),
        20.0,
    ),
    most(
        key(Scale, "memory_bytes_per_idle_ledger", "B", "resident, beyond the first ones"),
        1024.0,
    ),
    key(Scale, "scale.pairs2_per_s", "1/s", "trades of 2 pairs of banks together"),
    key(Scale, "scale.pairs4_per_s", "1/s", "of 4 pairs"),
    key(Scale, "scale.pairs8_per_s", "1/s", "of 8 pairs"),
    key(Scale, "scale.pairs2_per_cpu_s", "1/s", "trades for a second of processor time, 2 pairs"),
    key(Scale, "scale.pairs4_per_cpu_s", "1/s", "the same, 4 pairs"),
    key(Scale, "scale.pairs8_per_cpu_s", "1/s", "the same, 8 pairs"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_key_is_given_twice_or_lies_inside_another_s_number() {
        let names: BTreeSet<&str> = KEYS.iter().map(|key| key.name).collect();
        assert_eq!(names.len(), KEYS.len());
        for name in &names {
            let below = format!("{name}.");
            assert!(names.iter().all(|other| !other.starts_with(&below)), "{name}");
        }
    }

    #[test]
    fn the_keys_that_were_promised_are_there() {
        let promised = [
            "trades_per_s.suite3",
            "trades_per_s.suite1",
            "trade_latency_ms.idle_p50",
            "trade_latency_ms.half_load_p99",
            "postgres_2pc_per_s",
            "ratio_to_postgres_2pc",
            "ratio_to_signature_floor",
            "same_bank_payments_per_s",
            "gossip_ms.p95_of_32",
            "restart_s_per_million",
        ];
        for name in promised {
            assert!(KEYS.iter().any(|key| key.name == name), "{name}");
        }
    }
}
