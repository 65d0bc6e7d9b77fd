//! `trustline topics acls`: the least that `run` must be allowed.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::out::print;
use super::{Failure, config};
use crate::config::Config;
use crate::driver::access::needed;
use crate::driver::stages::StageName;
use crate::log::access::{Operation, Permission, Resource};

/// Options of `topics acls`.
#[derive(Debug, clap::Args)]
pub struct AclsArgs {
    /// Whom to allow it; `User:` and `kafka.user` by default. With client certificates the certificate's name as the brokers map it.
    #[arg(long, value_name = "TYPE:NAME")]
    pub principal: Option<String>,
    /// Stages that run under this principal; all by default.
    #[arg(long, value_delimiter = ',')]
    pub stages: Vec<StageName>,
    /// A list of bindings instead of commands.
    #[arg(long)]
    pub json: bool,
}

/// The command was not told enough.
#[derive(Debug, thiserror::Error)]
enum PrincipalError {
    #[error("whom to allow it? kafka.user is not set: give --principal, such as User:trustline")]
    Missing,
    #[error("a principal is a type and a name, such as User:trustline, not {0:?}")]
    NoType(String),
}

/// A binding as Kafka's API names its parts.
#[derive(Serialize)]
struct Binding<'a> {
    resource_type: Resource,
    name: &'a str,
    pattern_type: &'static str,
    principal: &'a str,
    host: &'static str,
    operation: Operation,
    permission: &'static str,
}

/// Runs the command. It asks no broker.
///
/// # Errors
/// When the configuration is wrong or nobody is named.
pub fn run(args: &AclsArgs, file: Option<&Path>) -> Result<(), Failure> {
    let config = config::load(file)?;
    let user = || config.settings.kafka.user.as_ref().map(|user| format!("User:{user}"));
    let principal = args.principal.clone().or_else(user);
    let principal = principal.ok_or_else(|| Failure::usage(PrincipalError::Missing))?;
    if !principal.split_once(':').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty()) {
        return Err(Failure::usage(PrincipalError::NoType(principal)));
    }
    let stages = if args.stages.is_empty() { &StageName::ALL[..] } else { &args.stages };
    let needed = needed(&config, stages);
    if args.json {
        let bindings: Vec<Binding<'_>> = needed.iter().map(|one| binding(one, &principal)).collect();
        let text = serde_json::to_string_pretty(&bindings).map_err(Failure::running)?;
        return print(&format!("{text}\n"));
    }
    print(&commands(&config, &principal, needed.iter()))
}

fn binding<'a>(of: &'a Permission, principal: &'a str) -> Binding<'a> {
    Binding {
        resource_type: of.resource,
        name: &of.name,
        pattern_type: if of.resource.is_prefix() { "PREFIXED" } else { "LITERAL" },
        principal,
        host: "*",
        operation: of.operation,
        permission: "ALLOW",
    }
}

/// A command for each operation and kind of pattern, with a resource a line.
fn commands<'a>(
    config: &Config,
    principal: &str,
    permissions: impl Iterator<Item = &'a Permission>,
) -> String {
    let mut of: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for one in permissions {
        of.entry((one.operation, one.resource.is_prefix())).or_default().push(one);
    }
    let brokers = quoted(&config.settings.kafka.brokers.join(","));
    let principal = quoted(principal);
    let mut text = "# For an administrator, whose own log-in stands in admin.properties.\n".to_owned();
    for ((operation, is_prefix), resources) in of {
        text += &format!("kafka-acls.sh --bootstrap-server {brokers} --command-config admin.properties");
        text += &format!(" --add --allow-principal {principal} --operation {}", operation.name());
        if is_prefix {
            text += " --resource-pattern-type prefixed";
        }
        for resource in resources {
            text += &format!(" \\\n  --{} {}", resource.resource.name(), quoted(&resource.name));
        }
        text.push('\n');
    }
    text
}

/// A word of a shell command.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-:,=/".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_gets_what_it_needs_and_no_more() {
        let config = Config::default();
        let needed = needed(&config, &[StageName::Score]);
        let text = commands(&config, "User:CN=a b", needed.iter());
        let expected = r"# For an administrator, whose own log-in stands in admin.properties.
kafka-acls.sh --bootstrap-server 127.0.0.1:9092 --command-config admin.properties --add --allow-principal 'User:CN=a b' --operation Read \
  --topic trustline.brand-partials \
  --group trustline-score
kafka-acls.sh --bootstrap-server 127.0.0.1:9092 --command-config admin.properties --add --allow-principal 'User:CN=a b' --operation Write \
  --topic trustline.alerts \
  --topic trustline.brand-trust \
  --topic trustline.brand-trust-latest \
  --topic trustline.brand-trust-live \
  --topic trustline.config \
  --topic trustline.pattern-trust
kafka-acls.sh --bootstrap-server 127.0.0.1:9092 --command-config admin.properties --add --allow-principal 'User:CN=a b' --operation Write --resource-pattern-type prefixed \
  --transactional-id trustline-score-
kafka-acls.sh --bootstrap-server 127.0.0.1:9092 --command-config admin.properties --add --allow-principal 'User:CN=a b' --operation Describe \
  --group trustline-reading
kafka-acls.sh --bootstrap-server 127.0.0.1:9092 --command-config admin.properties --add --allow-principal 'User:CN=a b' --operation DescribeConfigs \
  --topic trustline.alerts \
  --topic trustline.brand-partials \
  --topic trustline.brand-trust \
  --topic trustline.brand-trust-latest \
  --topic trustline.brand-trust-live \
  --topic trustline.config \
  --topic trustline.pattern-trust
";
        assert_eq!(text, expected);
    }

    #[test]
    fn words_for_the_shell_are_quoted() {
        assert_eq!(quoted("User:trustline"), "User:trustline");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
