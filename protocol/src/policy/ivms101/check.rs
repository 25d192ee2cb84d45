//! The rules of IVMS101, by the numbers that the standard gives them (C1 to C11).

use super::country::is_known;
use super::{
    Address, AddressType, Beneficiary, Date, Ivms101, LegalNameType, LegalPerson, NationalIdType,
    NationalIdentification, NaturalNameIdentifier, NaturalNameType, NaturalPerson, Originator,
    Person,
};
use crate::error::{Code, Refusal};
use crate::identity::Lei;
use crate::types::{Country, Text, Time};

/// What is wrong with a field. The path grows on the way out.
#[derive(Debug)]
struct Wrong {
    code: Code,
    path: String,
    why: &'static str,
}

type Checked = Result<(), Wrong>;

fn missing(field: &str, why: &'static str) -> Wrong {
    Wrong { code: Code::TravelFieldMissing, path: field.to_owned(), why }
}

fn bad(field: &str, why: &'static str) -> Wrong {
    Wrong { code: Code::TravelFieldBad, path: field.to_owned(), why }
}

impl Wrong {
    fn under(mut self, field: &str) -> Self {
        self.path = match self.path.is_empty() {
            true => field.to_owned(),
            false => format!("{field}.{}", self.path),
        };
        self
    }

    fn at(self, list: &str, index: usize) -> Self {
        self.under(&format!("{list}[{index}]"))
    }
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        Refusal::new(wrong.code, format!("{}: {}", wrong.path, wrong.why))
    }
}

fn each<T>(list: &str, items: &[T], check: impl Fn(&T) -> Checked) -> Checked {
    let checked = |(index, item)| check(item).map_err(|wrong: Wrong| wrong.at(list, index));
    items.iter().enumerate().try_for_each(checked)
}

fn text<const MAX: usize>(field: &str, text: &Text<MAX>) -> Checked {
    match text.as_str().trim().is_empty() {
        true => Err(missing(field, "is empty")),
        false => Ok(()),
    }
}

fn optional<const MAX: usize>(field: &str, value: Option<&Text<MAX>>) -> Checked {
    value.map_or(Ok(()), |value| text(field, value))
}

fn country(field: &str, country: Option<Country>) -> Checked {
    match country.is_none_or(is_known) {
        true => Ok(()),
        false => Err(bad(field, "is not a country of ISO 3166-1 (C3)")),
    }
}

impl Ivms101 {
    /// Holds the data against the standard: who pays and who is paid are named as it wants it.
    ///
    /// # Errors
    /// `Q-1703` and `Q-1704` with the path of the field.
    pub fn check(&self, now: Time) -> Result<(), Refusal> {
        let today = Date::of(now);
        let originator = self
            .originator
            .as_ref()
            .ok_or_else(|| missing("originator", "who pays is not said"))?;
        originator.check(today).map_err(|wrong| wrong.under("originator"))?;
        let beneficiary = self
            .beneficiary
            .as_ref()
            .ok_or_else(|| missing("beneficiary", "who is paid is not said"))?;
        beneficiary.check(today).map_err(|wrong| wrong.under("beneficiary"))?;
        if let Some(bank) = &self.originating_vasp {
            let checked = bank.originating_vasp.check_any(today);
            checked.map_err(|wrong| wrong.under("originatingVASP.originatingVASP"))?;
        }
        if let Some(bank) = &self.beneficiary_vasp {
            let checked = bank.beneficiary_vasp.check_any(today);
            checked.map_err(|wrong| wrong.under("beneficiaryVASP.beneficiaryVASP"))?;
        }
        Ok(())
    }
}

impl Originator {
    fn check(&self, today: Date) -> Checked {
        if self.originator_persons.is_empty() {
            return Err(missing("originatorPersons", "at least one is wanted"));
        }
        let check = |person: &Person| person.check_originator(today);
        each("originatorPersons", &self.originator_persons, check)?;
        accounts(&self.account_number)
    }
}

impl Beneficiary {
    fn check(&self, today: Date) -> Checked {
        if self.beneficiary_persons.is_empty() {
            return Err(missing("beneficiaryPersons", "at least one is wanted"));
        }
        each("beneficiaryPersons", &self.beneficiary_persons, |person| person.check_any(today))?;
        accounts(&self.account_number)
    }
}

fn accounts(accounts: &[Text<100>]) -> Checked {
    if accounts.is_empty() {
        return Err(missing("accountNumber", "at least one is wanted"));
    }
    each("accountNumber", accounts, |account| text("", account))
}

impl Person {
    /// Holds a holder's data against the standard, as of somebody who pays.
    ///
    /// # Errors
    /// `Q-1703` and `Q-1704` with the path of the field.
    pub fn check(&self, now: Time) -> Result<(), Refusal> {
        Ok(self.check_originator(Date::of(now))?)
    }

    /// The country that the data name: of residence or of registration.
    #[must_use]
    pub fn country(&self) -> Option<Country> {
        match self {
            Self::NaturalPerson(person) => person.country_of_residence,
            Self::LegalPerson(person) => person.country_of_registration,
        }
    }

    fn check_any(&self, today: Date) -> Checked {
        match self {
            Self::NaturalPerson(person) => {
                person.check(today).map_err(|wrong| wrong.under("naturalPerson"))
            }
            Self::LegalPerson(person) => person.check().map_err(|wrong| wrong.under("legalPerson")),
        }
    }

    /// As of anybody, and with what makes somebody who pays known beyond doubt (C1, C4).
    fn check_originator(&self, today: Date) -> Checked {
        self.check_any(today)?;
        match self {
            Self::NaturalPerson(person) => {
                let known = !person.geographic_address.is_empty()
                    || person.national_identification.is_some()
                    || person.customer_identification.is_some()
                    || person.date_and_place_of_birth.is_some();
                let why = "an address, a national or customer number, or date and place of \
                           birth is wanted (C1)";
                known.then_some(()).ok_or_else(|| missing("naturalPerson.geographicAddress", why))
            }
            Self::LegalPerson(person) => {
                let known = !person.geographic_address.is_empty()
                    || person.national_identification.is_some()
                    || person.customer_number.is_some();
                let why = "an address, a registered or a customer number is wanted (C4)";
                known
                    .then_some(())
                    .ok_or_else(|| missing("legalPerson.nationalIdentification", why))
            }
        }
    }
}

impl NaturalPerson {
    fn check(&self, today: Date) -> Checked {
        let names = &self.name;
        names_of("nameIdentifier", &names.name_identifier)
            .and_then(|()| names_of("localNameIdentifier", &names.local_name_identifier))
            .and_then(|()| names_of("phoneticNameIdentifier", &names.phonetic_name_identifier))
            .and_then(|()| {
                let legal = |name: &NaturalNameIdentifier| {
                    name.name_identifier_type == NaturalNameType::Legal
                };
                match names.name_identifier.iter().any(legal) {
                    true => Ok(()),
                    false => Err(missing("nameIdentifier", "a LEGL name is wanted (C6)")),
                }
            })
            .map_err(|wrong| wrong.under("name"))?;
        each("geographicAddress", &self.geographic_address, Address::check)?;
        optional("customerIdentification", self.customer_identification.as_ref())?;
        if let Some(number) = &self.national_identification {
            number.check_natural().map_err(|wrong| wrong.under("nationalIdentification"))?;
        }
        if let Some(birth) = &self.date_and_place_of_birth {
            let checked = match birth.date_of_birth >= today {
                true => Err(bad("dateOfBirth", "is not in the past (C2)")),
                false => text("placeOfBirth", &birth.place_of_birth),
            };
            checked.map_err(|wrong| wrong.under("dateAndPlaceOfBirth"))?;
        }
        country("countryOfResidence", self.country_of_residence)
    }
}

fn names_of(list: &str, names: &[NaturalNameIdentifier]) -> Checked {
    each(list, names, |name| {
        text("primaryIdentifier", &name.primary_identifier)?;
        optional("secondaryIdentifier", name.secondary_identifier.as_ref())
    })
}

impl LegalPerson {
    fn check(&self) -> Checked {
        let names = &self.name;
        let lists = [
            ("nameIdentifier", &names.name_identifier),
            ("localNameIdentifier", &names.local_name_identifier),
            ("phoneticNameIdentifier", &names.phonetic_name_identifier),
        ];
        for (list, names) in lists {
            each(list, names, |name| text("legalPersonName", &name.legal_person_name))
                .map_err(|wrong| wrong.under("name"))?;
        }
        let mut kinds =
            names.name_identifier.iter().map(|name| name.legal_person_name_identifier_type);
        if !kinds.any(|kind| kind == LegalNameType::Legal) {
            return Err(missing("name.nameIdentifier", "a LEGL name is wanted (C5)"));
        }
        each("geographicAddress", &self.geographic_address, |address| {
            match address.address_type {
                AddressType::Home => Err(bad("addressType", "a legal person has no HOME")),
                AddressType::Business | AddressType::Geographic => address.check(),
            }
        })?;
        optional("customerNumber", self.customer_number.as_ref())?;
        if let Some(number) = &self.national_identification {
            number.check_legal().map_err(|wrong| wrong.under("nationalIdentification"))?;
        }
        country("countryOfRegistration", self.country_of_registration)
    }
}

impl NationalIdentification {
    fn check_natural(&self) -> Checked {
        text("nationalIdentifier", &self.national_identifier)?;
        match self.national_identifier_type {
            NationalIdType::Lei | NationalIdType::Register => {
                let why = "LEIX and RAID are numbers of legal persons";
                return Err(bad("nationalIdentifierType", why));
            }
            NationalIdType::Alien
            | NationalIdType::Passport
            | NationalIdType::Licence
            | NationalIdType::Investor
            | NationalIdType::Tax
            | NationalIdType::SocialSecurity
            | NationalIdType::IdentityCard
            | NationalIdType::Misc => {}
        }
        if self.registration_authority.is_some() {
            return Err(bad("registrationAuthority", "is for legal persons only (C9)"));
        }
        country("countryOfIssue", self.country_of_issue)
    }

    fn check_legal(&self) -> Checked {
        text("nationalIdentifier", &self.national_identifier)?;
        if self.country_of_issue.is_some() {
            return Err(bad("countryOfIssue", "is for natural persons only (C9)"));
        }
        let authority = self.registration_authority.as_ref().map(Text::as_str);
        match self.national_identifier_type {
            NationalIdType::Lei => {
                if self.national_identifier.as_str().parse::<Lei>().is_err() {
                    let why = "is not an LEI: 20 characters and the right check digits (C11)";
                    return Err(bad("nationalIdentifier", why));
                }
                match authority {
                    None => Ok(()),
                    Some(_) => Err(bad("registrationAuthority", "is not said with an LEI (C9)")),
                }
            }
            NationalIdType::Register | NationalIdType::Tax | NationalIdType::Misc => {
                let digits = authority.map(|authority| authority.strip_prefix("RA"));
                match digits {
                    None => Err(missing("registrationAuthority", "who gave the number? (C9)")),
                    Some(Some(digits)) if is_six_digits(digits) => Ok(()),
                    Some(_) => Err(bad("registrationAuthority", "is not RA and six digits (C10)")),
                }
            }
            NationalIdType::Alien
            | NationalIdType::Passport
            | NationalIdType::Licence
            | NationalIdType::Investor
            | NationalIdType::SocialSecurity
            | NationalIdType::IdentityCard => {
                Err(bad("nationalIdentifierType", "is a number of natural persons (C7)"))
            }
        }
    }
}

fn is_six_digits(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Address {
    fn check(&self) -> Checked {
        country("country", Some(self.country))?;
        each("addressLine", &self.address_line, |line| text("", line))?;
        let street = self.street_name.is_some()
            && (self.building_number.is_some() || self.building_name.is_some());
        if self.address_line.is_empty() && !street {
            let why = "a street with a building, or lines, are wanted (C8)";
            return Err(missing("streetName", why));
        }
        optional("streetName", self.street_name.as_ref())?;
        optional("buildingNumber", self.building_number.as_ref())?;
        optional("buildingName", self.building_name.as_ref())?;
        optional("townName", self.town_name.as_ref())?;
        if self.address_line.is_empty() && self.town_name.is_none() {
            return Err(missing("townName", "is wanted with a street"));
        }
        Ok(())
    }
}
