use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::identity::{Dealing, GatewayPeer, GatewayRecord};
use crate::market::{Book, OfferNotice, OfferTerms};
use crate::payment::plan::Fee;
use crate::types::{Duration, Epoch, Hash, Time};

const NOW: Time = Time(1_000_000);

fn bank(number: usize) -> Domain {
    format!("bank-{number}.example").parse().unwrap()
}

fn asset(number: usize) -> Uai {
    let code = ["EUR", "USD", "GBP"][number];
    let hash = Hash([u8::try_from(number).unwrap(); 32]);
    Uai::new(code.parse().unwrap(), "issuer.example".parse().unwrap(), &hash)
}

fn transit(number: usize) -> Ubi {
    Ubi([u8::try_from(number).unwrap(); 32])
}

/// A bank: per asset its fee and whom it accepts.
type Services = Vec<(usize, Option<Fee>, Vec<usize>)>;

fn record(number: usize, services: Services) -> GatewayRecord {
    let dealings: Vec<Dealing> = services
        .into_iter()
        .map(|(which, fee, accepts)| Dealing {
            asset: asset(which),
            fee,
            accepts: accepts.into_iter().map(bank).collect(),
        })
        .collect();
    let empty = GatewayRecord {
        network: "test".parse().unwrap(),
        domain: bank(number),
        epoch: Epoch(1),
        peer_id: GatewayPeer::from_ed25519([7; 32]),
        addresses: Bounded::default(),
        sequence: 1,
        expires: Time::MAX,
        transit: Some(transit(number)),
        correspondents: None,
        services: Bounded::default(),
    };
    empty.dealing(&dealings, true)
}

fn atlas(records: &[GatewayRecord]) -> Atlas {
    let mut atlas = Atlas::new(bank(0));
    records.iter().for_each(|record| atlas.add_record(record));
    atlas
}

fn fee(flat: u128, ppm: u32) -> Option<Fee> {
    Some(Fee { flat: Amount::new(flat), ppm })
}

fn terms(give: usize, gives: u128, want: usize, wants: u128) -> OfferTerms {
    OfferTerms {
        give: asset(give),
        give_amount: Amount::new(gives),
        want: asset(want),
        want_amount: Amount::new(wants),
        minimum_fill: Amount::ZERO,
        expiry: NOW.after(Duration(3_600_000)),
        counterparties: Bounded::default(),
        notary: None,
        selection_window: Duration(0),
        receive: None,
    }
}

fn notice(number: u8, at: usize, terms: OfferTerms) -> OfferNotice {
    let remaining = terms.give_amount;
    let offer = OrderId([number; 32]);
    OfferNotice { offer, validator: bank(at), version: 1, terms, remaining }
}

fn with_offers(mut atlas: Atlas, notices: Vec<OfferNotice>) -> Atlas {
    let mut book = Book::new(bank(0));
    for (seen, notice) in notices.into_iter().enumerate() {
        book.insert(notice, u64::try_from(seen).unwrap(), NOW).unwrap();
    }
    atlas.add_book(&book, NOW);
    atlas
}

fn wanted(payee: usize, asset_at: usize, amount: u128, spend: usize) -> Wanted {
    Wanted {
        payee: bank(payee),
        asset: asset(asset_at),
        amount: Amount::new(amount),
        spend: asset(spend),
        max_cost: Amount::MAX,
    }
}

fn shown(way: &Way) -> String {
    let steps = way.steps.iter().map(|step| {
        let place = step.domain.as_str().trim_start_matches("bank-").trim_end_matches(".example");
        let by = match step.by {
            By::Payee => "",
            By::Transit(_) => "t",
            By::Offer(_) => "o",
        };
        format!("{place}{by}:{}{}", step.amount, step.asset.code())
    });
    steps.collect::<Vec<_>>().join(" ")
}

fn ways(atlas: &Atlas, wanted: &Wanted) -> Vec<String> {
    find(atlas, wanted).unwrap().iter().map(shown).collect()
}

#[test]
fn a_payment_goes_through_the_correspondent_that_both_banks_have() {
    let atlas = atlas(&[
        record(1, vec![(0, fee(2, 1_000), vec![0, 2])]),
        record(2, vec![(0, None, vec![1])]),
    ]);
    assert_eq!(ways(&atlas, &wanted(2, 0, 10_000, 0)), ["1t:10012EUR 2:10000EUR"]);
}

#[test]
fn the_cheapest_way_comes_first_and_of_one_cost_the_shortest() {
    let atlas = atlas(&[
        record(1, vec![(0, fee(5, 0), vec![0])]),
        record(2, vec![(0, fee(0, 0), vec![0])]),
        record(3, vec![(0, fee(0, 0), vec![2])]),
        record(4, vec![(0, None, vec![1, 2, 3])]),
    ]);
    assert_eq!(
        ways(&atlas, &wanted(4, 0, 100, 0)),
        ["2t:100EUR 4:100EUR", "2t:100EUR 3t:100EUR 4:100EUR", "1t:105EUR 4:100EUR"]
    );
}

#[test]
fn what_arrives_is_converted_at_an_offer_on_the_way_at_the_makers_price() {
    let banks = [
        record(1, vec![(0, fee(1, 0), vec![0]), (1, None, vec![])]),
        record(2, vec![(0, None, vec![0, 1]), (1, None, vec![1])]),
    ];
    // At the payee's bank, and at the one between: 3 EUR for 4 USD, rounded up for the maker.
    let offers =
        vec![notice(1, 2, terms(1, 4_000, 0, 3_000)), notice(2, 1, terms(1, 4_000, 0, 3_004))];
    let atlas = with_offers(atlas(&banks), offers);
    assert_eq!(
        ways(&atlas, &wanted(2, 1, 101, 0)),
        ["2o:76EUR 2:101USD", "1o:76EUR 2:101USD", "1t:77EUR 2o:76EUR 2:101USD"]
    );
}

#[test]
fn two_makers_can_follow_one_another_even_at_the_payers_own_bank() {
    let banks = [record(1, vec![(2, None, vec![0])])];
    let offers =
        vec![notice(1, 0, terms(1, 1_000, 0, 2_000)), notice(2, 0, terms(2, 1_000, 1, 3_000))];
    let atlas = with_offers(atlas(&banks), offers);
    assert_eq!(ways(&atlas, &wanted(1, 2, 10, 0)), ["0o:60EUR 0o:30USD 1:10GBP"]);
}

#[test]
fn offers_that_cannot_serve_a_payment_are_passed_over() {
    let banks = [record(1, vec![(0, None, vec![0])])];
    let good = terms(1, 1_000, 0, 1_000);
    let bad = [
        OfferTerms { selection_window: Duration(1), ..good.clone() },
        OfferTerms { notary: Some(bank(9)), ..good.clone() },
        OfferTerms { counterparties: Bounded::new(vec![bank(9)]).unwrap(), ..good.clone() },
        OfferTerms { expiry: NOW.after(Duration(limits::SETTLEMENT_LIFE_MS)), ..good.clone() },
        OfferTerms { minimum_fill: Amount::new(101), ..good.clone() },
        OfferTerms { give_amount: Amount::new(99), want_amount: Amount::new(1), ..good.clone() },
    ];
    for terms in bad {
        let atlas = with_offers(atlas(&banks), vec![notice(1, 1, terms.clone())]);
        assert!(find(&atlas, &wanted(1, 1, 100, 0)).is_err(), "{terms:?}");
    }
    let atlas = with_offers(atlas(&banks), vec![notice(1, 1, good)]);
    assert_eq!(ways(&atlas, &wanted(1, 1, 100, 0)), ["1o:100EUR 1:100USD"]);
}

#[test]
fn a_domain_that_does_not_say_whom_it_accepts_is_paid_directly_or_not_at_all() {
    let mut silent = record(1, vec![]);
    silent.correspondents = None;
    let mut atlas = atlas(&[silent]);
    assert_eq!(find(&atlas, &wanted(1, 0, 5, 0)), Err(NoWay::NobodyAccepted(bank(1), asset(0))));
    atlas.presume(&bank(1), &[asset(0)]);
    assert_eq!(ways(&atlas, &wanted(1, 0, 5, 0)), ["1:5EUR"]);
}

#[test]
fn it_says_why_there_is_none() {
    let none = |atlas: &Atlas, asked: &Wanted| find(atlas, asked).unwrap_err();
    let lonely = atlas(&[record(1, vec![(0, fee(0, 0), vec![2])]), record(3, vec![])]);
    assert_eq!(none(&lonely, &wanted(0, 0, 5, 0)), NoWay::OneBank);
    assert_eq!(none(&lonely, &wanted(3, 0, 5, 0)), NoWay::NobodyAccepted(bank(3), asset(0)));
    assert_eq!(none(&lonely, &wanted(1, 0, 5, 0)), NoWay::NotAccepted(bank(0), asset(0)));
    let other = atlas(&[record(1, vec![(0, None, vec![0]), (1, None, vec![2])])]);
    let unconnected = NoWay::Unconnected { spend: asset(0), asset: asset(1), payee: bank(1) };
    assert_eq!(none(&other, &wanted(1, 1, 5, 0)), unconnected);

    let chain: Vec<GatewayRecord> =
        (1..10).map(|it| record(it, vec![(0, fee(1, 0), vec![it - 1])])).collect();
    let chain = atlas(&chain);
    assert_eq!(find(&chain, &wanted(7, 0, 5, 0)).unwrap()[0].parties, 8);
    assert_eq!(none(&chain, &wanted(8, 0, 5, 0)), NoWay::TooLong(9));
    let asked = Wanted { max_cost: Amount::new(6), ..wanted(3, 0, 5, 0) };
    let (cheapest, max_cost) = (Amount::new(7), Amount::new(6));
    assert_eq!(none(&chain, &asked), NoWay::TooDear { cheapest, max_cost });
    let offers = vec![notice(1, 1, terms(1, 4, 0, 4))];
    let small = with_offers(atlas(&[record(1, vec![(0, None, vec![0])])]), offers);
    assert_eq!(none(&small, &wanted(1, 1, 5, 0)), NoWay::OffersDoNotFit);
    let codes: BTreeSet<u16> = [
        none(&small, &wanted(1, 1, 5, 0)),
        none(&chain, &asked),
        none(&chain, &wanted(8, 0, 5, 0)),
        unconnected,
        none(&lonely, &wanted(3, 0, 5, 0)),
    ]
    .into_iter()
    .map(|no| Refusal::from(no).code.number())
    .collect();
    assert_eq!(codes.len(), 5, "each reason has a code of its own");
}

#[test]
fn a_large_dense_network_is_searched_within_bounds() {
    let all: Vec<usize> = (0..40).collect();
    let records: Vec<GatewayRecord> = (1..40)
        .map(|it| {
            let others = all.iter().copied().filter(|other| *other != it).collect::<Vec<_>>();
            let asked = u128::try_from(it).unwrap();
            record(it, vec![(0, fee(asked, 10), others.clone()), (1, fee(asked, 0), others)])
        })
        .collect();
    let offers = (1..30_u8).map(|it| notice(it, it.into(), terms(1, 10_000, 0, 10_000)));
    let atlas = with_offers(atlas(&records), offers.collect());
    let found = find(&atlas, &wanted(39, 1, 1_000, 0)).unwrap();
    assert_eq!(found.len(), limits::PAYMENT_ROUTES);
    assert!(found.windows(2).all(|pair| pair[0].cost() <= pair[1].cost()));
    assert_eq!(found[0].cost(), Amount::new(1_000));
}

/// A small network at random: who accepts whom in which asset, fees, offers.
#[derive(Debug, Clone)]
struct Net {
    banks: Vec<Services>,
    offers: Vec<(usize, OfferTerms)>,
}

const BANKS: usize = 5;
const ASSETS: usize = 2;

fn nets() -> impl Strategy<Value = Net> {
    let service = (
        proptest::option::weighted(0.7, (0..3_u128, 0..3_u32)),
        proptest::collection::vec(any::<bool>(), BANKS),
    );
    let bank = proptest::collection::vec(service, ASSETS);
    let offer = (0..BANKS, any::<bool>(), 1..300_u128, 1..300_u128, 0..60_u128);
    let parts = (proptest::collection::vec(bank, BANKS), proptest::collection::vec(offer, 0..4));
    parts.prop_map(|(banks, offers)| Net {
        banks: banks
            .into_iter()
            .map(|services| {
                let services = services.into_iter().enumerate();
                services
                    .map(|(which, (asked, accepts))| {
                        let fee = asked
                            .map(|(flat, ppm)| Fee { flat: Amount::new(flat), ppm: ppm * 10_000 });
                        let accepted = accepts.iter().enumerate().filter(|(_, yes)| **yes);
                        (which, fee, accepted.map(|(peer, _)| peer).collect())
                    })
                    .collect()
            })
            .collect(),
        offers: offers
            .into_iter()
            .map(|(at, way, gives, wants, least)| {
                let (give, want) = if way { (0, 1) } else { (1, 0) };
                let minimum_fill = Amount::new(least.min(gives));
                (at, OfferTerms { minimum_fill, ..terms(give, gives, want, wants) })
            })
            .collect(),
    })
}

/// One step of a way as the brute force writes it: bank, asset got, offer used.
type Move = (usize, usize, Option<usize>);

/// Every way forward from the payer, whatever the amounts.
fn all_ways(net: &Net, payee: usize, arrive: usize, spend: usize) -> Vec<Vec<Move>> {
    let mut done = Vec::new();
    // (bank, asset given, steps so far)
    let mut open: Vec<(usize, usize, Vec<Move>)> = vec![(0, spend, vec![])];
    while let Some((at, gives, steps)) = open.pop() {
        let in_house =
            at == 0 && steps.is_empty() || steps.last().is_some_and(|last| last.2.is_some());
        for to in 0..BANKS {
            let stays = to == at;
            let accepted = !stays && net.banks[to][gives].2.contains(&at);
            let visited = to == 0 || steps.iter().any(|step| step.0 == to);
            if !(stays && in_house) && (!accepted || visited) {
                continue;
            }
            let again = steps.iter().any(|step| (step.0, step.1) == (to, gives));
            if again {
                continue;
            }
            if to == payee && gives == arrive {
                done.push([steps.clone(), vec![(to, gives, None)]].concat());
            }
            if !stays && to != payee && net.banks[to][gives].1.is_some() {
                open.push((to, gives, [steps.clone(), vec![(to, gives, None)]].concat()));
            }
            for (number, (maker, terms)) in net.offers.iter().enumerate() {
                let used = steps.iter().rev().take_while(|step| step.0 == to);
                if *maker == to && terms.want == asset(gives) && used.count() < TURNS {
                    let give = (0..ASSETS).find(|it| asset(*it) == terms.give).unwrap();
                    let step = (to, gives, Some(number));
                    open.push((to, give, [steps.clone(), vec![step]].concat()));
                }
            }
        }
    }
    done
}

/// What the payer gives for a way; none where an offer does not serve.
fn cost_of(net: &Net, way: &[Move], amount: u128) -> Option<u128> {
    let (mut out, mut steps) = (amount, way.iter().rev());
    steps.next();
    for (at, gets, offer) in steps {
        out = match offer {
            Some(number) => {
                let terms = &net.offers[*number].1;
                let (gives, wants) = (terms.give_amount.units(), terms.want_amount.units());
                let least = terms.minimum_fill.units();
                let rest = gives < least && out == gives;
                if out > gives || (out < least && !rest) {
                    return None;
                }
                (out * wants).div_ceil(gives)
            }
            None => {
                let asked = net.banks[*at][*gets].1.unwrap();
                out + asked.flat.units() + (out * u128::from(asked.ppm)).div_ceil(1_000_000)
            }
        };
    }
    Some(out)
}

fn atlas_of(net: &Net) -> Atlas {
    let records: Vec<GatewayRecord> =
        net.banks.iter().enumerate().map(|(at, bank)| record(at, bank.clone())).collect();
    let offers = net.offers.iter().zip(1..).map(|((at, terms), it)| notice(it, *at, terms.clone()));
    with_offers(atlas(&records), offers.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_found_is_what_brute_force_finds(
        net in nets(),
        payee in 1..BANKS,
        (arrive, spend) in (0..ASSETS, 0..ASSETS),
        amount in 1..200_u128,
    ) {
        let brute: Vec<Vec<Move>> = all_ways(&net, payee, arrive, spend);
        let mut costs: Vec<(u128, usize)> = brute
            .iter()
            .filter(|way| way.len() <= limits::ROUTE_HOPS)
            .filter_map(|way| Some((cost_of(&net, way, amount)?, way.len())))
            .collect();
        costs.sort_unstable();
        let found = find(&atlas_of(&net), &wanted(payee, arrive, amount, spend));
        let seen: Vec<(u128, usize)> = found
            .iter()
            .flatten()
            .map(|way| (way.cost().units(), way.steps.len()))
            .collect();
        prop_assert_eq!(seen.is_empty(), costs.is_empty(), "{:?}", found);
        let count = costs.len().min(limits::PAYMENT_ROUTES);
        prop_assert_eq!(seen.len(), count);
        let (paid, least): (Vec<u128>, Vec<u128>) =
            seen.iter().zip(&costs).map(|(way, least)| (way.0, least.0)).unzip();
        prop_assert_eq!(paid, least);
    }
}
