//! The JSON Schema of the configuration, made from its types.

use std::sync::LazyLock;

use serde_json::{Value as Json, json};

use super::settings::Settings;

static SCHEMA: LazyLock<Json> = LazyLock::new(|| {
    let mut schema = schemars::schema_for!(Settings).to_value();
    bound_by_type(&mut schema);
    bound_by_name(&mut schema);
    bound_patterns(&mut schema);
    schema
});

/// The schema; `config schema` prints it and every configuration is checked against it.
pub fn schema() -> &'static Json {
    &SCHEMA
}

/// Follows a reference to a definition.
pub(super) fn resolve(schema: &Json) -> &Json {
    let name = schema.get("$ref").and_then(Json::as_str).and_then(|path| path.strip_prefix("#/$defs/"));
    name.and_then(|name| SCHEMA.get("$defs")?.get(name)).unwrap_or(schema)
}

/// The alternatives of a schema; null, which TOML does not have, is none.
pub(super) fn alternatives(schema: &Json) -> Option<Vec<&Json>> {
    let list = schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array()?;
    Some(list.iter().filter(|one| one.get("type") != Some(&json!("null"))).collect())
}

/// The definition of a section, looking through references and `Option`s.
pub(super) fn section(schema: &Json) -> &Json {
    let schema = resolve(schema);
    match alternatives(schema).as_deref() {
        Some([one]) => section(one),
        _ => schema,
    }
}

/// Says the largest value of 32-bit integers, which schemars leaves to the format's name.
fn bound_by_type(schema: &mut Json) {
    for definition in definitions(schema) {
        for (_, property) in properties(definition) {
            if let Some(leaf) = leaf_of_type(property, "integer")
                && leaf.get("format") == Some(&json!("uint32"))
            {
                leaf.entry("maximum").or_insert(json!(u32::MAX));
            }
        }
    }
}

/// Puts the bounds that a name stands for wherever the name is used: weights lie within -1 and 1,
/// shares within 0 and 1, factors are at least 1.
fn bound_by_name(schema: &mut Json) {
    for definition in definitions(schema) {
        for (key, property) in properties(definition) {
            match key.as_str() {
                "weights" => bound_numbers(property, -1.0, Some(1.0)),
                key if key.ends_with("share") => bound_numbers(property, 0.0, Some(1.0)),
                key if key.ends_with("factor") => bound_numbers(property, 1.0, None),
                _ => {}
            }
        }
    }
}

/// A count from which on a pattern fires is at least 1; a number of hours may be 0.
fn bound_patterns(schema: &mut Json) {
    let rules = schema.get("$defs").and_then(|all| all.get("Rules")).cloned().unwrap_or_default();
    let names: Vec<String> = rules
        .get("properties")
        .and_then(Json::as_object)
        .into_iter()
        .flat_map(|all| all.values())
        .filter_map(|property| property.get("$ref")?.as_str()?.strip_prefix("#/$defs/").map(str::to_owned))
        .collect();
    for name in names {
        let Some(definition) = schema.get_mut("$defs").and_then(|all| all.get_mut(&name)) else { continue };
        for (key, property) in properties(definition) {
            if !key.ends_with("hours") {
                bound_integers(property, 1);
            }
        }
    }
}

fn definitions(schema: &mut Json) -> impl Iterator<Item = &mut Json> {
    let all = schema.get_mut("$defs").and_then(Json::as_object_mut);
    all.into_iter().flat_map(|all| all.values_mut())
}

fn properties(definition: &mut Json) -> impl Iterator<Item = (&String, &mut Json)> {
    let all = definition.get_mut("properties").and_then(Json::as_object_mut);
    all.into_iter().flat_map(|all| all.iter_mut())
}

fn bound_numbers(property: &mut Json, minimum: f64, maximum: Option<f64>) {
    let Some(leaf) = leaf_of_type(property, "number") else { return };
    leaf.entry("minimum").or_insert(json!(minimum));
    if let Some(maximum) = maximum {
        leaf.entry("maximum").or_insert(json!(maximum));
    }
}

fn bound_integers(property: &mut Json, minimum: i64) {
    if let Some(leaf) = leaf_of_type(property, "integer") {
        leaf.insert("minimum".into(), json!(minimum));
    }
}

/// The property itself or the items of its list, when they have the type.
fn leaf_of_type<'a>(property: &'a mut Json, wanted: &str) -> Option<&'a mut serde_json::Map<String, Json>> {
    let property = property.as_object_mut()?;
    let leaf = match property.contains_key("items") {
        true => property.get_mut("items")?.as_object_mut()?,
        false => property,
    };
    (leaf.get("type")?.as_str()? == wanted).then_some(leaf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns_are_bounded() {
        let of = |name: &str, key: &str| &schema()["$defs"][name]["properties"][key];
        assert_eq!(of("RelentlessRetargeting", "weights")["items"]["minimum"], json!(-1.0));
        assert_eq!(of("RelentlessRetargeting", "weights")["items"]["maximum"], json!(1.0));
        assert_eq!(of("RelentlessRetargeting", "in_24h")["items"]["minimum"], json!(1));
        assert_eq!(of("RelentlessRetargeting", "interest_factor")["minimum"], json!(1.0));
        assert_eq!(of("ExcessiveMessages", "welcome_share")["maximum"], json!(1.0));
        assert_eq!(of("TrackingAfterOptOut", "severe_in_7d")["minimum"], json!(1));
        assert_eq!(of("TrackingAfterOptOut", "grace_hours")["minimum"], json!(0));
    }
}
