//! How often something may happen, per member and over all: token buckets.

use std::collections::BTreeMap;
use std::time::Instant;

use quadrille_protocol::types::Domain;

use super::config::Rate;

/// One bucket.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    rate: Rate,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn full(rate: Rate) -> Self {
        Self { rate, tokens: f64::from(rate.burst), at: Instant::now() }
    }

    /// Takes one, when there is one.
    pub fn take(&mut self) -> bool {
        let rate = self.rate;
        let now = Instant::now();
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        let gained = seconds * f64::from(rate.each) / rate.period.as_secs_f64().max(0.001);
        self.tokens = (self.tokens + gained).min(f64::from(rate.burst));
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

/// Who was over the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// This member.
    Member,
    /// All together.
    All,
}

/// A bucket for each member and one over all. As many buckets as members that came by.
#[derive(Debug)]
pub struct Buckets {
    each: Rate,
    members: BTreeMap<Domain, Bucket>,
    together: Bucket,
}

impl Buckets {
    /// Full buckets.
    pub fn new(each: Rate, all: Rate) -> Self {
        Self { each, members: BTreeMap::new(), together: Bucket::full(all) }
    }

    /// Takes one for `domain`.
    ///
    /// # Errors
    /// Who is over the rate. A member over its own takes nothing from the others.
    pub fn take(&mut self, domain: &Domain) -> Result<(), Over> {
        let each = self.each;
        let bucket = self.members.entry(domain.clone()).or_insert_with(|| Bucket::full(each));
        if !bucket.take() {
            return Err(Over::Member);
        }
        if !self.together.take() {
            return Err(Over::All);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn rate(burst: u32) -> Rate {
        Rate { burst, each: 1, period: Duration::from_secs(3600) }
    }

    #[test]
    fn a_member_over_its_rate_takes_nothing_from_the_others() {
        let (a, b): (Domain, Domain) = ("a.example".parse().unwrap(), "b.example".parse().unwrap());
        let mut buckets = Buckets::new(rate(3), rate(5));
        for _ in 0..3 {
            assert_eq!(buckets.take(&a), Ok(()));
        }
        for _ in 0..10 {
            assert_eq!(buckets.take(&a), Err(Over::Member));
        }
        assert_eq!(buckets.take(&b), Ok(()));
        assert_eq!(buckets.take(&b), Ok(()));
        assert_eq!(buckets.take(&b), Err(Over::All));
    }

    #[test]
    fn what_was_taken_comes_back_with_time() {
        let a: Domain = "a.example".parse().unwrap();
        let quick = Rate { burst: 1, each: 1000, period: Duration::from_secs(1) };
        let mut buckets = Buckets::new(quick, rate(1000));
        assert_eq!(buckets.take(&a), Ok(()));
        let deadline = Instant::now() + Duration::from_secs(10);
        while buckets.take(&a).is_err() {
            assert!(Instant::now() < deadline);
        }
    }
}
