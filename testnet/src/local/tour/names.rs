//! Names over the mesh, and who is behind a ledger.

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::Action;
use quadrille_protocol::policy::identity::Identity;
use quadrille_protocol::policy::ivms101::Person;
use quadrille_protocol::types::Holder;

use super::customer::{Customer, Registration};
use super::stage::{Stage, holds, refused, same, short};
use crate::local::trader::otherwise;

/// What is nowhere in the clear.
const SECRETS: [&str; 2] = ["Zauberberg", "CUST-7741"];

/// A person as IVMS101 has it.
pub(super) fn person(name: &str, number: &str) -> Result<Person, Refusal> {
    let value = serde_json::json!({ "naturalPerson": {
        "name": { "nameIdentifier": [{
            "primaryIdentifier": name,
            "secondaryIdentifier": "Ida",
            "nameIdentifierType": "LEGL"
        }]},
        "customerIdentification": number,
        "countryOfResidence": "DE",
    }});
    serde_json::from_value(value).map_err(|error| otherwise(error.to_string()))
}

/// The registration of somebody who says who she is.
pub(super) fn registration(number: u32) -> Result<Registration, Refusal> {
    let person = person(SECRETS[0], SECRETS[1])?;
    let identity = Some(Identity { salt: rand::random(), person });
    Ok(Registration { number, identity, jurisdiction: "DE".parse()?, ..Registration::default() })
}

pub(super) fn chapter(stage: &Stage<'_>) -> Result<(), Refusal> {
    found_and_remembered(stage)?;
    other_answers(stage)?;
    registered(stage)
}

fn found_and_remembered(stage: &Stage<'_>) -> Result<(), Refusal> {
    let a = stage.desk("bank-a")?;
    let bob = stage.customer("bob@bank-b")?;
    let name: Holder = format!("bob@{}", bob.desk.domain).parse()?;
    let found = a.ask(a.client.name(&name, None, true))?;
    same("the ledger of the name", &found.ledger, &bob.ledger)?;
    same("its validator", &found.validator, &bob.desk.domain)?;
    same("asked again, though it was to be asked anew", &found.cached, &false)?;
    let what = format!(
        "bank-a asks bank-b who {name} is: {}…, tier {}, every asset",
        short(&found.ledger),
        found.tier
    );
    stage.tell(what, format!("signed by bank-b, counts until {}", found.expires))?;
    let told = stage.json("bank-a", &["name", &name.to_string()])?;
    same("the answer is remembered", &told["cached"], &true.into())?;
    same("by the same ledger", &told["ledger"], &bob.ledger.to_string().into())?;
    let what = "asked again within that time (`quadrille name`), bank-a answers from memory";
    stage.tell(what, format!("cached {}, until {}", told["cached"], told["expires"]))
}

fn other_answers(stage: &Stage<'_>) -> Result<(), Refusal> {
    let (a, e) = (stage.desk("bank-a")?, stage.desk("bank-e")?);
    let b = stage.desk("bank-b")?;
    let gone = Customer::open(&b, "gone", &Registration::default())?;
    let (order, receipt) = gone.order(Action::Close)?;
    let closing = format!("closed by its holder: {}, {order}", b.receipt(&receipt));
    let cases = [
        (&a, "nobody", Code::NameUnknown, "signed by bank-b".to_owned()),
        (&a, "gone", Code::NameClosed, closing),
        (&e, "bob", Code::NameRefused, "signed by bank-b, which does not trust bank-e".to_owned()),
    ];
    for (asker, local, code, evidence) in cases {
        let name: Holder = format!("{local}@{}", b.domain).parse()?;
        let answer = asker.ask(asker.client.name(&name, None, true));
        let refusal = refused("a name that is not found", answer, code)?;
        let title = refusal.code.title();
        stage.tell(format!("{} asks for {name}: {code} {title}", asker.name), evidence)?;
    }
    Ok(())
}

fn registered(stage: &Stage<'_>) -> Result<(), Refusal> {
    let a = stage.desk("bank-a")?;
    let ida = Customer::open(&a, "ida", &registration(1)?)?;
    let view = a.ask(a.client.ledger(&ida.ledger))?;
    let hash = view.identity.ok_or_else(|| otherwise("the ledger names no identity"))?;
    let entries = a.ask(a.client.entries(&ida.ledger, 1))?;
    let opened = entries.first().ok_or_else(|| otherwise("a ledger without an entry"))?;
    stage.tell(
        format!("ida signs her data and opens a ledger at bank-a; it names only {hash}"),
        a.at(opened.place),
    )?;
    let seen = a.ask(a.client.identity(&ida.ledger))?;
    holds("the operator reads the data", seen.person.to_string().contains(SECRETS[0]))?;
    for secret in SECRETS {
        holds("personal data are sealed", !stage.stands_in_the_clear("bank-a", secret)?)?;
    }
    let what = "the operator reads the data; no file and no log line of bank-a has them in clear";
    stage.tell(what, format!("sealed in the vault of bank-a for {}", short(&ida.ledger)))?;
    stage.keep("ida@bank-a", ida);
    Ok(())
}
