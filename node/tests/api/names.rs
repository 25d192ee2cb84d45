//! Names and holders' personal data behind the HTTP interface.

use quadrille_node::index::BatchSource as _;
use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::{SecretKey, Suite};
use quadrille_protocol::ledger::opening::Rules;
use quadrille_protocol::ledger::{Opening, SignedOpening};
use quadrille_protocol::policy::identity::Identity;
use quadrille_protocol::types::{Hash, Height, Ubi};
use serde_json::{Value, json};

use crate::bank::{Got, Town};

const SALT: [u8; 32] = [3; 32];
const SECRETS: [&str; 2] = ["Liddell", "CUST-77"];

fn person() -> Value {
    json!({ "naturalPerson": {
        "name": { "nameIdentifier": [
            { "primaryIdentifier": SECRETS[0], "nameIdentifierType": "LEGL" }
        ]},
        "customerIdentification": SECRETS[1],
        "countryOfResidence": "GB",
    }})
}

fn hash() -> Hash {
    Identity { salt: SALT, person: serde_json::from_value(person()).unwrap() }.hash()
}

/// An opening of a new holder at the first bank, signed, as hex.
fn opening(town: &Town, number: u32, identity: Hash) -> (Ubi, String) {
    let key = SecretKey::generate(Suite::Ed25519, &[77; 32]);
    let network = town.world.lock().unwrap().net.banks[0].validator.state().network.clone();
    let domain = town.world.lock().unwrap().net.domain(0);
    let opening = Opening {
        network,
        holder: format!("liddell@{domain}").parse().unwrap(),
        number,
        key: key.public().clone(),
        tier: 1,
        jurisdiction: "GB".parse().unwrap(),
        identity,
        rules: Rules::default(),
    };
    let signature = key.sign(Tag::Opening, &codec::encode(&opening));
    let ubi = opening.ubi();
    (ubi, hex::encode(codec::encode(&SignedOpening { opening, signature })))
}

fn identity(person: Value) -> Value {
    json!({ "salt": hex::encode(SALT), "person": person })
}

async fn open(town: &Town, bytes: &str, identity: Option<Value>) -> Got {
    let mut body = json!({ "bytes": bytes });
    if let Some(identity) = identity {
        body["identity"] = identity;
    }
    town.banks[0].post("/v1/ledgers", &body).await
}

#[tokio::test]
async fn a_ledger_opens_with_the_data_whose_hash_the_holder_signed_and_with_no_others() {
    let town = Town::new().await;
    let (ubi, bytes) = opening(&town, 0, hash());
    assert_eq!(open(&town, &bytes, None).await.code(), "Q-1709");
    let mut other = person();
    other["naturalPerson"]["customerIdentification"] = json!("CUST-78");
    assert_eq!(open(&town, &bytes, Some(identity(other))).await.code(), "Q-1711");
    let mut broken = person();
    broken["naturalPerson"]["name"]["nameIdentifier"][0]["nameIdentifierType"] = json!("XXXX");
    let refused = open(&town, &bytes, Some(identity(broken))).await;
    let place = "person.naturalPerson.name.nameIdentifier[0].nameIdentifierType: ";
    assert_eq!(refused.code(), "Q-1704");
    assert!(refused.json()["detail"].as_str().unwrap().starts_with(place), "{refused:?}");
    let (_, unsigned) = opening(&town, 1, Hash::ZERO);
    assert_eq!(open(&town, &unsigned, Some(identity(person()))).await.code(), "Q-1711");
    open(&town, &bytes, Some(identity(person()))).await.ok();
    let shown = town.banks[0].get(&format!("/v1/ledgers/{ubi}")).await.ok();
    assert_eq!(shown["identity"], json!(hash().to_string()));
    assert_eq!(shown["jurisdiction"], json!("GB"));
}

#[tokio::test]
async fn the_data_are_the_operators_to_see_and_nowhere_in_the_clear() {
    let town = Town::new().await;
    let bank = &town.banks[0];
    let (ubi, bytes) = opening(&town, 0, hash());
    open(&town, &bytes, Some(identity(person()))).await.ok();
    let path = format!("/v1/ledgers/{ubi}/identity");
    assert_eq!(bank.get(&path).await.status, 403);
    let seen = Got::of(bank.request("GET", &path, &bank.operator).send().await.unwrap()).await.ok();
    assert_eq!(seen["person"], person());
    let mut written = Vec::new();
    let top = town.memories[0].index.indexed();
    for height in 1..=top.0 {
        let batch = town.memories[0].log.batch(Height(height)).unwrap().unwrap();
        written.extend(codec::encode(&batch.stored));
    }
    assert!(!written.is_empty());
    files(town.folder.path(), &mut written);
    for secret in SECRETS {
        let found = written.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret} is in the clear");
    }
}

/// The content of every file in a folder.
fn files(folder: &std::path::Path, into: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, into),
            false => into.extend(std::fs::read(&path).unwrap()),
        }
    }
}

#[tokio::test]
async fn a_lost_vault_is_told_and_the_same_data_can_be_put_back() {
    let town = Town::new().await;
    let bank = &town.banks[0];
    let (ubi, bytes) = opening(&town, 0, hash());
    open(&town, &bytes, Some(identity(person()))).await.ok();
    std::fs::remove_dir_all(town.folder.path().join("vault-0")).unwrap();
    let path = format!("/v1/ledgers/{ubi}/identity");
    let look =
        async || Got::of(bank.request("GET", &path, &bank.operator).send().await.unwrap()).await;
    assert_eq!(look().await.code(), "Q-1710");
    let mut other = person();
    other["naturalPerson"]["customerIdentification"] = json!("CUST-78");
    assert_eq!(bank.send("PUT", &path, &identity(other)).await.code(), "Q-1711");
    bank.send("PUT", &path, &identity(person())).await.ok();
    assert_eq!(look().await.ok()["person"], person());
    let (bare, bytes) = opening(&town, 1, Hash::ZERO);
    open(&town, &bytes, None).await.ok();
    let path = format!("/v1/ledgers/{bare}/identity");
    let none = Got::of(bank.request("GET", &path, &bank.operator).send().await.unwrap()).await;
    assert_eq!(none.code(), "Q-1709");
}

#[tokio::test]
async fn data_of_a_ledger_that_was_not_opened_are_not_kept() {
    let town = Town::new().await;
    let (ubi, bytes) = opening(&town, 0, hash());
    town.banks[0].conduct.busy.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(open(&town, &bytes, Some(identity(person()))).await.status, 503);
    let name = hex::encode(ubi.as_bytes());
    assert!(!town.folder.path().join("vault-0").join(&name[..2]).join(&name).exists());
}

#[tokio::test]
async fn unknown_closed_refused_and_unreachable_names_are_different_answers() {
    let town = Town::new().await;
    let bank = &town.banks[0];
    let get = async |name: &str| bank.get(&format!("/v1/names/{name}@bank-b.example")).await;
    let found = get("bob").await.ok();
    assert_eq!((&found["tier"], &found["cached"]), (&json!(2), &json!(true)));
    let cases = [
        ("nobody", 404, "Q-2501"),
        ("gone", 410, "Q-2502"),
        ("secret", 422, "Q-2503"),
        ("far", 503, "Q-2504"),
    ];
    for (name, status, code) in cases {
        let got = get(name).await;
        assert_eq!((got.status, got.code().as_str()), (status, code), "{name}");
    }
}

#[tokio::test]
async fn a_travel_threshold_is_set_listed_and_taken_away() {
    let town = Town::new().await;
    let bank = &town.banks[0];
    let assets = bank.get("/v1/assets").await.ok();
    let asset = assets["items"][0]["asset"].as_str().unwrap().to_owned();
    let path = format!("/v1/travel-rule/{}", asset.replace('#', "%23"));
    bank.send("PUT", &path, &json!({ "from": "100000" })).await.ok();
    let rules = bank.get("/v1/travel-rule").await.ok();
    assert_eq!(rules, json!([{ "asset": asset, "from": "100000" }]));
    let removed = bank.request("DELETE", &path, &bank.operator).send().await.unwrap();
    assert_eq!(removed.status().as_u16(), 200);
    assert_eq!(bank.get("/v1/travel-rule").await.ok(), json!([]));
}
