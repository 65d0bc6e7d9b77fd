use proptest::prelude::*;

use super::*;

/// Reads `device person match time`, where `-` is nobody and the match is given by its first letter.
fn link(text: &str) -> RawLink {
    let [device_id, person_id, matched, linked_time] = text.split(' ').collect::<Vec<_>>()[..] else {
        panic!("not a link: {text}")
    };
    RawLink {
        device_id: device_id.to_owned(),
        person_id: (person_id != "-").then(|| person_id.to_owned()),
        matched: *Match::ALL.iter().find(|known| known.symbol().starts_with(matched)).unwrap(),
        linked_time: linked_time.parse().unwrap(),
    }
}

fn links(texts: &str) -> Links {
    let mut links = Links::new(AcceptedMatches::default());
    texts.split(", ").for_each(|text| links.insert(link(text)));
    links
}

/// Who the phone belongs to at each of the times; `-` when it stands for itself.
fn owners(links: &Links, times: &[i64]) -> String {
    let owner = |time: &i64| links.in_force("phone", *time).map_or("-", |(person_id, _)| person_id);
    times.iter().map(owner).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_link_in_force_is_the_last_one_whatever_its_match() {
    for (texts, times, expected) in [
        ("phone ann A 10", &[9, 10, 11, i64::MAX][..], "- ann ann ann"),
        ("phone ann O 10", &[9, 10], "- ann"),
        ("phone ann I 10", &[9, 10], "- -"),
        ("other ann A 10", &[10], "-"),
        ("phone ann A 10, phone - A 20", &[19, 20], "ann -"),
        ("phone ann A 10, phone bob A 20", &[9, 19, 20], "- ann bob"),
        ("phone bob A 20, phone ann A 10", &[9, 19, 20], "- ann bob"),
        ("phone ann A 10, phone ann I 20", &[19, 20], "ann -"),
        ("phone ann A 10, phone bob I 20, phone cay O 30", &[10, 20, 30], "ann - cay"),
        // Ties: the greater person, nobody below all, then the better match.
        ("phone bob A 10, phone ann A 10", &[10], "bob"),
        ("phone ann A 10, phone bob I 10", &[10], "-"),
        ("phone - A 10, phone ann O 10", &[10], "ann"),
        ("phone ann I 10, phone ann O 10", &[10], "ann"),
        ("phone ann O 10, phone ann I 10", &[10], "ann"),
        // Persons are compared byte for byte.
        ("phone Z A 10, phone a A 10", &[10], "a"),
        ("phone é A 10, phone z A 10", &[10], "é"),
        ("phone ann A 10, phone anna A 10", &[10], "anna"),
    ] {
        assert_eq!(owners(&links(texts), times), expected, "{texts}");
    }
}

#[test]
fn the_match_is_told_and_which_are_accepted_is_configured() {
    let texts = "phone ann A 10, phone ann O 20, phone ann I 30";
    for (names, expected) in [
        (&["AUTHENTICATED", "OBSERVED"][..], [Some(Match::Authenticated), Some(Match::Observed), None]),
        (&["INFERRED"], [None, None, Some(Match::Inferred)]),
        (&[], [None, None, None]),
    ] {
        let mut links = Links::new(AcceptedMatches::from_symbols(names).unwrap());
        texts.split(", ").for_each(|text| links.insert(link(text)));
        let matches = [10, 20, 30].map(|time| links.in_force("phone", time).map(|(_, matched)| matched));
        assert_eq!(matches, expected, "{names:?}");
    }
    let error = AcceptedMatches::from_symbols(&["OBSERVED", "observed"]).unwrap_err();
    assert!(error.to_string().contains("\"observed\""), "{error}");
}

#[test]
fn an_erasure_ends_the_links_of_a_person_from_its_time_on() {
    let texts = "phone ann A 10, tablet ann A 10, tablet bob A 20, tv bob A 10, watch ann A 50, pad ann I 10";
    let mut links = links(texts);
    let ended = links.end_person("ann", 30);
    assert_eq!((ended.links, ended.devices.join(" ").as_str()), (2, "pad phone"));
    assert_eq!(owners(&links, &[9, 10, 29, 30, 99]), "- ann ann - -");
    assert_eq!(links.in_force("tablet", 19).map(|found| found.0), Some("ann"));
    assert_eq!(links.in_force("tablet", 30).map(|found| found.0), Some("bob"));
    assert_eq!(links.in_force("watch", 50).map(|found| found.0), Some("ann"), "linked anew");
    assert!(links.end_person("ann", 30) == ended, "a step that is done again asks for the same");
    assert!(links.end_person("ann", 40) == EndedLinks::default(), "nothing is left to end");

    links.insert(link("phone ann A 29"));
    assert_eq!(owners(&links, &[29, 30]), "ann -", "learnt late, but of before");
    links.insert(link("phone ann A 30"));
    assert_eq!(owners(&links, &[29, 30]), "ann ann", "linked anew");
}

#[test]
fn an_erasure_ends_the_links_of_a_device_from_its_time_on() {
    let mut links = links("phone ann A 10, tv bob A 10");
    assert_eq!(links.end_device("phone", 10), 0, "the link is not of before");
    assert_eq!([links.end_device("phone", 30), links.end_device("phone", 30)], [1, 1]);
    assert_eq!(links.end_device("phone", 40), 0);
    assert_eq!(links.end_device("unknown", 30), 0);
    assert_eq!(owners(&links, &[9, 10, 29, 30, 99]), "- ann ann - -");
    assert_eq!(links.in_force("tv", 99).map(|found| found.0), Some("bob"));
}

#[test]
fn a_tombstone_goes_where_the_ended_link_stands_unless_a_newer_one_would_go_with_it() {
    let mut links = links("tv ann A 10, tv bob A 20");
    links.insert_from(link("phone ann A 10"), 3);
    assert_eq!([links.ended_in("phone"), links.ended_in("unknown")], [None; 2], "it is in force");
    links.end_person("ann", 30);
    links.end_device("tv", 15);
    assert_eq!([links.ended_in("phone"), links.ended_in("tv")], [Some(3), None]);
}

#[test]
fn forgetting_a_person_does_not_give_the_device_back_to_its_earlier_owner() {
    let mut links = links("phone bob A 10, phone ann A 20, phone ann O 30, phone cay A 40, tv ann A 10");
    let ended = links.forget_person("ann");
    assert_eq!((ended.links, ended.devices.join(" ").as_str()), (3, "phone tv"));
    assert_eq!(owners(&links, &[10, 20, 30, 40]), "bob - - cay");
    assert!(links.forget_person("ann") == EndedLinks::default());
}

#[test]
fn a_forgotten_device_has_no_links() {
    let mut links = links("phone bob A 10, phone ann A 20, tv ann A 10");
    assert_eq!((links.devices(), links.forget_device("phone"), links.devices()), (2, 2, 1));
    assert_eq!(owners(&links, &[10, 20]), "- -");
    assert_eq!(links.forget_device("phone"), 0);
}

/// The page's sentence, word for word, over a plain list.
fn naive<'a>(all: &'a [RawLink], device_id: &str, time: i64) -> Option<(&'a str, Match)> {
    let in_force = all
        .iter()
        .filter(|link| link.device_id == device_id && link.linked_time <= time)
        .max_by_key(|link| (link.linked_time, link.person_id.as_deref(), link.matched))?;
    let accepted = matches!(in_force.matched, Match::Authenticated | Match::Observed);
    in_force.person_id.as_deref().filter(|_| accepted).map(|person_id| (person_id, in_force.matched))
}

/// Links in the text form that [`link`] reads, few enough of everything to meet often.
fn any_links() -> impl Strategy<Value = Vec<String>> {
    let device_id = prop::sample::select(vec!["phone", "tv", "é"]);
    let person_id = prop::sample::select(vec!["-", "a", "b", "ba", "B", "é"]);
    let matched = prop::sample::select(vec!["A", "O", "I"]);
    let text = (device_id, person_id, matched, 0..12).prop_map(|(device_id, person_id, matched, time)| {
        format!("{device_id} {person_id} {matched} {time}")
    });
    prop::collection::vec(text, 0..30)
}

fn read(texts: &[String]) -> (Links, Vec<RawLink>) {
    let all: Vec<RawLink> = texts.iter().map(|text| link(text)).collect();
    let mut links = Links::default();
    all.iter().cloned().for_each(|link| links.insert(link));
    (links, all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn links_agree_with_a_plain_list(texts in any_links()) {
        let (links, all) = read(&texts);
        for device_id in ["phone", "tv", "é", "none"] {
            for time in -1..14 {
                prop_assert_eq!(links.in_force(device_id, time), naive(&all, device_id, time));
            }
        }
    }

    #[test]
    fn after_an_erasure_nobody_is_found_by_a_link_of_before(
        texts in any_links(), at in 0..14_i64,
    ) {
        let (mut links, all) = read(&texts);
        links.end_person("b", at);
        let since: Vec<RawLink> = all.iter().filter(|link| link.linked_time >= at).cloned().collect();
        for device_id in ["phone", "tv", "é"] {
            for time in -1..14 {
                let before = naive(&all, device_id, time);
                let named = before.filter(|(person_id, _)| {
                    time < at || *person_id != "b" || naive(&since, device_id, time) == before
                });
                prop_assert_eq!(links.in_force(device_id, time), named);
            }
        }
    }
}
