//! Bringing a whole local network up.
//!
//! ```text
//!   authority's files -> proxy -> bootstrap peer -> banks' files -> banks -> assets, customers,
//!   credit
//! ```
//!
//! Invariant: it can be done again after it was broken off anywhere, and on a network that is
//! up it changes nothing.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quadrille_node::api::dto::Connection;
use quadrille_node::files;
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Domain, Time};

use super::clients;
use super::faults;
use super::fund;
use super::interrupt;
use super::layout::Layout;
use super::means::{LimitMeans, Means};
use super::prepare::{self, Papers, Timing};
use super::room;
use super::start;
use super::state::{BANKS, Bank, Held, State};

/// How long the banks may take to find each other, and how much longer for each of them: every one
/// shakes hands with every other.
const MEET: Duration = Duration::from_secs(60);
const MEET_EACH: Duration = Duration::from_secs(4);
/// Between two questions whether they have.
const LOOK: Duration = Duration::from_millis(100);
/// Peers that are listed at most: banks and the bootstrap peer.
const PEERS: usize = BANKS + 1;
const PASSPHRASE_BYTES: usize = 4096;
/// Credit limits of one bank that are listed at most.
const TRUST_LINES: usize = 10_000;
/// What a bank takes on the disk when it is new, and some.
const BANK_BYTES: u64 = 8 * 1024 * 1024;

/// What network is wanted.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The banks' names, and whether the others trust them.
    pub banks: Vec<(String, bool)>,
    /// What the customers' balances are drawn from; any when it is left out.
    pub seed: Option<u64>,
    /// The suite of the domains' keys.
    pub suite: Suite,
    /// How settlements are timed.
    pub timing: Timing,
    /// What it has to trade with; the usual when it is left out.
    pub means: Option<Means>,
    /// Whether the links go from process to process, without the proxy between them.
    pub direct: bool,
}

impl Plan {
    /// A plan with `count` banks `bank-a`, `bank-b` … that all trust each other.
    ///
    /// # Errors
    /// `Q-1015` more than [`BANKS`].
    pub fn of(count: usize, seed: Option<u64>, suite: Suite) -> Result<Self, Refusal> {
        if count > BANKS {
            refuse!(TooMany, "{count} banks, at most {BANKS}");
        }
        let banks = (0..count).map(|index| (format!("bank-{}", letters(index)), true)).collect();
        Ok(Self { banks, seed, suite, timing: Timing::default(), means: None, direct: false })
    }

    /// The plan of a network that is there already.
    #[must_use]
    pub fn of_state(state: &State) -> Self {
        let banks = state.banks.iter().map(|bank| (bank.name.clone(), bank.trusted)).collect();
        let (seed, suite, timing) = (Some(state.seed), state.suite, Timing::default());
        let direct = state.direct;
        Self { banks, seed, suite, timing, means: None, direct }
    }

    /// The network of this plan before anything of it runs.
    pub(super) fn first_state(&self) -> Result<State, Refusal> {
        let bank = |(name, trusted): &(String, bool)| -> Result<Bank, Refusal> {
            let domain: Domain = format!("{name}.example").parse()?;
            let (name, trusted) = (name.clone(), *trusted);
            let (api, p2p, front, process) = (None, None, None, None);
            Ok(Bank { name, domain, trusted, api, p2p, front, process })
        };
        let banks = self.banks.iter().map(bank).collect::<Result<_, _>>()?;
        let seed = self.seed.unwrap_or_else(rand::random);
        let mut state = State::new("local".parse()?, seed, self.suite, banks);
        state.direct = self.direct;
        Ok(state)
    }

    fn check(&self, state: &State) -> Result<(), Refusal> {
        let same_banks = self.banks.len() == state.banks.len()
            && self
                .banks
                .iter()
                .zip(&state.banks)
                .all(|((name, trusted), bank)| *name == bank.name && *trusted == bank.trusted);
        if !same_banks || self.suite != state.suite {
            let count = state.banks.len();
            refuse!(OtherLocalNetwork, "{count} banks with keys of {}", state.suite);
        }
        if let Some(seed) = self.seed
            && seed != state.seed
        {
            refuse!(OtherLocalNetwork, "its seed is {}", state.seed);
        }
        if self.direct && !state.direct {
            refuse!(OtherLocalNetwork, "its links go through the proxy");
        }
        Ok(())
    }
}

/// `a` to `z`, then `aa`, `ab` …
fn letters(index: usize) -> String {
    let letter = |place: usize| char::from(b'a'.saturating_add(u8::try_from(place).unwrap_or(0)));
    match index.checked_div(26).and_then(|tens| tens.checked_sub(1)) {
        None => letter(index).to_string(),
        Some(first) => format!("{}{}", letter(first), letter(index % 26)),
    }
}

/// Brings the planned network up in the folder, telling `say` what it does.
///
/// # Errors
/// `Q-2328` there is another network in the folder; those of every step. What was started is left
/// running, and comes along when nothing ran before: the caller decides whether to end it.
pub fn up(layout: Layout, plan: &Plan, say: &mut dyn FnMut(&str)) -> Result<Held, Failed> {
    let (mut held, _) =
        Held::open_or_begin(layout, || plan.first_state()).map_err(Failed::early)?;
    plan.check(&held.state).map_err(Failed::early)?;
    if !held.state.funded {
        let needed = BANK_BYTES.saturating_mul(held.state.banks.len() as u64);
        room::check(held.layout.root(), needed).map_err(Failed::early)?;
    }
    // What ran before is not this command's to end.
    let ran_before = held.state.processes().any(|(_, process)| process.is_alive());
    match bring_up(&mut held, plan, say) {
        Ok(()) => Ok(held),
        Err(refusal) if ran_before => Err(Failed::early(refusal)),
        Err(refusal) => Err(Failed { refusal, held: Some(Box::new(held)) }),
    }
}

/// Why a network did not come up.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub refusal: Refusal,
    /// The network as far as it came, where all that runs of it was started just now.
    pub held: Option<Box<Held>>,
}

impl Failed {
    const fn early(refusal: Refusal) -> Self {
        Self { refusal, held: None }
    }
}

fn bring_up(held: &mut Held, plan: &Plan, say: &mut dyn FnMut(&str)) -> Result<(), Refusal> {
    let layout = held.layout.clone();
    let means = match &plan.means {
        Some(means) => means.clone(),
        None => Means::usual(&held.state)?,
    };
    let prepared = held.state.prepared;
    let passphrase = if prepared {
        files::read_text(&layout.passphrase(), PASSPHRASE_BYTES)?
    } else {
        say("founding the network: authority and bootstrap peer");
        prepare::authority(&layout, &held.state, now()?)?
    };
    faults::start::proxy_of_links(held)?;
    let bootstrap = start::bootstrap(held)?;
    if prepared {
        prepare::point_to(&layout, &held.state, &bootstrap)?;
    } else {
        say(&format!("making keys and papers of {} banks", held.state.banks.len()));
        let papers = Papers { timing: plan.timing, means: &means, passphrase: &passphrase };
        prepare::banks(&layout, &held.state, &bootstrap, &papers, now()?)?;
        held.state.prepared = true;
        held.save()?;
    }
    let names: Vec<String> = held.state.banks.iter().map(|bank| bank.name.clone()).collect();
    let waiting = held.state.banks.iter().filter(|bank| !bank.is_up()).count();
    if waiting > 0 {
        say(&format!("starting {waiting} banks"));
    }
    start::banks(held, &names, None, |_| ())?;
    if !held.state.funded {
        say("registering assets, opening ledgers, giving credit");
        fund::fund(&layout, &held.state, &means)?;
        held.state.funded = true;
        held.save()?;
    }
    say("waiting until the banks have met");
    let means = if plan.means.is_none() { credit(held)? } else { means };
    meet_those(held, |bank, other| means.credit_between(&bank.domain, &other.domain))
}

/// The credit that the banks give, by their own word: who gives some has a session.
fn credit(held: &Held) -> Result<Means, Refusal> {
    let runtime = clients::runtime()?;
    let mut means = Means::default();
    for bank in &held.state.banks {
        let client = clients::of(&held.layout, bank)?;
        let lines = runtime.block_on(client.trust(TRUST_LINES));
        for line in lines.map_err(|error| clients::refusal(&bank.name, error))? {
            let (of, peer) = (bank.domain.clone(), line.domain);
            let (asset, limit) = (line.exposure.asset, line.exposure.limit);
            means.limits.push(LimitMeans { of, peer, asset, limit });
        }
    }
    Ok(means)
}

/// Waits until every trusted bank has a session with every other one.
///
/// # Errors
/// `Q-2324` when they have not met in time.
pub fn meet(held: &Held) -> Result<(), Refusal> {
    meet_those(held, |_, _| true)
}

/// Waits until of the trusted banks those have a session that are to have one.
///
/// # Errors
/// `Q-2324` when they have not met in time.
pub fn meet_those(held: &Held, are_to: impl Fn(&Bank, &Bank) -> bool) -> Result<(), Refusal> {
    let trusted: Vec<&Bank> =
        held.state.banks.iter().filter(|bank| bank.trusted && bank.is_up()).collect();
    let runtime = clients::runtime()?;
    let banks = u32::try_from(held.state.banks.len()).unwrap_or(u32::MAX);
    let deadline = Instant::now() + MEET + MEET_EACH.saturating_mul(banks);
    for bank in &trusted {
        let client = clients::of(&held.layout, bank)?;
        loop {
            let peers = runtime.block_on(client.peers(PEERS));
            let peers = peers.map_err(|error| clients::refusal(&bank.name, error))?;
            let met = |domain: &Domain| {
                peers.iter().any(|peer| peer.domain == *domain && peer.connection == Connection::Up)
            };
            let awaited = |other: &Bank| other.domain != bank.domain && are_to(bank, other);
            let missing = trusted.iter().find(|other| awaited(other) && !met(&other.domain));
            let Some(missing) = missing else { break };
            if Instant::now() >= deadline {
                refuse!(NodeDidNotStart, "{} has not met {}", bank.name, missing.name);
            }
            interrupt::check()?;
            std::thread::sleep(LOOK);
        }
    }
    Ok(())
}

/// The machine's clock.
///
/// # Errors
/// `Q-1012` before 1970.
pub fn now() -> Result<Time, Refusal> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|error| Refusal::new(Code::BadTime, error.to_string()))?;
    Ok(Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_bank_has_a_domain_of_its_own() {
        let plan = Plan::of(BANKS, Some(1), Suite::HybridMlDsa65).unwrap();
        let state = plan.first_state().unwrap();
        let domains: BTreeSet<&str> = state.banks.iter().map(|bank| bank.domain.as_str()).collect();
        assert_eq!(domains.len(), BANKS);
        assert!(domains.contains("bank-a.example") && domains.contains("bank-aa.example"));
        assert_eq!(
            Plan::of(BANKS + 1, None, Suite::HybridMlDsa65).unwrap_err().code,
            Code::TooMany
        );
    }

    #[test]
    fn another_shape_than_the_folder_s_is_refused() {
        let suite = Suite::HybridMlDsa65;
        let state = Plan::of(3, Some(7), suite).unwrap().first_state().unwrap();
        Plan::of(3, Some(7), suite).unwrap().check(&state).unwrap();
        Plan::of(3, None, suite).unwrap().check(&state).unwrap();
        let others = [
            Plan::of(4, None, suite).unwrap(),
            Plan::of(3, Some(8), suite).unwrap(),
            Plan::of(3, None, Suite::HybridDilithium3).unwrap(),
        ];
        for other in others {
            assert_eq!(other.check(&state).unwrap_err().code, Code::OtherLocalNetwork);
        }
        let direct = Plan { direct: true, ..Plan::of(3, Some(7), suite).unwrap() };
        assert_eq!(direct.check(&state).unwrap_err().code, Code::OtherLocalNetwork);
        let state = direct.first_state().unwrap();
        Plan::of(3, Some(7), suite).unwrap().check(&state).unwrap();
    }
}
