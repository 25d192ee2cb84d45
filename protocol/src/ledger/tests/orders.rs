//! Orders: who signed them, and that an order is one order for ever.

use super::*;
use crate::crypto::suite::PublicKey;
use crate::types::Bytes;

fn order(nonce: u64) -> Order {
    let (network, ledger) = (network(), opening(1).ubi());
    Order { network, ledger, nonce: Nonce(nonce), expiry: NOW, action: Action::Close }
}

fn signed_order(order: &Order) -> SignedOrder {
    let bytes = codec::encode(order);
    let signature = key(1).sign(Tag::Order, &bytes);
    SignedOrder {
        order: Bytes::new(&bytes).unwrap(),
        key: key(1).public().id(),
        signature,
        second: None,
    }
}

/// The same order with the second key's signature.
fn cosigned(order: &Order) -> SignedOrder {
    let signed = signed_order(order);
    let second = key(2).sign(Tag::Order, &signed.order);
    SignedOrder { second: Some((key(2).public().id(), second)), ..signed }
}

fn verify(order: SignedOrder, second: Option<&PublicKey>) -> Result<VerifiedOrder, Refusal> {
    order.verify(&network(), key(1).public(), second, &SIGNATURES)
}

pub(super) fn verified(nonce: u64) -> VerifiedOrder {
    verify(signed_order(&order(nonce)), None).unwrap()
}

#[test]
fn a_signed_order_is_verified_with_the_key_that_it_names() {
    let verified = verified(7);
    assert_eq!(verified.order(), &order(7));
    assert_eq!((verified.key(), verified.second_key()), (&key(1).public().id(), None));
    let second = key(2);
    let cosigned = verify(cosigned(&order(7)), Some(second.public())).unwrap();
    assert_eq!(cosigned.second_key(), Some(&second.public().id()));
}

#[test]
fn the_wrong_key_is_refused() {
    let (one, two) = (key(1), key(2));
    let order = signed_order(&order(7));
    let verified = order.clone().verify(&network(), two.public(), None, &SIGNATURES);
    refused(Code::WrongKey, verified);
    let renamed = SignedOrder { key: two.public().id(), ..order };
    refused(Code::WrongKey, renamed.clone().verify(&network(), one.public(), None, &SIGNATURES));
    refused(Code::BadSignature, renamed.verify(&network(), two.public(), None, &SIGNATURES));
}

#[test]
fn a_second_signature_must_be_by_the_second_key() {
    let order = cosigned(&order(7));
    refused(Code::WrongKey, verify(order.clone(), None));
    refused(Code::WrongKey, verify(order.clone(), Some(key(3).public())));
    let by_other = key(3).sign(Tag::Order, &order.order);
    let second = Some((key(2).public().id(), by_other));
    let forged = SignedOrder { second, ..order };
    refused(Code::BadSignature, verify(forged, Some(key(2).public())));
}

#[test]
fn an_order_for_another_purpose_or_network_is_refused() {
    let order = order(7);
    let bytes = codec::encode(&order);
    let signature = key(1).sign(Tag::Opening, &bytes);
    refused(Code::BadSignature, verify(SignedOrder { signature, ..signed_order(&order) }, None));
    let elsewhere = Order { network: "other".parse().unwrap(), ..order };
    refused(Code::WrongNetwork, verify(signed_order(&elsewhere), None));
}

#[test]
fn bytes_that_are_no_order_are_refused_though_signed() {
    let good = codec::encode(&order(7));
    let trailing = [&good[..], &[0]].concat();
    let short = good[..good.len() - 1].to_vec();
    let cases =
        [(Code::TrailingBytes, trailing), (Code::Malformed, short), (Code::Malformed, Vec::new())];
    for (code, bytes) in cases {
        let signature = key(1).sign(Tag::Order, &bytes);
        let order = Bytes::new(&bytes).unwrap();
        let signed = SignedOrder { order, signature, ..signed_order(&self::order(7)) };
        refused(code, verify(signed, None));
    }
}

#[test]
fn no_changed_byte_of_an_order_is_accepted() {
    let signed = signed_order(&order(7));
    for at in 0..signed.order.len() {
        let mut bytes = signed.order.to_vec();
        bytes[at] ^= 1;
        let changed = SignedOrder { order: Bytes::new(&bytes).unwrap(), ..signed.clone() };
        refused(Code::BadSignature, verify(changed, None));
    }
}

#[test]
fn an_orders_id_is_that_of_its_bytes_and_of_nothing_else() {
    let one = verified(7);
    assert_eq!(verified(7).id(), one.id());
    assert_ne!(verified(8).id(), one.id());
    let cosigned = verify(cosigned(&order(7)), Some(key(2).public())).unwrap();
    assert_eq!(cosigned.id(), one.id(), "a second signature does not make it another order");
    let again = codec::decode::<VerifiedOrder, 65_536>(&codec::encode(&one)).unwrap();
    assert_eq!((again.id(), &again), (one.id(), &one));
}

#[test]
fn every_field_of_an_order_is_in_its_id() {
    let changes: [fn(&mut Order); 5] = [
        |o| o.network = "other".parse().unwrap(),
        |o| o.ledger = Ubi([9; 32]),
        |o| o.nonce = Nonce(8),
        |o| o.expiry = Time(1),
        |o| o.action = Action::Cancel { offer: OrderId([1; 32]) },
    ];
    for change in changes {
        let mut changed = order(7);
        change(&mut changed);
        let signed = signed_order(&changed);
        let network = changed.network.clone();
        let changed = signed.verify(&network, key(1).public(), None, &SIGNATURES).unwrap();
        assert_ne!(changed.id(), verified(7).id());
    }
}
