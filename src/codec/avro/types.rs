//! A writer's schema as a graph of types.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::plan::PlanError;

/// A type of the writer, with references to named types resolved.
#[derive(Clone, Copy)]
pub(super) enum Type<'s> {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed { size: usize },
    Enum { symbols: &'s [Value] },
    Array { items: Node<'s> },
    Map { values: Node<'s> },
    Union { branches: &'s [Value], namespace: &'s str },
    Record { fields: &'s [Value], namespace: &'s str },
}

/// A type as it is written, and the namespace in which its names are looked up.
#[derive(Clone, Copy)]
pub(super) struct Node<'s> {
    pub(super) value: &'s Value,
    pub(super) namespace: &'s str,
}

/// A schema whose names are known.
pub(super) struct Types<'s> {
    named: HashMap<String, Node<'s>>,
}

const DEPTH_MAX: u32 = 64;

impl<'s> Types<'s> {
    /// Finds all named types below a node.
    pub(super) fn new(root: Node<'s>) -> Result<Types<'s>, PlanError> {
        let mut types = Types { named: HashMap::new() };
        types.define(root, DEPTH_MAX)?;
        Ok(types)
    }

    fn define(&mut self, node: Node<'s>, depth: u32) -> Result<(), PlanError> {
        let depth = depth.checked_sub(1).ok_or(PlanError::TooDeep)?;
        let inner = |value| Node { value, namespace: node.namespace };
        let object = match node.value {
            Value::Array(branches) => {
                return branches.iter().try_for_each(|branch| self.define(inner(branch), depth));
            }
            Value::Object(object) => object,
            _ => return Ok(()),
        };
        let namespace = match full_name(object, node.namespace) {
            Some((name, namespace)) => {
                self.named.insert(name, node);
                namespace
            }
            None => node.namespace,
        };
        for key in ["items", "values", "type"] {
            if let Some(value) = object.get(key) {
                self.define(Node { value, namespace }, depth)?;
            }
        }
        for field in object.get("fields").and_then(Value::as_array).into_iter().flatten() {
            if let Some(value) = field.get("type") {
                self.define(Node { value, namespace }, depth)?;
            }
        }
        Ok(())
    }

    /// The type a node stands for.
    pub(super) fn of(&self, node: Node<'s>) -> Result<Type<'s>, PlanError> {
        let mut node = node;
        for _ in 0..DEPTH_MAX {
            node = match node.value {
                Value::Array(branches) => return Ok(Type::Union { branches, namespace: node.namespace }),
                Value::String(name) => match primitive(name) {
                    Some(primitive) => return Ok(primitive),
                    None => self.named(name, node.namespace)?,
                },
                Value::Object(object) => match object.get("type") {
                    Some(Value::String(name)) if is_complex(name) => {
                        return complex(name, object, node.namespace);
                    }
                    Some(value) => Node { value, namespace: node.namespace },
                    None => return Err(PlanError::NotAType),
                },
                _ => return Err(PlanError::NotAType),
            };
        }
        Err(PlanError::TooDeep)
    }

    /// The full name of the named type a node stands for, if it is one.
    pub(super) fn name_of(&self, node: Node<'s>) -> Option<String> {
        match node.value {
            Value::String(name) if primitive(name).is_none() => {
                let qualified = qualify(name, node.namespace);
                let known = self.named.contains_key(&qualified);
                Some(if known { qualified } else { name.clone() })
            }
            Value::Object(object) => match full_name(object, node.namespace) {
                Some((name, _)) => Some(name),
                // A type may be wrapped into an object that adds nothing to it.
                None => self.name_of(Node { value: object.get("type")?, namespace: node.namespace }),
            },
            _ => None,
        }
    }

    fn named(&self, name: &str, namespace: &str) -> Result<Node<'s>, PlanError> {
        // A name without a dot may also be one without a namespace.
        let found = self.named.get(&qualify(name, namespace)).or_else(|| self.named.get(name));
        found.copied().ok_or_else(|| PlanError::UnknownName { name: name.to_owned() })
    }
}

/// The logical type a node is annotated with.
pub(super) fn logical<'s>(node: Node<'s>) -> Option<&'s str> {
    node.value.get("logicalType")?.as_str()
}

fn primitive(name: &str) -> Option<Type<'static>> {
    Some(match name {
        "null" => Type::Null,
        "boolean" => Type::Boolean,
        "int" => Type::Int,
        "long" => Type::Long,
        "float" => Type::Float,
        "double" => Type::Double,
        "bytes" => Type::Bytes,
        "string" => Type::String,
        _ => return None,
    })
}

fn is_complex(name: &str) -> bool {
    matches!(name, "record" | "error" | "enum" | "fixed" | "array" | "map")
}

fn complex<'s>(name: &str, object: &'s Map<String, Value>, outer: &'s str) -> Result<Type<'s>, PlanError> {
    let part = |key| object.get(key).ok_or(PlanError::NotAType);
    let list = |key| part(key)?.as_array().map(Vec::as_slice).ok_or(PlanError::NotAType);
    let namespace = full_name(object, outer).map_or(outer, |(_, namespace)| namespace);
    Ok(match name {
        "array" => Type::Array { items: Node { value: part("items")?, namespace } },
        "map" => Type::Map { values: Node { value: part("values")?, namespace } },
        "enum" => Type::Enum { symbols: list("symbols")? },
        "fixed" => {
            let size = part("size")?.as_u64().and_then(|size| usize::try_from(size).ok());
            Type::Fixed { size: size.ok_or(PlanError::NotAType)? }
        }
        _ => Type::Record { fields: list("fields")?, namespace },
    })
}

/// The full name of a definition, and the namespace inside it; `None` if it defines no name.
fn full_name<'s>(object: &'s Map<String, Value>, outer: &'s str) -> Option<(String, &'s str)> {
    let kind = object.get("type")?.as_str()?;
    if !matches!(kind, "record" | "error" | "enum" | "fixed") {
        return None;
    }
    let name = object.get("name")?.as_str()?;
    if let Some((namespace, _)) = name.rsplit_once('.') {
        return Some((name.to_owned(), namespace));
    }
    let namespace = object.get("namespace").and_then(Value::as_str).unwrap_or(outer);
    Some((qualify(name, namespace), namespace))
}

fn qualify(name: &str, namespace: &str) -> String {
    if namespace.is_empty() || name.contains('.') { name.to_owned() } else { format!("{namespace}.{name}") }
}
