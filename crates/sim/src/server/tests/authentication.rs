use floe_stun::{
    attribute::{Lifetime, Software},
    nonce_features,
};

use super::*;

#[test]
fn rfc8489_9_2_4_the_first_answer_is_a_401_with_realm_nonce_and_algorithms() {
    let mut bench = Bench::new(config());
    for method in [Method::ALLOCATE, Method::REFRESH, Method::CREATE_PERMISSION, Method::CHANNEL_BIND] {
        let bytes = Client::new().plain(method, |_| Ok(()));
        let answer = bench.ask(client(), &bytes);
        assert_eq!(answer.code(), 401);
        assert!(!answer.message().has_integrity());
        assert_eq!(answer.get::<Realm<'_>>().unwrap().as_bytes(), b"floe.invalid");
        let features = nonce_features(answer.get::<Nonce<'_>>().unwrap().as_bytes()).unwrap();
        assert!(features.password_algorithms && features.username_anonymity);
        assert_eq!(answer.get(), Some(PasswordAlgorithms::SHA256_AND_MD5));
    }
}

#[test]
fn a_server_of_rfc_5389_offers_no_algorithms() {
    let mut config = config();
    config.security = Security::Rfc5389;
    let mut bench = Bench::new(config);
    let bytes = Client::new().plain(Method::ALLOCATE, |_| Ok(()));
    let answer = bench.ask(client(), &bytes);
    assert_eq!((answer.code(), answer.get::<PasswordAlgorithms<'_>>()), (401, None));
    assert!(nonce_features(answer.get::<Nonce<'_>>().unwrap().as_bytes()).is_none());
    Client::challenged(&mut bench).allocated(&mut bench);
}

#[test]
fn rfc8489_9_2_4_two_sources_never_get_the_same_nonce() {
    let mut bench = Bench::new(config());
    let nonces: Vec<Vec<u8>> = (1..=50)
        .map(|port| {
            let mut client = Client::new();
            client.address.set_port(port);
            client.hear_challenge(&mut bench);
            client.nonce
        })
        .collect();
    let distinct: BTreeSet<_> = nonces.iter().collect();
    assert_eq!(distinct.len(), nonces.len());
}

#[test]
fn every_style_of_credentials_allocates_and_is_answered_in_kind() {
    for style in [Style::Classic, Style::Negotiated, Style::Anonymous] {
        let mut bench = Bench::new(config());
        let mut client = Client::challenged(&mut bench);
        client.style = style;
        let answer = client.allocate(&mut bench);
        assert_eq!(answer.assert_success().get::<Software<'_>>().unwrap().as_bytes(), b"floe-sim");
    }
}

#[test]
fn rfc8489_9_2_4_integrity_without_the_rest_is_a_400() {
    let mut bench = Bench::new(config());
    let client = Client::challenged(&mut bench);
    let key = client.key();
    for left_out in 0..3 {
        let mut buffer = vec![0; 512];
        let id = TransactionId([0x77; 12]);
        let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::ALLOCATE, id).unwrap();
        if left_out != 0 {
            writer.put(&Username::new(USER.as_bytes()).unwrap()).unwrap();
        }
        if left_out != 1 {
            writer.put(&Realm::new(&client.realm).unwrap()).unwrap();
        }
        if left_out != 2 {
            writer.put(&Nonce::new(&client.nonce).unwrap()).unwrap();
        }
        let len = writer.sign(&key, Algorithm::Sha1).unwrap().finish();
        let answer = bench.ask(client.address, &buffer[..len]);
        assert_eq!(answer.code(), 400);
        let message = answer.message();
        assert!(!message.has_integrity() && message.raw(AttributeType::NONCE).is_none());
    }
}

#[test]
fn wrong_names_and_passwords_are_told_apart_by_nobody() {
    let mut bench = Bench::new(config());
    let mut shape = Vec::new();
    for (name, password) in [(USER, "wrong"), ("nobody", PASSWORD), ("eve", PASSWORD)] {
        let mut client = Client::challenged(&mut bench);
        (client.name, client.password) = (name, password);
        let bytes = client.signed(Method::ALLOCATE, |writer| writer.put(&RequestedTransport::UDP));
        let answer = bench.ask(client.address, &bytes);
        assert_eq!(answer.code(), 401);
        shape.push(answer.message().attributes().map(|a| (a.kind, a.value.len())).collect::<Vec<_>>());
    }
    assert!(shape.windows(2).all(|two| two[0] == two[1]));
    assert_eq!(bench.server.allocations(), 0);
}

#[test]
fn stn_09_what_stands_behind_the_integrity_attribute_is_not_seen() {
    let mut bench = Bench::new(config());
    let mut client = Client::challenged(&mut bench);
    let mut bytes = client.signed(Method::ALLOCATE, |_| Ok(()));
    // REQUESTED-TRANSPORT UDP, appended by somebody on the path who corrects the length.
    bytes.extend([0, 0x19, 0, 4, 17, 0, 0, 0]);
    let len = u16::try_from(bytes.len() - 20).unwrap().to_be_bytes();
    bytes[2..4].copy_from_slice(&len);
    let answer = bench.ask(client.address, &bytes);
    assert_eq!(answer.code(), 400, "the signed part lacks REQUESTED-TRANSPORT");
}

#[test]
fn rfc8489_9_2_4_the_list_of_algorithms_must_come_back_unchanged() {
    let mut bench = Bench::new(config());
    let mut client = Client::challenged(&mut bench);
    let lists: [&[u8]; 3] = [&[0, 1, 0, 0], &[0, 1, 0, 0, 0, 2, 0, 0], &[]];
    for list in lists {
        let id = client.id();
        let mut buffer = vec![0; 512];
        let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::ALLOCATE, id).unwrap();
        writer.put(&Username::new(USER.as_bytes()).unwrap()).unwrap();
        writer.put(&Realm::new(&client.realm).unwrap()).unwrap();
        writer.put(&Nonce::new(&client.nonce).unwrap()).unwrap();
        if !list.is_empty() {
            writer.put(&PasswordAlgorithms::from_bytes(list).unwrap()).unwrap();
        }
        writer.put(&PasswordAlgorithmAttribute::new(PasswordAlgorithm::Md5)).unwrap();
        let len = writer.sign(&client.key(), Algorithm::Sha1).unwrap().finish();
        assert_eq!(bench.ask(client.address, &buffer[..len]).code(), 400, "{list:?}");
    }
}

#[test]
fn an_old_nonce_is_a_438_with_a_new_one_that_works() {
    let mut config = config();
    config.lifetimes.nonce = Duration::from_secs(30);
    let mut bench = Bench::new(config);
    let mut client = Client::challenged(&mut bench);
    client.allocated(&mut bench);
    bench.wait_secs(29);
    client.permit(&mut bench, peer()).assert_success();
    bench.wait_secs(1);
    let stale = client.permit(&mut bench, peer());
    assert_eq!(stale.code(), 438);
    assert!(!stale.message().has_integrity());
    assert_eq!(stale.get(), Some(PasswordAlgorithms::SHA256_AND_MD5));
    client.learn(&stale);
    client.permit(&mut bench, peer()).assert_success();
}

#[test]
fn a_nonce_of_another_client_is_a_438() {
    let mut bench = Bench::new(config());
    let mut client = Client::challenged(&mut bench);
    client.address = address("192.0.2.11:50000");
    assert_eq!(client.allocate(&mut bench).code(), 438);
}

#[test]
fn rfc8656_5_another_user_on_the_same_five_tuple_is_a_441() {
    let mut bench = Bench::new(config());
    let mut client = Client::challenged(&mut bench);
    client.allocated(&mut bench);
    (client.name, client.password) = ("eve", "other words");
    let codes = [
        client.permit(&mut bench, peer()).code(),
        client.bind(&mut bench, 0x4000, peer()).code(),
        client.ask(&mut bench, Method::REFRESH, |writer| writer.put(&Lifetime(0))).code(),
    ];
    assert_eq!(codes, [441; 3]);
    assert_eq!(client.allocate(&mut bench).code(), 437, "an Allocate only learns that there is one");
    assert_eq!(bench.server.allocations(), 1);
}

#[test]
fn debug_output_shows_no_password() {
    let config = config();
    let shown = format!("{config:?} {:?}", Server::new(config.clone(), [42; 32]));
    assert!(!shown.contains(PASSWORD) && shown.contains(USER));
}
