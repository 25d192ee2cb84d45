//! Identities of natural and legal persons as IVMS101 (interVASP messaging standard) has them.
//!
//! The JSON form has the standard's own field names. The canonical form is for hashing and
//! sealing. [`Ivms101::check`] and [`Person::check`] hold the data against the standard's rules.
//!
//! Invariants: everything has a bound; nothing here is shown by `Debug`; a refusal names the path
//! of the field (`originator.originatorPersons[0].naturalPerson.name.nameIdentifier`) and not
//! what is in it.

mod check;
mod country;
mod fields;
#[cfg(test)]
mod tests;

use std::fmt;

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::types::{Bounded, Country, Text};

pub use fields::{AddressType, Date, LegalNameType, NationalIdType, NaturalNameType};

/// A list in travel rule data.
pub type Items<T> = Bounded<T, { limits::TRAVEL_ITEMS }>;

/// A record that shows nothing of what is in it.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(hidden)"))
            }
        }
    };
}

fn none<T, const MAX: usize>(items: &Bounded<T, MAX>) -> bool {
    items.is_empty()
}

record! {
    /// Travel rule data of one payment.
    Ivms101 {
        /// Who pays.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        originator: Option<Originator>,
        /// Who is paid.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        beneficiary: Option<Beneficiary>,
        /// The payer's bank.
        #[serde(default, rename = "originatingVASP", skip_serializing_if = "Option::is_none")]
        originating_vasp: Option<OriginatingVasp>,
        /// The payee's bank.
        #[serde(default, rename = "beneficiaryVASP", skip_serializing_if = "Option::is_none")]
        beneficiary_vasp: Option<BeneficiaryVasp>,
    }
}

record! {
    /// Who pays.
    Originator {
        /// The persons.
        #[serde(default, skip_serializing_if = "none")]
        originator_persons: Bounded<Person, { limits::TRAVEL_PERSONS }>,
        /// Their accounts: ledgers (`ubi:…`) or holders' names.
        #[serde(default, skip_serializing_if = "none")]
        account_number: Items<Text<100>>,
    }
}

record! {
    /// Who is paid.
    Beneficiary {
        /// The persons.
        #[serde(default, skip_serializing_if = "none")]
        beneficiary_persons: Bounded<Person, { limits::TRAVEL_PERSONS }>,
        /// Their accounts: ledgers (`ubi:…`) or holders' names.
        #[serde(default, skip_serializing_if = "none")]
        account_number: Items<Text<100>>,
    }
}

record! {
    /// The payer's bank.
    OriginatingVasp {
        /// The bank.
        #[serde(rename = "originatingVASP")]
        originating_vasp: Person,
    }
}

record! {
    /// The payee's bank.
    BeneficiaryVasp {
        /// The bank.
        #[serde(rename = "beneficiaryVASP")]
        beneficiary_vasp: Person,
    }
}

/// A natural or a legal person.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Person {
    /// A human being.
    NaturalPerson(NaturalPerson),
    /// A company, an institution.
    LegalPerson(LegalPerson),
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Person(hidden)")
    }
}

record! {
    /// A human being.
    NaturalPerson {
        /// The names.
        #[serde(default)]
        name: NaturalName,
        /// Addresses.
        #[serde(default, skip_serializing_if = "none")]
        geographic_address: Items<Address>,
        /// A number that a state has given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        national_identification: Option<NationalIdentification>,
        /// A number that the bank has given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        customer_identification: Option<Text<50>>,
        /// When and where born.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        date_and_place_of_birth: Option<Birth>,
        /// Where resident.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        country_of_residence: Option<Country>,
    }
}

record! {
    /// The names of a human being.
    #[derive(Default)]
    NaturalName {
        /// In Latin letters.
        #[serde(default, skip_serializing_if = "none")]
        name_identifier: Items<NaturalNameIdentifier>,
        /// In the local script.
        #[serde(default, skip_serializing_if = "none")]
        local_name_identifier: Items<NaturalNameIdentifier>,
        /// As it sounds.
        #[serde(default, skip_serializing_if = "none")]
        phonetic_name_identifier: Items<NaturalNameIdentifier>,
    }
}

record! {
    /// One name of a human being.
    NaturalNameIdentifier {
        /// The family name, or the only one.
        #[serde(default)]
        primary_identifier: Text<100>,
        /// The given names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secondary_identifier: Option<Text<100>>,
        /// What kind of name.
        name_identifier_type: NaturalNameType,
    }
}

record! {
    /// When and where somebody was born.
    Birth {
        /// The day.
        date_of_birth: Date,
        /// The place.
        #[serde(default)]
        place_of_birth: Text<70>,
    }
}

record! {
    /// A company, an institution.
    LegalPerson {
        /// The names.
        #[serde(default)]
        name: LegalName,
        /// Addresses.
        #[serde(default, skip_serializing_if = "none")]
        geographic_address: Items<Address>,
        /// A number that the bank has given.
        #[serde(default, alias = "customerIdentification")]
        #[serde(skip_serializing_if = "Option::is_none")]
        customer_number: Option<Text<50>>,
        /// A registered number, the LEI first of all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        national_identification: Option<NationalIdentification>,
        /// Where registered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        country_of_registration: Option<Country>,
    }
}

record! {
    /// The names of a legal person.
    #[derive(Default)]
    LegalName {
        /// In Latin letters.
        #[serde(default, skip_serializing_if = "none")]
        name_identifier: Items<LegalNameIdentifier>,
        /// In the local script.
        #[serde(default, skip_serializing_if = "none")]
        local_name_identifier: Items<LegalNameIdentifier>,
        /// As it sounds.
        #[serde(default, skip_serializing_if = "none")]
        phonetic_name_identifier: Items<LegalNameIdentifier>,
    }
}

record! {
    /// One name of a legal person.
    LegalNameIdentifier {
        /// The name.
        #[serde(default)]
        legal_person_name: Text<100>,
        /// What kind of name.
        legal_person_name_identifier_type: LegalNameType,
    }
}

record! {
    /// A number that a state or a register has given.
    NationalIdentification {
        /// The number.
        #[serde(default)]
        national_identifier: Text<35>,
        /// What kind of number.
        national_identifier_type: NationalIdType,
        /// The country that gave it, for natural persons.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        country_of_issue: Option<Country>,
        /// The register (`RA` and six digits), for legal persons without an LEI.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        registration_authority: Option<Text<8>>,
    }
}

record! {
    /// An address.
    Address {
        /// What kind of address.
        address_type: AddressType,
        /// A part of an institution.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        department: Option<Text<50>>,
        /// A part of that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sub_department: Option<Text<70>>,
        /// The street.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        street_name: Option<Text<70>>,
        /// The number in the street.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        building_number: Option<Text<16>>,
        /// The building.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        building_name: Option<Text<35>>,
        /// The floor.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        floor: Option<Text<70>>,
        /// The box at the post office.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        post_box: Option<Text<16>>,
        /// The room.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        room: Option<Text<70>>,
        /// The code of the post.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        post_code: Option<Text<16>>,
        /// The town.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        town_name: Option<Text<35>>,
        /// A place in the town.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        town_location_name: Option<Text<35>>,
        /// A district of the country.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        district_name: Option<Text<35>>,
        /// A state or province.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        country_sub_division: Option<Text<35>>,
        /// Free lines, where the parts are not known.
        #[serde(default, skip_serializing_if = "none")]
        address_line: Bounded<Text<70>, { limits::ADDRESS_LINES }>,
        /// The country.
        country: Country,
    }
}
