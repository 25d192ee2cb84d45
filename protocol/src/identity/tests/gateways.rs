use super::*;
use crate::limits;
use crate::payment::Fee;
use crate::types::{Hash, Uai};
use std::collections::BTreeSet;

fn record() -> GatewayRecord {
    let address = |text: &str| text.parse().unwrap();
    GatewayRecord {
        network: "test".parse().unwrap(),
        domain: domain("a.example"),
        epoch: Epoch(1),
        peer_id: GatewayPeer::from_ed25519([7; 32]),
        addresses: Bounded::new(vec![address("/dns4/gw.a.example/tcp/7000")]).unwrap(),
        sequence: 5,
        expires: Time(2_500),
        transit: None,
        correspondents: None,
        services: Bounded::new(vec![service(0)]).unwrap(),
    }
}

fn service(number: u8) -> Service {
    Service { asset: asset(number), fee: None, accepts: 0 }
}

fn asset(number: u8) -> Uai {
    Uai::new("EUR".parse().unwrap(), domain("b.example"), &Hash([number; 32]))
}

fn signed(record: &GatewayRecord, key: &SecretKey) -> SignedGatewayRecord {
    SignedGatewayRecord::assemble(record, sign(key, record.to_sign())).unwrap()
}

fn verify(
    world: &World,
    signed: &SignedGatewayRecord,
    known: Option<u64>,
) -> Result<VerifiedGatewayRecord, Refusal> {
    world.anchors.verify_gateway_record(signed, &world.directory, known, NOW, &SIGNATURES)
}

#[test]
fn the_domains_newest_record_passes() {
    let world = World::with_member();
    let wanted = signed(&record(), &key(1));
    for known in [None, Some(4)] {
        let verified = verify(&world, &wanted, known).unwrap();
        assert_eq!(*verified.record(), record());
        assert_eq!(*verified.signed(), wanted);
    }
    for known in [5, 6] {
        refused(Code::StaleSequence, verify(&world, &wanted, Some(known)));
    }
}

#[test]
fn records_that_do_not_hold_are_refused() {
    let world = World::with_member();
    let cases = [
        (Code::WrongNetwork, GatewayRecord { network: "live".parse().unwrap(), ..record() }),
        (Code::UnknownDomain, GatewayRecord { domain: domain("z.example"), ..record() }),
        (Code::UnknownEpoch, GatewayRecord { epoch: Epoch(2), ..record() }),
        (Code::CertificateExpired, GatewayRecord { expires: NOW, ..record() }),
    ];
    for (code, wanted) in cases {
        refused(code, verify(&world, &signed(&wanted, &key(1)), None));
    }
    refused(Code::BadSignature, verify(&world, &signed(&record(), &key(2)), None));
}

#[test]
fn an_expired_member_is_still_found_and_a_revoked_one_is_not() {
    let mut world = World::with_member();
    let lasting = signed(&GatewayRecord { expires: Time(99_000), ..record() }, &key(1));
    let verify_later = |world: &World| {
        let directory = &world.directory;
        world.anchors.verify_gateway_record(&lasting, directory, None, LATER, &SIGNATURES)
    };
    verify_later(&world).unwrap();
    world.authority_revokes(&revocation()).unwrap();
    refused(Code::CertificateRevoked, verify_later(&world));
}

#[test]
fn the_key_before_the_latest_still_signs_records_and_older_ones_do_not() {
    let mut world = World::with_member();
    world.rotate(&rotated(&rotation(&key(2)), &key(1), &key(2))).unwrap();
    verify(&world, &signed(&record(), &key(1)), None).unwrap();
    let new = GatewayRecord { epoch: Epoch(2), ..record() };
    verify(&world, &signed(&new, &key(2)), None).unwrap();
    let onward = Rotation {
        from_epoch: Epoch(2),
        to_epoch: Epoch(3),
        from_height: Height(200),
        ..rotation(&key(3))
    };
    world.rotate(&rotated(&onward, &key(2), &key(3))).unwrap();
    refused(Code::StaleSequence, verify(&world, &signed(&record(), &key(1)), None));
}

#[test]
fn a_record_fits_the_table_or_is_refused() {
    let hybrid = SecretKey::generate(Suite::HybridMlDsa65, &[1; 32]);
    let mut world = World::new();
    world.admit(&world.authority_signed(&certificate("a.example", &hybrid))).unwrap();
    let services = (0..limits::GATEWAY_SERVICES).map(|it| service(u8::try_from(it).unwrap()));
    let full = GatewayRecord { services: Bounded::new(services.collect()).unwrap(), ..record() };
    let fitting = signed(&full, &hybrid);
    assert!(fitting.to_bytes().len() <= limits::DIRECTORY_RECORD_BYTES);
    let received = SignedGatewayRecord::from_bytes(&fitting.to_bytes()).unwrap();
    verify(&world, &received, None).unwrap();

    let long = format!("/dns/{}/tcp/7000", vec!["x".repeat(57); 4].join("."));
    let addresses = vec![long.parse().unwrap(); limits::GATEWAY_ADDRESSES];
    let over = GatewayRecord { addresses: Bounded::new(addresses).unwrap(), ..full };
    let signature = sign(&hybrid, over.to_sign());
    refused(Code::TooLarge, SignedGatewayRecord::assemble(&over, signature));
    refused(Code::TooLarge, SignedGatewayRecord::from_bytes(&[0; 8 * 1024 + 1]));
}

#[test]
fn addresses_have_the_shape_of_multiaddresses() {
    let peer = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    for text in [
        "/ip4/127.0.0.1/tcp/7000",
        "/ip6/::1/tcp/1",
        "/ip6/2001:db8::1/udp/443/quic-v1",
        "/dns/gw.bank-a.example/tcp/443/tls/ws",
        "/dnsaddr/bank-a.example",
        &format!("/ip4/10.0.0.1/tcp/7000/p2p/{peer}"),
        &format!("/dnsaddr/bank-a.example/p2p/{peer}"),
    ] {
        let address: Address = text.parse().unwrap();
        assert_eq!(address.to_string(), text);
        let bytes = crate::codec::encode(&address);
        assert_eq!(crate::codec::decode::<Address, 512>(&bytes), Ok(address));
    }
    for text in [
        "",
        "/",
        "ip4/127.0.0.1/tcp/7000",
        "/ip4/127.0.0.1",
        "/ip4/127.0.0.1/tcp",
        "/ip4/127.0.0.1/tcp/7000/",
        "/ip4/127.0.0.1/tcp/70000",
        "/ip4/127.0.0.1/tcp/07000",
        "/ip4/127.0.0.256/tcp/7000",
        "/ip6/0:0::1/tcp/7000",
        "/ip4/127.0.0.1/sctp/7000",
        "/dns/a..example/tcp/7000",
        "/dns/a b.example/tcp/7000",
        "/unix/tmp/socket",
        "/ip4/127.0.0.1/tcp/7000/p2p/short",
        &format!("/ip4/127.0.0.1/tcp/7000/p2p/{peer}/p2p-circuit"),
        &format!("/ip4/127.0.0.1/tcp/7000{}", "/tls".repeat(40)),
        &format!("/dns/{}/tcp/1", "a.".repeat(200)),
    ] {
        refused(Code::BadAddress, text.parse::<Address>());
    }
}

#[test]
fn peers_are_ed25519_identity_multihashes() {
    let peer = GatewayPeer::from_ed25519([7; 32]);
    let bytes = peer.to_multihash();
    assert_eq!(bytes[..6], [0x00, 0x24, 0x08, 0x01, 0x12, 0x20]);
    assert_eq!(GatewayPeer::from_multihash(&bytes), Ok(peer));
    assert_eq!(peer.to_string(), format!("002408011220{}", "07".repeat(32)));
    assert_eq!(peer.ed25519(), &[7; 32]);
    for place in 0..6 {
        let mut other = bytes;
        other[place] ^= 1;
        refused(Code::BadAddress, GatewayPeer::from_multihash(&other));
        refused(Code::Malformed, crate::codec::decode::<GatewayPeer, 64>(&other));
    }
    refused(Code::BadAddress, GatewayPeer::from_multihash(&bytes[..37]));
    refused(Code::BadAddress, GatewayPeer::from_multihash(&[bytes.as_slice(), &[0]].concat()));
}

fn dealing(number: u8, peers: usize) -> Dealing {
    let accepts = (0..peers).map(|it| domain(&format!("correspondent-bank-{it:03}.example")));
    Dealing { asset: asset(number), fee: Some(Fee::default()), accepts: accepts.collect() }
}

#[test]
fn a_record_says_whose_obligations_are_accepted_in_what() {
    let only_b = Dealing { accepts: [domain("b.example")].into(), ..dealing(1, 0) };
    let both = Dealing {
        fee: None,
        accepts: [domain("c.example"), domain("b.example")].into(),
        ..dealing(2, 0)
    };
    let said = record().dealing(&[both.clone(), only_b.clone()], true);
    let [first, second] = &said.services[..] else { panic!("{said:?}") };
    assert_eq!((&first.asset, first.fee), (&both.asset, None));
    assert_eq!(said.accepted(first).cloned().collect::<BTreeSet<_>>(), both.accepts);
    assert_eq!((&second.asset, second.fee), (&only_b.asset, only_b.fee));
    assert_eq!(said.accepted(second).cloned().collect::<BTreeSet<_>>(), only_b.accepts);

    let silent = record().dealing(&[both, only_b], false);
    assert_eq!(silent.correspondents, None);
    assert!(silent.services.iter().all(|it| it.fee.is_none() && it.accepts == 0));
    assert_eq!(silent.assets().count(), 2, "what it deals in is said all the same");
}

#[test]
fn as_many_correspondents_are_named_as_fit_with_the_signature() {
    let hybrid = SecretKey::generate(Suite::HybridMlDsa65, &[1; 32]);
    let count = u8::try_from(limits::GATEWAY_SERVICES).unwrap();
    let dealings: Vec<Dealing> = (0..count).map(|it| dealing(it, 200)).collect();
    let long = format!("/dns/{}/tcp/7000", vec!["x".repeat(57); 4].join("."));
    let addresses = |count| Bounded::new(vec![long.parse().unwrap(); count]).unwrap();
    let mut named = Vec::new();
    for count in [1, 8, 16] {
        let said =
            GatewayRecord { addresses: addresses(count), ..record() }.dealing(&dealings, true);
        let signed = SignedGatewayRecord::assemble(&said, sign(&hybrid, said.to_sign())).unwrap();
        assert!(signed.to_bytes().len() <= limits::DIRECTORY_RECORD_BYTES);
        named.push((said.correspondents.clone().unwrap().len(), said.services.len()));
        for service in &said.services {
            assert_eq!(said.accepted(service).count(), said.correspondents.as_ref().unwrap().len());
        }
    }
    assert!(named[0].0 > 20, "{named:?}");
    assert!(named.windows(2).all(|pair| pair[0] >= pair[1]), "{named:?}");
    assert_eq!(named[2].0, 0, "{named:?}");
}
