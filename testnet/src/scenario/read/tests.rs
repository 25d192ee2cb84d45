//! Every kind of mistake, at its place.

use super::*;

/// A file with one mistake on each line that is marked by the words it is told in.
const WRONG: &str = r#"title = 7                               #! 9 a text with a title is expected
colour = "red"                          #! 1 there is no such key; known here: title
[network]
banks = ["bank-a", "Bank", "bank-a"]    #! 20 a name of small letters
notaries = ["bank-q"]                   #! 13 there is no bank `bank-q`; there are bank-a
settlement-life = "5 s"                 #! 19 a span of time is expected
suite = 3                               #! 9 a whole number from 1 to 2
[[asset]]
name = "EUR:bank-z"                     #! 8 there is no bank `bank-z`
[[asset]]
name = "EUR:bank-a"
decimals = 40                           #! 12 a whole number from 0 to 18
[[asset]]
name = "eur:bank-a"                     #! 8 Q-1010
[[holder]]
name = "alice@bank-a"
has = ["1.00 EUR:bank-a", "x EUR:bank-a"] #! 27 `x` is no number
[[holder]]
name = "alice@bank-a"                   #! 8 `alice@bank-a` is there twice
[[holder]]
name = "bob"                            #! 8 NAME@BANK is expected
[[trust]]                               #! 1 bank-a.example cannot trust itself
by = "bank-a"
to = "bank-a"
limit = "1.00 all"
[[trust]]                               #! 1 `limit` is missing: an amount
by = "all"
to = "nobody"                           #! 6 there is no bank `nobody`
[[step]]                                #! 1 this step waits for itself
name = "first"
after = "second"
offer = { by = "alice@bank-a", give = "1.001 EUR:bank-a", want = "1 USD:bank-a" } #! 39 no number
[[step]]                                #! 1 this step waits for itself
name = "second"
after = "first"
take = { by = "carol@bank-a", offer = "first" } #! 15 there is no holder `carol@bank-a`
[[step]]                                #! 1 one of these keys is expected: offer, take
name = "first"                          #! 8 another step is called `first`
[[step]]
kill = "bank-a"
restart = "bank-a"                      #! 11 a step does one thing
[[step]]
when = "bank-a says Loked"              #! 8 there is no step `Loked`; there are Agreed
crash = { bank = "bank-a", at = "later:Locked" } #! 33 there is no moment `later`
[[step]]
expect = "settled"                      #! 10 only orders
check = { runs = 1, bank = "bank-a" }   #! 18 true or false is expected
[[step]]
take = { by = "alice@bank-a", offer = "last" } #! 39 has to stand before
expect = "refused Q-0007"               #! 10 there is no such code
[[step]]
name = "last"
check = { offers = "9..3", bank = "bank-a" } #! 20 a count like 3, 3..5 or 3..
[[step]]
check = { ends = "settled" }            #! 9 just one of these keys
"#;

#[test]
fn every_mistake_is_told_with_its_line_and_column() {
    let told = read(WRONG).unwrap_err();
    let mut wanted = Vec::new();
    for (index, line) in WRONG.lines().enumerate() {
        let Some((_, mark)) = line.split_once("#! ") else { continue };
        let (column, words) = mark.split_once(' ').unwrap();
        wanted.push((index + 1, column.parse::<usize>().unwrap(), words));
    }
    for (line, column, words) in &wanted {
        let found = told
            .iter()
            .any(|it| (it.line, it.column) == (*line, *column) && it.to_string().contains(words));
        assert!(found, "{line}:{column}: {words}: not among {told:#?}");
    }
    let marked: BTreeSet<usize> = wanted.iter().map(|(line, ..)| *line).collect();
    let others: Vec<_> = told.iter().filter(|it| !marked.contains(&it.line)).collect();
    assert!(others.is_empty(), "told of lines that are right: {others:#?}");
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let told = read("title = \"x\"\nnetwork = {\n[[[").unwrap_err();
    assert!(told.iter().any(|it| it.line >= 2 && it.what.contains("no TOML")), "{told:?}");
}

#[test]
fn two_limits_for_one_pair_have_to_agree_and_what_one_bank_issues_only_it_gives() {
    let text = r#"
title = "x"
network = { banks = ["a", "b"] }
asset = [{ name = "EUR:a" }]
holder = [{ name = "x@b", has = "1.00 EUR:a" }]
trust = [
  { by = "all", to = "all", limit = "5.00 all" },
  { by = "a", to = "b", limit = "5.00 EUR:a" },
  { by = "a", to = "b", limit = "6.00 EUR:a" },
]
step = [{ kill = "a" }]
"#;
    let told: Vec<(usize, String)> =
        read(text).unwrap_err().into_iter().map(|it| (it.line, it.what)).collect();
    let [(5, first), (9, second)] = &told[..] else { panic!("{told:?}") };
    assert!(first.contains("what its own bank issues"), "{first}");
    assert!(second.contains("another limit"), "{second}");
}
