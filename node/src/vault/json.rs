//! Personal data as JSON: whatever is wrong with them is told by the field, never by its content.

use quadrille_protocol::error::{Code, Refusal};
use serde::de::DeserializeOwned;

/// Reads IVMS101 data.
///
/// # Errors
/// `Q-1703` a field is missing; `Q-1704` it is not well formed; both with the field's path.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        refusal(&path, &error.into_inner())
    })?;
    reader.end().map_err(|error| refusal(".", &error))?;
    Ok(value)
}

fn refusal(path: &str, error: &serde_json::Error) -> Refusal {
    let place = match path {
        "." => format!("line {}", error.line()),
        path => path.to_owned(),
    };
    let said = error.to_string();
    // These two name fields and nothing else; other messages would show what is in one.
    let named = |start: &str| said.starts_with(start).then(|| without_place(&said));
    match (named("missing field"), named("unknown field")) {
        (Some(why), _) => Refusal::new(Code::TravelFieldMissing, format!("{place}: {why}")),
        (None, Some(why)) => Refusal::new(Code::TravelFieldBad, format!("{place}: {why}")),
        (None, None) => {
            let why = "is not what IVMS101 has in this field";
            Refusal::new(Code::TravelFieldBad, format!("{place}: {why}"))
        }
    }
}

fn without_place(said: &str) -> String {
    said.split(" at line ").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use quadrille_protocol::policy::ivms101::Person;

    use super::*;

    fn refused(text: &str) -> Refusal {
        read::<Person>(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn the_field_is_named_and_its_content_is_not() {
        let cases = [
            (
                r#"{"naturalPerson": {"dateAndPlaceOfBirth": {"dateOfBirth": "SECRET"}}}"#,
                Code::TravelFieldBad,
                "naturalPerson.dateAndPlaceOfBirth.dateOfBirth: ",
            ),
            (
                r#"{"naturalPerson": {"name": {"nameIdentifier": [{}]}}}"#,
                Code::TravelFieldMissing,
                "naturalPerson.name.nameIdentifier[0]: missing field `nameIdentifierType`",
            ),
            (
                r#"{"legalPerson": {"nickname": "SECRET"}}"#,
                Code::TravelFieldBad,
                "legalPerson.nickname: unknown field `nickname`",
            ),
            (r#"{"naturalPerson": "#, Code::TravelFieldBad, ""),
            (r#"{"person": "SECRET"}"#, Code::TravelFieldBad, ""),
        ];
        for (text, code, path) in cases {
            let refusal = refused(text);
            assert_eq!(refusal.code, code, "{refusal}");
            assert!(refusal.what.starts_with(path), "{refusal}");
            assert!(!refusal.what.contains("SECRET"), "{refusal}");
        }
    }
}
