//! Which keys and tiers this bank grants its customers.
//!
//! Invariant: it judges what comes in now. A key that a ledger has from before goes on to count,
//! so that a bank can leave a suite while its customers change their keys.

use quadrille_protocol::crypto::suite::{PublicKey, Suite};
use quadrille_protocol::error::Refusal;
use quadrille_protocol::ledger::opening::Rules;
use quadrille_protocol::ledger::order::Action;
use quadrille_protocol::ledger::{Opening, Replacement};
use quadrille_protocol::refuse;

/// What the bank grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderPolicy {
    /// Suites that a customer's key may have.
    pub suites: Vec<Suite>,
    /// The highest KYC tier.
    pub highest_tier: u8,
}

impl HolderPolicy {
    /// Everything there is.
    #[must_use]
    pub fn any() -> Self {
        Self { suites: Suite::ALL.to_vec(), highest_tier: u8::MAX }
    }

    /// Checks an opening's keys and tier.
    ///
    /// # Errors
    /// `Q-1107` and `Q-2128`.
    pub fn check_opening(&self, opening: &Opening) -> Result<(), Refusal> {
        if opening.tier > self.highest_tier {
            refuse!(TierTooHigh, "tier {}, at most {}", opening.tier, self.highest_tier);
        }
        self.check_key(&opening.key)?;
        self.check_rules(&opening.rules)
    }

    /// Checks the keys that an order would give its ledger.
    ///
    /// # Errors
    /// `Q-1107`.
    pub fn check_action(&self, action: &Action) -> Result<(), Refusal> {
        match action {
            Action::RotateKey { key } => self.check_key(key),
            Action::Amend(rules) => self.check_rules(rules),
            Action::Pay(_)
            | Action::Offer(_)
            | Action::Take { .. }
            | Action::Cancel { .. }
            | Action::Redeem { .. }
            | Action::Close => Ok(()),
        }
    }

    /// Checks the keys that a ledger would get for a lost one.
    ///
    /// # Errors
    /// `Q-1107`.
    pub fn check_replacement(&self, replacement: &Replacement) -> Result<(), Refusal> {
        self.check_key(&replacement.key)?;
        replacement.second_key.as_ref().map_or(Ok(()), |key| self.check_key(key))
    }

    fn check_rules(&self, rules: &Rules) -> Result<(), Refusal> {
        rules.second_key.as_ref().map_or(Ok(()), |key| self.check_key(key))
    }

    fn check_key(&self, key: &PublicKey) -> Result<(), Refusal> {
        let suite = key.suite();
        if !self.suites.contains(&suite) {
            refuse!(SuiteNotAllowed, "{suite} for a holder of this bank");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use quadrille_protocol::crypto::suite::SecretKey;
    use quadrille_protocol::error::Code;
    use quadrille_protocol::types::{Country, Hash};

    use super::*;

    fn key(suite: Suite) -> PublicKey {
        SecretKey::generate(suite, &[1; 32]).public().clone()
    }

    fn opening(suite: Suite, second: Option<Suite>, tier: u8) -> Opening {
        Opening {
            network: "demo".parse().unwrap(),
            holder: "alice@bank-a.example".parse().unwrap(),
            number: 0,
            key: key(suite),
            tier,
            jurisdiction: Country::UNKNOWN,
            identity: Hash::ZERO,
            rules: Rules { second_key: second.map(key), ..Rules::default() },
        }
    }

    #[test]
    fn only_the_suites_and_tiers_of_the_configuration_are_granted() {
        let (good, bad) = (Suite::HybridMlDsa65, Suite::Ed25519);
        let policy = HolderPolicy { suites: vec![good], highest_tier: 2 };
        let cases = [
            (opening(good, Some(good), 2), None),
            (opening(good, None, 3), Some(Code::TierTooHigh)),
            (opening(bad, None, 0), Some(Code::SuiteNotAllowed)),
            (opening(good, Some(bad), 0), Some(Code::SuiteNotAllowed)),
        ];
        for (opening, refused) in cases {
            let verdict = policy.check_opening(&opening).err().map(|refusal| refusal.code);
            assert_eq!(verdict, refused, "{opening:?}");
            assert_eq!(HolderPolicy::any().check_opening(&opening), Ok(()));
        }
        let rotate = |suite| policy.check_action(&Action::RotateKey { key: key(suite) });
        assert_eq!(rotate(good), Ok(()));
        assert_eq!(rotate(bad).unwrap_err().code, Code::SuiteNotAllowed);
        assert_eq!(policy.check_action(&Action::Close), Ok(()));
    }
}
