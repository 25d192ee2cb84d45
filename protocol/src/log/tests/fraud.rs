//! Proofs of fraud: what convicts, and what must not.

use super::*;

fn convicts(proof: &FraudProof) -> Result<(), Refusal> {
    proof.verify(&network(), &members(), &SIGNATURES)
}

fn equivocation(one: &Said, other: &Said) -> FraudProof {
    FraudProof::Equivocation(Box::new((one.signed(), other.signed())))
}

fn by(name: &str, height: u64, record: Record) -> Box<Evidence> {
    Box::new(Said::at(place(name, height), name, &[record]).evidence(0))
}

#[test]
fn two_checkpoints_for_one_height_convict() {
    let proof = equivocation(&Said::by("a", &[locked(1)]), &Said::by("a", &[locked(2)]));
    convicts(&proof).unwrap();
    assert_eq!(proof.domain(), &domain("a"));
    let later = Place { time: Time(1_501), ..place("a", 7) };
    let proof = equivocation(&Said::by("a", &[locked(1)]), &Said::at(later, "a", &[locked(1)]));
    convicts(&proof).unwrap();
}

#[test]
fn the_same_checkpoint_twice_is_no_fraud() {
    let said = Said::by("a", &[locked(1)]);
    refused(Code::NotFraud, convicts(&equivocation(&said, &said)));
}

#[test]
fn two_signatures_of_one_checkpoint_are_no_fraud() {
    // Hybrid signatures are hedged: signing again gives other bytes.
    let hybrid = SecretKey::generate(Suite::HybridMlDsa65, &[1; 32]);
    let certificate = Certificate {
        domain: domain("h"),
        signing_key: hybrid.public().clone(),
        ..certificate("h")
    };
    let (tag, bytes) = certificate.to_sign();
    let signature = key("root").sign(tag, &bytes);
    let signed = SignedCertificate::assemble(&certificate, signature, Vec::new()).unwrap();
    let mut directory = members();
    directory.replay_certificate(&signed).unwrap();
    let batch = Said::at(place("h", 7), "h", &[locked(1)]).batch;
    let sign = || SignedCheckpoint {
        checkpoint: batch.checkpoint().clone(),
        signature: hybrid.sign(Tag::Checkpoint, &batch.checkpoint().to_sign()),
    };
    let (one, other) = (sign(), sign());
    assert_ne!(one.signature, other.signature);
    let proof = FraudProof::Equivocation(Box::new((one, other)));
    refused(Code::NotFraud, proof.verify(&network(), &directory, &SIGNATURES));
}

#[test]
fn checkpoints_of_two_heights_or_two_domains_are_no_fraud() {
    let one = Said::by("a", &[locked(1)]);
    let higher = Said::at(place("a", 8), "a", &[locked(2)]);
    refused(Code::NotFraud, convicts(&equivocation(&one, &higher)));
    refused(Code::NotFraud, convicts(&equivocation(&one, &Said::by("b", &[locked(2)]))));
}

#[test]
fn checkpoints_that_their_domain_did_not_sign_convict_nobody() {
    let one = Said::by("a", &[locked(1)]);
    let forged = Said::at(place("a", 7), "c", &[locked(2)]);
    refused(Code::BadSignature, convicts(&equivocation(&one, &forged)));
    refused(Code::BadSignature, convicts(&equivocation(&forged, &one)));
    let elsewhere = Place { network: "other".parse().unwrap(), ..place("a", 7) };
    let elsewhere = Said::at(elsewhere, "a", &[locked(2)]);
    refused(Code::WrongNetwork, convicts(&equivocation(&one, &elsewhere)));
}

#[test]
fn two_decisions_on_one_settlement_convict_in_either_order() {
    let (settle, refund) = (by("a", 7, settles(1, Vec::new())), by("a", 9, refunds(1)));
    convicts(&FraudProof::ConflictingDecisions(settle.clone(), refund.clone())).unwrap();
    let proof = FraudProof::ConflictingDecisions(refund, settle);
    convicts(&proof).unwrap();
    assert_eq!(proof.domain(), &domain("a"));
}

#[test]
fn an_abort_and_a_reveal_of_one_settlement_convict_in_either_order() {
    let (abort, reveal) = (by("a", 7, aborted(1)), by("a", 9, revealed(1)));
    convicts(&FraudProof::AbortedAndRevealed(abort.clone(), reveal.clone())).unwrap();
    convicts(&FraudProof::AbortedAndRevealed(reveal, abort)).unwrap();
}

#[test]
fn statements_that_do_not_conflict_convict_nobody() {
    let pairs = [
        (by("a", 7, settles(1, Vec::new())), by("a", 9, refunds(2))),
        (by("a", 7, refunds(1)), by("a", 9, refunds(1))),
        (by("a", 7, settles(1, Vec::new())), by("a", 9, settles(1, Vec::new()))),
        (by("a", 7, settles(1, Vec::new())), by("b", 9, refunds(1))),
        (by("a", 7, aborted(1)), by("a", 9, revealed(2))),
        (by("a", 7, aborted(1)), by("b", 9, revealed(1))),
        (by("a", 7, aborted(1)), by("a", 9, refunds(1))),
        (by("a", 7, revealed(1)), by("a", 9, refunds(1))),
        (by("a", 7, locked(1)), by("a", 9, aborted(1))),
        (by("a", 7, page("b", &[])), by("a", 9, page("b", &[]))),
    ];
    for (one, other) in pairs {
        let decisions = FraudProof::ConflictingDecisions(one.clone(), other.clone());
        refused(Code::NotFraud, convicts(&decisions));
        refused(Code::NotFraud, convicts(&FraudProof::AbortedAndRevealed(one, other)));
    }
}

#[test]
fn evidence_that_does_not_hold_convicts_nobody() {
    let (settle, refund) = (by("a", 7, settles(1, Vec::new())), by("a", 9, refunds(1)));
    let forged = Box::new(Said::at(place("a", 9), "c", &[refunds(1)]).evidence(0));
    let proof = FraudProof::ConflictingDecisions(settle.clone(), forged.clone());
    refused(Code::BadSignature, convicts(&proof));
    refused(Code::BadSignature, convicts(&FraudProof::ConflictingDecisions(forged, refund)));
    let mut swapped = by("a", 9, locked(1));
    swapped.record = refunds(1).to_bytes().unwrap();
    refused(Code::BadProof, convicts(&FraudProof::ConflictingDecisions(settle, swapped)));
}
