//! Whole configurations: what is accepted, and how problems are told.

use super::*;

fn told(text: &str) -> Vec<String> {
    let input = Input { file: Some("t.toml".to_owned()), ..Input::text(text) };
    let problems = Config::load(&input).expect_err("it is wrong");
    problems.list.iter().map(|problem| format!("{}: {problem}", problems.locate(problem))).collect()
}

#[test]
fn the_defaults_are_right() {
    let config = Config::default();
    assert_eq!(config.windows(), [WindowLength::HOUR, WindowLength::DAY]);
    assert_eq!(config.accepted_matches(), AcceptedMatches::default());
    assert_eq!(config.duplicate_memory_ms(), 3_600_000);
    let clicks = config.topic(Topic::Clickstream);
    assert_eq!(
        (clicks.name.as_str(), clicks.holds_frontier, clicks.idle_after_ms),
        ("clickstream", true, Some(30_000))
    );
    assert!(!config.topic(Topic::Erasures).holds_frontier);
}

#[test]
fn a_topic_takes_over_what_it_does_not_say() {
    let text = "[time]\nlate_memory_ms = 5\nout_of_orderness_ms = 7\n\
                [topics.messages]\nidle_after_ms = 'never'\nlate_memory_ms = 86_400_000\nname = 'mail'";
    let config = Config::load(&Input::text(text)).unwrap();
    let mail = config.topic(Topic::Messages);
    assert_eq!(mail.name, "mail");
    assert_eq!((mail.out_of_orderness_ms, mail.late_memory_ms, mail.idle_after_ms), (7, 86_400_000, None));
    assert_eq!(config.topic(Topic::Clickstream).late_memory_ms, 5);
    assert_eq!(config.duplicate_memory_ms(), 86_400_000);
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_file() {
    let text = "\
[time]
late_memry_ms = 5
idle_after_ms = 'nevr'

[windows]
lengths = ['1h', '5h']

[patterns.relentless_retargeting]
in_24h = [10, 6, 20]
weights = [-0.3, -0.6, -1.5]
interest_factor = 0.5

[http]
listen = 'here'
";
    assert_eq!(
        told(text),
        [
            "t.toml:2:1: time.late_memry_ms: unknown key; did you mean `late_memory_ms`?",
            "t.toml:3:17: time.idle_after_ms = \"nevr\": must be an integer from 1 to 2592000000 or \"never\"; did you mean \"never\"?",
            "t.toml:6:18: windows.lengths[1] = \"5h\": must be one of \"1h\", \"2h\", \"3h\", \"4h\", \"6h\", \"8h\", \"12h\", \"1d\"; did you mean \"8h\"?",
            "t.toml:9:10: patterns.relentless_retargeting.in_24h = [10, 6, 20]: must not fall: a higher severity cannot need less",
            "t.toml:10:24: patterns.relentless_retargeting.weights[2] = -1.5: must be a number from -1.0 to 1.0",
            "t.toml:11:19: patterns.relentless_retargeting.interest_factor = 0.5: must be a number of at least 1.0",
            "t.toml:14:10: http.listen = \"here\": must be an IP address and a port, for example \"127.0.0.1:9464\"",
        ]
    );
}

#[test]
fn overrides_are_checked_like_the_base() {
    let text = "\
[[override]]
[override.patterns]
emial_opens = true

[[override]]
brand = 'acme'
jurisdiction = 'usa'
patterns.retargeting_after_purchase.counts = [3, 2, 1]

[[override]]
brand = 'acme'
[[override]]
brand = 'acme'
";
    assert_eq!(
        told(text),
        [
            "t.toml:3:1: override[0].patterns.emial_opens: unknown key; did you mean `email_opens`?",
            "t.toml:7:16: override[1].jurisdiction = \"usa\": must be an ISO 3166 country such as \"DE\", or one with a region such as \"US-CA\"",
            "t.toml:8:46: override[1].patterns.retargeting_after_purchase.counts = [3, 2, 1]: must not fall: a higher severity cannot need less",
            "t.toml:12:1: override[3]: has the same brand and jurisdiction as an earlier one; put them together",
        ]
    );
    assert_eq!(
        told("[[override]]\npatterns.email_opens = true"),
        [
            "t.toml:1:1: override[0]: needs `brand`, `jurisdiction` or both; what holds for all stands in [patterns]"
        ]
    );
}

#[test]
fn relations_are_told_at_what_was_set() {
    for (text, problem) in [
        (
            "[time]\nmax_lead_ms = 1_000\n[topics.messages]\nout_of_orderness_ms = 11_000",
            "t.toml:2:15: time.max_lead_ms = 1000: must be above 1000",
        ),
        (
            "[topics.messages]\nout_of_orderness_ms = 60_000",
            "t.toml:1:2: topics = a table: must be above 50000",
        ),
        (
            "[windows]\nlengths = ['1h', '1d', '1h']",
            "t.toml:2:11: windows.lengths = [\"1h\", \"1d\", \"1h\"]: must name each length once",
        ),
        (
            "[topics.messages]\nname = 'clickstream'",
            "t.toml:2:8: topics.messages.name = \"clickstream\": must be another topic",
        ),
        (
            "[topics.messages]\nname = 'trustline.x'",
            "t.toml:2:8: topics.messages.name = \"trustline.x\": a source topic's name",
        ),
        (
            "[topics.messages]\nname = 'a b'",
            "t.toml:2:8: topics.messages.name = \"a b\": must be a Kafka topic",
        ),
        (
            "[privacy]\nkey_file = 'a'\nkey_env = 'B'",
            "t.toml:2:12: privacy.key_file = \"a\": give the key by file or by environment",
        ),
        (
            "[run]\nstep_time_ms = 2_000\n[kafka]\ntransaction_timeout_ms = 2_000",
            "t.toml:2:16: run.step_time_ms = 2000: run.step_time_ms must be below",
        ),
        (
            "[kafka]\ntransaction_timeout_ms = 1_000\n[run]\nstep_time_ms = 5_000",
            "t.toml:4:16: run.step_time_ms = 5000: run.step_time_ms must be below",
        ),
        (
            "[run]\nstalled_after_ms = 400_000",
            "t.toml:2:20: run.stalled_after_ms = 400000: run.stalled_exit_after_ms must be above",
        ),
        (
            "[kafka]\nsecurity = 'sasl_ssl'",
            "t.toml:2:12: kafka.security = \"sasl_ssl\": a log-in needs kafka.mechanism",
        ),
        ("[kafka]\nmechanism = 'PLAIN'", "t.toml:2:13: kafka.mechanism = \"PLAIN\": needs security"),
        (
            "[kafka]\nsecurity = 'sasl_ssl'\nmechanism = 'PLAIN'\nuser = 'u'",
            "t.toml:3:13: kafka.mechanism = \"PLAIN\": needs kafka.password_file",
        ),
        (
            "[kafka]\nsecurity = 'sasl_ssl'\nmechanism = 'OAUTHBEARER'\nuser = 'u'\npassword_env = 'P'",
            "t.toml:3:13: kafka.mechanism = \"OAUTHBEARER\": needs kafka.token_url",
        ),
        ("[kafka]\nca_file = 'x'", "t.toml:2:11: kafka.ca_file = \"x\": needs security"),
        ("[kafka]\nbrokers = ['x']", "t.toml:2:11: kafka.brokers = [\"x\"]: each must be `host:port`"),
        ("[state]\nurl = 'ftp://x'", "t.toml:2:7: state.url = \"ftp://x\": must be `file:`"),
        (
            "[topics.messages]\nformat = 'avro'",
            "t.toml:2:10: topics.messages.format = \"avro\": needs registry.url",
        ),
        ("[registry]\nurl = 'x'", "t.toml:2:7: registry.url = \"x\": must start with"),
        (
            "[registry]\nurl = 'https://me:secret@x'",
            "t.toml:2:7: registry.url: must hold no user or password",
        ),
        ("[score.drops]\nrate = 0.0", "t.toml:2:8: score.drops.rate = 0.0: must be above 0 and below 1"),
        (
            "[consent]\ngpc_jurisdictions = ['US-CA', 'us']",
            "t.toml:2:21: consent.gpc_jurisdictions = [\"US-CA\", \"us\"]: each must be an ISO 3166",
        ),
        ("[registry]\nuser = 'x'", "t.toml:2:8: registry.user = \"x\": needs registry.secret_file"),
    ] {
        let told = told(text);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(problem), "{told:?}");
    }
    let none_holds = ["ad-deliveries", "clickstream", "messages"]
        .map(|t| format!("[topics.{t}]\nholds_frontier = false\n"));
    assert_eq!(
        told(&none_holds.concat()),
        ["t.toml:1:2: topics = a table: at least one topic must hold the frontier, or time stands still"]
    );
}

#[test]
fn a_relation_is_silent_where_one_side_is_wrong_already() {
    let told = told("[kafka]\nsession_timeout_ms = 400_000\nmax_poll_interval_ms = 'long'");
    assert_eq!(
        told,
        ["t.toml:3:24: kafka.max_poll_interval_ms = \"long\": must be an integer from 10000 to 3600000"]
    );
}

#[test]
fn what_the_brokers_decide_for_a_group_is_not_set_here() {
    let consumer = "[kafka]\ngroup_protocol = 'consumer'\n";
    assert!(Config::load(&Input::text(&format!("{consumer}max_poll_interval_ms = 20_000"))).is_ok());
    assert_eq!(
        told(&format!("{consumer}session_timeout_ms = 6_000")),
        [
            "t.toml:3:22: kafka.session_timeout_ms = 6000: is the brokers' with group_protocol = \"consumer\": \
             leave it out, set their group.consumer.session.timeout.ms"
        ]
    );
    let named = "[kafka]\ninstance_id = 'a b'\n";
    assert!(Config::load(&Input::text(named)).is_ok());
    assert_eq!(
        told(&format!("{named}static_membership = true")),
        [
            "t.toml:2:15: kafka.instance_id = \"a b\": with static_membership brokers take up to 240 letters, digits, \
             `.`, `_` and `-`"
        ]
    );
}

#[test]
fn the_environment_wins_and_its_problems_name_the_variable() {
    let input = |value: &str| Input {
        environment: vec![("TRUSTLINE__TIME__LATE_MEMORY_MS".into(), value.into())],
        ..Input::text("[time]\nlate_memory_ms = 1")
    };
    assert_eq!(Config::load(&input("2")).unwrap().settings.time.late_memory_ms, 2);
    let problems = Config::load(&input("soon")).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "the configuration has 1 problem\n  environment variable TRUSTLINE__TIME__LATE_MEMORY_MS: \
         time.late_memory_ms = \"soon\": must be an integer from 1 to 604800000"
    );
}

#[test]
fn an_unknown_key_does_not_show_its_value() {
    let told = told("[kafka]\npassword = 'hunter2'").concat();
    assert!(told.contains("kafka.password: unknown key") && !told.contains("hunter2"), "{told}");
}

#[test]
fn what_is_printed_reads_back_the_same() {
    let text = "[time]\nidle_after_ms = 'never'\n[[override]]\nbrand = 'a \"b\"'\n[override.patterns.consent_nagging]\nweights = [-0.1, -0.2, -1]";
    let config = Config::load(&Input::text(text)).unwrap();
    let printed = effective(&config.settings).unwrap();
    let again = Config::load(&Input::text(&printed)).unwrap();
    assert_eq!(again.hash(), config.hash());
    assert_eq!(again.settings.time, config.settings.time);
    assert_eq!(again.settings.overrides.len(), 1);
}

#[test]
fn the_weights_of_scores_are_those_of_the_brand() {
    let text = "[patterns.consent_nagging]\nweights = [-0.1, -0.2, -0.3]\n\
                [[override]]\nbrand = 'acme'\npatterns.consent_nagging.weights = [-0.4, -0.5, -0.6]\n\
                [[override]]\nbrand = 'acme'\njurisdiction = 'DE'\npatterns.consent_nagging.weights = [-0.7, -0.8, -0.9]";
    let config = Config::load(&Input::text(text)).unwrap();
    let at = crate::patterns::Pattern::ConsentNagging.index();
    assert_eq!(config.weights().of("other")[at], [-0.1, -0.2, -0.3]);
    assert_eq!(config.weights().of("acme")[at], [-0.4, -0.5, -0.6]);
    let acme = config.rule_book(|_| 1).of_brand("acme");
    assert_eq!(acme.in_jurisdiction("DE").rules.consent_nagging.weights, [-0.7, -0.8, -0.9]);
}

#[test]
fn a_part_of_a_section_leaves_the_rest_at_its_own_defaults() {
    let config = Config::load(&Input::text("[score.drops.days]\naccept = 21")).unwrap();
    let days = &config.settings.score.drops.days;
    assert_eq!((days.threshold, days.learn, days.accept), (5.0, 14, 21));
}
