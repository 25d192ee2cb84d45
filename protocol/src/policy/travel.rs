//! The travel rule: from an amount on that is set per asset, a payment says who pays whom.
//!
//! The same checks run at the payer's bank, before anything is set aside, and at the payee's
//! bank, before it locks. Data that came although none were wanted must be well formed too.

use super::ivms101::{
    Beneficiary, BeneficiaryVasp, Items, Ivms101, LegalName, LegalNameIdentifier, LegalNameType,
    LegalPerson, NationalIdType, NationalIdentification, OriginatingVasp, Originator, Person,
};
use super::payload::Payload;
use crate::error::Refusal;
use crate::identity::Lei;
use crate::refuse;
use crate::types::{Amount, Bounded, Domain, Text, Time, Ubi};

/// Whether a payment of `amount` must say who pays whom: it reaches the threshold.
#[must_use]
pub fn required(amount: Amount, threshold: Option<Amount>) -> bool {
    threshold.is_some_and(|threshold| amount >= threshold && !amount.is_zero())
}

/// What is known of a payment whose data are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paid<'a> {
    /// How much arrives.
    pub amount: Amount,
    /// The threshold for the asset, if there is one.
    pub threshold: Option<Amount>,
    /// The ledger that receives.
    pub to: &'a Ubi,
    /// Now.
    pub now: Time,
}

/// Checks what came with a payment.
///
/// # Errors
/// `Q-2606` none although they are asked for; `Q-1703` with the missing field; `Q-1704` with the bad one; `Q-1705` when the data name
/// another account than the one that receives.
pub fn check(payload: Option<&Payload>, paid: &Paid<'_>) -> Result<(), Refusal> {
    let Some(data) = payload.and_then(|payload| payload.travel.as_deref()) else {
        if required(paid.amount, paid.threshold) {
            let from = paid.threshold.unwrap_or(Amount::ZERO);
            refuse!(TravelDataMissing, "originator, beneficiary: asked for from {from} on");
        }
        return Ok(());
    };
    data.check(paid.now)?;
    let to = paid.to.to_string();
    let accounts = data.beneficiary.as_ref().map(|beneficiary| &beneficiary.account_number);
    if !accounts.is_some_and(|accounts| accounts.iter().any(|account| account.as_str() == to)) {
        refuse!(TravelFieldForeign, "beneficiary.accountNumber: does not name {to}");
    }
    Ok(())
}

/// One side of a payment, as its bank knows it.
#[derive(Debug, Clone)]
pub struct Side<'a> {
    /// The person.
    pub person: &'a Person,
    /// The ledger.
    pub account: Ubi,
    /// The bank.
    pub bank: &'a Domain,
    /// The bank's legal entity identifier, if its certificate names one.
    pub lei: Option<Lei>,
}

/// The data of a payment from one side to the other.
///
/// # Errors
/// None in practice: a domain's name and a ledger's fit where they are put.
pub fn compose(originator: &Side<'_>, beneficiary: &Side<'_>) -> Result<Ivms101, Refusal> {
    Ok(Ivms101 {
        originator: Some(Originator {
            originator_persons: Bounded::new(vec![originator.person.clone()])?,
            account_number: account(originator.account)?,
        }),
        beneficiary: Some(Beneficiary {
            beneficiary_persons: Bounded::new(vec![beneficiary.person.clone()])?,
            account_number: account(beneficiary.account)?,
        }),
        originating_vasp: Some(OriginatingVasp {
            originating_vasp: bank(originator.bank, originator.lei)?,
        }),
        beneficiary_vasp: Some(BeneficiaryVasp {
            beneficiary_vasp: bank(beneficiary.bank, beneficiary.lei)?,
        }),
    })
}

fn account(ledger: Ubi) -> Result<Items<Text<100>>, Refusal> {
    Bounded::new(vec![ledger.to_string().parse()?])
}

fn bank(domain: &Domain, lei: Option<Lei>) -> Result<Person, Refusal> {
    let name = LegalNameIdentifier {
        legal_person_name: domain.as_str().parse()?,
        legal_person_name_identifier_type: LegalNameType::Legal,
    };
    let national_identification = match lei {
        None => None,
        Some(lei) => Some(NationalIdentification {
            national_identifier: lei.as_str().parse()?,
            national_identifier_type: NationalIdType::Lei,
            country_of_issue: None,
            registration_authority: None,
        }),
    };
    Ok(Person::LegalPerson(LegalPerson {
        name: LegalName { name_identifier: Bounded::new(vec![name])?, ..LegalName::default() },
        geographic_address: Bounded::default(),
        customer_number: None,
        national_identification,
        country_of_registration: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::policy::ivms101::{Birth, NaturalPerson};
    use crate::policy::ivms101::{Date, NaturalName, NaturalNameIdentifier, NaturalNameType};

    const NOW: Time = Time(1_790_000_000_000);

    fn person() -> Person {
        let name = NaturalNameIdentifier {
            primary_identifier: "Jones".parse().unwrap(),
            secondary_identifier: None,
            name_identifier_type: NaturalNameType::Legal,
        };
        Person::NaturalPerson(NaturalPerson {
            name: NaturalName {
                name_identifier: Bounded::new(vec![name]).unwrap(),
                ..NaturalName::default()
            },
            geographic_address: Bounded::default(),
            national_identification: None,
            customer_identification: None,
            date_and_place_of_birth: Some(Birth {
                date_of_birth: Date::of(Time(0)),
                place_of_birth: "Ulm".parse().unwrap(),
            }),
            country_of_residence: None,
        })
    }

    fn payload(to: u8) -> Payload {
        let (person, a, b) =
            (person(), "bank-a.example".parse().unwrap(), "bank-b.example".parse().unwrap());
        let lei = Some("5493001KJTIIGC8Y1R12".parse().unwrap());
        let side = |number, bank| Side { person: &person, account: Ubi([number; 32]), bank, lei };
        let data = compose(&side(1, &a), &side(to, &b)).unwrap();
        Payload { salt: [0; 32], memo: Text::default(), travel: Some(Box::new(data)) }
    }

    fn paid(amount: u128, threshold: Option<u128>, to: &Ubi) -> Paid<'_> {
        Paid { amount: Amount::new(amount), threshold: threshold.map(Amount::new), to, now: NOW }
    }

    #[test]
    fn data_are_wanted_from_the_threshold_on() {
        let to = Ubi([2; 32]);
        assert_eq!(check(None, &paid(1_000, None, &to)), Ok(()));
        assert_eq!(check(None, &paid(999, Some(1_000), &to)), Ok(()));
        let refusal = check(None, &paid(1_000, Some(1_000), &to)).unwrap_err();
        assert_eq!(refusal.code, Code::TravelDataMissing);
        assert_eq!(check(Some(&payload(2)), &paid(1_001, Some(1_000), &to)), Ok(()));
        let bare = Payload { travel: None, ..payload(2) };
        let refusal = check(Some(&bare), &paid(1, Some(0), &to)).unwrap_err();
        assert_eq!(refusal.code, Code::TravelDataMissing);
    }

    #[test]
    fn data_that_were_not_wanted_must_be_good_too() {
        let to = Ubi([2; 32]);
        let refusal = check(Some(&payload(3)), &paid(1, None, &to)).unwrap_err();
        assert_eq!(refusal.code, Code::TravelFieldForeign);
        assert!(refusal.what.starts_with("beneficiary.accountNumber: "));
        let mut broken = payload(2);
        if let Some(data) = broken.travel.as_mut() {
            data.beneficiary = None;
        }
        let refusal = check(Some(&broken), &paid(1, None, &to)).unwrap_err();
        assert_eq!(refusal.code, Code::TravelFieldMissing);
    }
}
