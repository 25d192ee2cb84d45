//! Data that the standard takes, and each way to break them.

use serde_json::{Value, json};

use super::*;
use crate::codec;
use crate::error::{Code, Refusal};
use crate::types::Time;

const NOW: Time = Time(1_790_000_000_000);
const LEI: &str = "5493001KJTIIGC8Y1R12";

fn sample() -> Value {
    json!({
        "originator": {
            "originatorPersons": [{ "naturalPerson": {
                "name": {
                    "nameIdentifier": [{
                        "primaryIdentifier": "Ärger",
                        "secondaryIdentifier": "Alice",
                        "nameIdentifierType": "LEGL"
                    }],
                    "localNameIdentifier": [{
                        "primaryIdentifier": "エルガー",
                        "nameIdentifierType": "MISC"
                    }]
                },
                "geographicAddress": [{
                    "addressType": "HOME",
                    "streetName": "Main Street",
                    "buildingNumber": "1",
                    "postCode": "10115",
                    "townName": "Berlin",
                    "country": "DE"
                }],
                "nationalIdentification": {
                    "nationalIdentifier": "C01X00T47",
                    "nationalIdentifierType": "CCPT",
                    "countryOfIssue": "DE"
                },
                "customerIdentification": "1002390",
                "dateAndPlaceOfBirth": { "dateOfBirth": "1990-12-31", "placeOfBirth": "Ulm" },
                "countryOfResidence": "DE"
            }}],
            "accountNumber": ["ubi:1"]
        },
        "beneficiary": {
            "beneficiaryPersons": [{ "legalPerson": {
                "name": { "nameIdentifier": [{
                    "legalPersonName": "Boats Ltd",
                    "legalPersonNameIdentifierType": "LEGL"
                }]},
                "geographicAddress": [{
                    "addressType": "BIZZ",
                    "addressLine": ["Harbour 2", "Hull"],
                    "country": "GB"
                }],
                "customerNumber": "77",
                "nationalIdentification": {
                    "nationalIdentifier": LEI,
                    "nationalIdentifierType": "LEIX"
                },
                "countryOfRegistration": "GB"
            }}],
            "accountNumber": ["ubi:2"]
        },
        "originatingVASP": { "originatingVASP": { "legalPerson": {
            "name": { "nameIdentifier": [{
                "legalPersonName": "bank-a.example",
                "legalPersonNameIdentifierType": "LEGL"
            }]}
        }}}
    })
}

fn read(value: Value) -> Ivms101 {
    serde_json::from_value(value).unwrap()
}

/// The data after `change`, checked.
fn after(change: impl FnOnce(&mut Value)) -> Result<(), Refusal> {
    let mut value = sample();
    change(&mut value);
    read(value).check(NOW)
}

const PAYER: &str = "/originator/originatorPersons/0/naturalPerson";
const PAYEE: &str = "/beneficiary/beneficiaryPersons/0/legalPerson";

/// Sets, or with null removes, the field at a place.
fn set(place: &str, field: &str, to: Value) -> impl FnOnce(&mut Value) + use<> {
    let (place, field) = (place.to_owned(), field.to_owned());
    move |value| {
        let object = value.pointer_mut(&place).unwrap().as_object_mut().unwrap();
        match to {
            Value::Null => assert!(object.remove(&field).is_some(), "{field}"),
            to => {
                object.insert(field, to);
            }
        }
    }
}

#[test]
fn the_standards_own_names_are_read_and_written() {
    let data = read(sample());
    data.check(NOW).unwrap();
    assert_eq!(serde_json::to_value(&data).unwrap(), sample());
    let bytes = codec::encode(&data);
    assert!(bytes.len() < limits::PAYLOAD_BYTES);
    assert_eq!(codec::decode::<Ivms101, { limits::PAYLOAD_BYTES }>(&bytes).unwrap(), data);
}

#[test]
fn a_refusal_names_the_field_that_is_missing() {
    let bare = json!({ "name": { "nameIdentifier": [{
        "primaryIdentifier": "A", "nameIdentifierType": "LEGL"
    }]}});
    let list = format!("{PAYER}/name/nameIdentifier/0");
    let home = format!("{PAYER}/geographicAddress/0");
    let cases = [
        ("", "originator", Value::Null, "originator: "),
        ("", "beneficiary", Value::Null, "beneficiary: "),
        ("/originator", "originatorPersons", Value::Null, "originator.originatorPersons: "),
        ("/originator", "accountNumber", json!([]), "originator.accountNumber: "),
        ("/beneficiary", "accountNumber", json!([" "]), "beneficiary.accountNumber[0]: "),
        ("/beneficiary", "beneficiaryPersons", json!([]), "beneficiary.beneficiaryPersons: "),
        (
            "/originator/originatorPersons/0",
            "naturalPerson",
            bare,
            "originator.originatorPersons[0].naturalPerson.geographicAddress: ",
        ),
        (
            PAYER,
            "name",
            json!({}),
            "originator.originatorPersons[0].naturalPerson.name.nameIdentifier: ",
        ),
        (
            &list,
            "primaryIdentifier",
            Value::Null,
            "originator.originatorPersons[0].naturalPerson.name.nameIdentifier[0]\
             .primaryIdentifier: ",
        ),
        (
            &list,
            "nameIdentifierType",
            json!("ALIA"),
            "originator.originatorPersons[0].naturalPerson.name.nameIdentifier: ",
        ),
        (
            &home,
            "streetName",
            Value::Null,
            "originator.originatorPersons[0].naturalPerson.geographicAddress[0].streetName: ",
        ),
        (
            &home,
            "townName",
            Value::Null,
            "originator.originatorPersons[0].naturalPerson.geographicAddress[0].townName: ",
        ),
    ];
    for (place, field, to, path) in cases {
        let refusal = after(set(place, field, to)).unwrap_err();
        assert_eq!(refusal.code, Code::TravelFieldMissing, "{refusal}");
        assert!(refusal.what.starts_with(path), "{refusal} is not about {path}");
    }
}

#[test]
fn a_refusal_names_the_field_that_is_wrong() {
    let number = format!("{PAYEE}/nationalIdentification");
    let passport = format!("{PAYER}/nationalIdentification");
    let payee = "beneficiary.beneficiaryPersons[0].legalPerson";
    let payer = "originator.originatorPersons[0].naturalPerson";
    let cases = [
        (
            &*number,
            "nationalIdentifier",
            json!("5493001KJTIIGC8Y1R13"),
            payee,
            "nationalIdentifier",
        ),
        (&number, "registrationAuthority", json!("RA000001"), payee, "registrationAuthority"),
        (&number, "countryOfIssue", json!("GB"), payee, "countryOfIssue"),
        (&number, "nationalIdentifierType", json!("CCPT"), payee, "nationalIdentifierType"),
        (&passport, "nationalIdentifierType", json!("LEIX"), payer, "nationalIdentifierType"),
        (&passport, "registrationAuthority", json!("RA000001"), payer, "registrationAuthority"),
        (&passport, "countryOfIssue", json!("QQ"), payer, "countryOfIssue"),
    ];
    for (place, field, to, person, name) in cases {
        let refusal = after(set(place, field, to)).unwrap_err();
        assert_eq!(refusal.code, Code::TravelFieldBad, "{refusal}");
        let path = format!("{person}.nationalIdentification.{name}: ");
        assert!(refusal.what.starts_with(&path), "{refusal} is not about {path}");
    }
    let more = [
        (PAYER, "countryOfResidence", json!("QQ"), format!("{payer}.countryOfResidence: ")),
        (
            &format!("{PAYER}/dateAndPlaceOfBirth"),
            "dateOfBirth",
            json!("2031-01-01"),
            format!("{payer}.dateAndPlaceOfBirth.dateOfBirth: "),
        ),
        (
            &format!("{PAYEE}/geographicAddress/0"),
            "addressType",
            json!("HOME"),
            format!("{payee}.geographicAddress[0].addressType: "),
        ),
    ];
    for (place, field, to, path) in more {
        let refusal = after(set(place, field, to)).unwrap_err();
        assert_eq!(refusal.code, Code::TravelFieldBad, "{refusal}");
        assert!(refusal.what.starts_with(&path), "{refusal} is not about {path}");
    }
}

#[test]
fn a_company_may_be_known_by_a_register_instead_of_an_lei() {
    let number = |authority: Value| {
        let mut number = json!({
            "nationalIdentifier": "HRB 1234", "nationalIdentifierType": "RAID",
        });
        if !authority.is_null() {
            number["registrationAuthority"] = authority;
        }
        after(set(PAYEE, "nationalIdentification", number))
    };
    assert_eq!(number(json!("RA000242")), Ok(()));
    assert_eq!(number(Value::Null).unwrap_err().code, Code::TravelFieldMissing);
    assert_eq!(number(json!("RA00024X")).unwrap_err().code, Code::TravelFieldBad);
}

#[test]
fn unknown_fields_and_codes_and_too_long_texts_are_not_read() {
    let changes = [
        set(PAYER, "nickname", json!("Al")),
        set(&format!("{PAYER}/name/nameIdentifier/0"), "nameIdentifierType", json!("XXXX")),
        set(&format!("{PAYER}/dateAndPlaceOfBirth"), "dateOfBirth", json!("31.12.1990")),
        set(PAYER, "customerIdentification", json!("9".repeat(51))),
        set("/originator", "accountNumber", json!(["a", "b", "c", "d", "e"])),
    ];
    for change in changes {
        let mut value = sample();
        change(&mut value);
        assert!(serde_json::from_value::<Ivms101>(value).is_err());
    }
}

#[test]
fn nothing_of_a_person_is_shown() {
    let data = read(sample());
    let shown = format!("{data:?} {:?}", data.originator);
    for secret in ["Alice", "Ulm", "C01X00T47", "Main"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let refusal = after(set(
        &format!("{PAYEE}/nationalIdentification"),
        "nationalIdentifier",
        json!("SECRET-NUMBER"),
    ))
    .unwrap_err();
    assert!(!refusal.to_string().contains("SECRET-NUMBER"));
}
