//! From a writer's schema to the steps that read its records.

use serde_json::Value;

use super::plan::PlanError;
use super::skip::{Skip, Skips};
use super::step::{Named, OfTwo, Step, UNKNOWN_SYMBOL};
use super::types::{self, Node, Type, Types};
use crate::codec::field::Shape;
use crate::event::reject::Reason;

/// A field we want to read.
pub(super) struct Want<F> {
    pub(super) field: F,
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// Whether there must be a value.
    pub(super) required: bool,
    /// The symbols of our schema, where it is one.
    pub(super) symbols: Vec<&'static str>,
    /// The fields of a nested record.
    pub(super) parts: Vec<Want<F>>,
}

/// What a schema compiles to.
pub(super) struct Program<F> {
    pub(super) fields: Box<[Named<F>]>,
    pub(super) skips: Skips,
    /// How to get over a whole record.
    pub(super) record: Skip,
}

/// How deep types may nest.
const DEPTH_MAX: u32 = 64;

/// The name that stands for fields which are not read; their real names may be anything.
const NOT_READ: &str = "a field that is not read";

/// Applies the rules of schema resolution, once for all records of a schema.
pub(super) fn compile<F: Copy>(schema_json: &str, wants: &[Want<F>]) -> Result<Program<F>, PlanError> {
    apache_avro::Schema::parse_str(schema_json)
        .map_err(|source| PlanError::Schema { source: Box::new(source) })?;
    // It parsed before, so this cannot fail for any other reason than the schema's form.
    let value: Value = serde_json::from_str(schema_json).map_err(|_| PlanError::NotAType)?;
    let root = Node { value: &value, namespace: "" };
    let types = Types::new(root)?;
    let Type::Record { fields, namespace } = types.of(root)? else { return Err(PlanError::NotARecord) };
    let mut compiler = Compiler { types: &types, skips: Skips::default() };
    let fields = compiler.record(fields, namespace, wants)?;
    let record = compiler.skips.compile(&types, root, DEPTH_MAX)?;
    Ok(Program { fields, skips: compiler.skips, record })
}

struct Compiler<'t, 's> {
    types: &'t Types<'s>,
    skips: Skips,
}

impl<'s> Compiler<'_, 's> {
    fn record<F: Copy>(
        &mut self,
        fields: &'s [Value],
        namespace: &'s str,
        wants: &[Want<F>],
    ) -> Result<Box<[Named<F>]>, PlanError> {
        let mut steps = Vec::with_capacity(fields.len());
        let mut found = vec![false; wants.len()];
        for field in fields {
            let name = field.get("name").and_then(Value::as_str).ok_or(PlanError::NotAType)?;
            let value = field.get("type").ok_or(PlanError::NotAType)?;
            let node = Node { value, namespace };
            let wanted = wants.iter().zip(&mut found).find(|(want, _)| want.name == name);
            let Some((want, found)) = wanted else {
                let skip = self.skips.compile(self.types, node, DEPTH_MAX)?;
                steps.push(Named { name: NOT_READ, union: None, step: Step::Skip(skip) });
                continue;
            };
            *found = true;
            let step = self.value(want, node)?.ok_or(PlanError::WrongType { field: want.name })?;
            steps.push(named(want.name, step));
        }
        match wants.iter().zip(found).find(|(want, found)| want.required && !found) {
            Some((want, _)) => Err(PlanError::MissingField { field: want.name }),
            None => Ok(steps.into()),
        }
    }

    /// The step for a value; `None` if the type cannot be read as the one we want.
    fn value<F: Copy>(&mut self, want: &Want<F>, node: Node<'s>) -> Result<Option<Step<F>>, PlanError> {
        let field = want.field;
        Ok(Some(match (want.shape, self.types.of(node)?) {
            (_, Type::Union { branches, namespace }) => return self.union(want, branches, namespace),
            (_, Type::Null) if !want.required => Step::Null,
            (Shape::Text, Type::String | Type::Bytes) => Step::Text(field),
            (Shape::Flag, Type::Boolean) => Step::Flag(field),
            (Shape::Time | Shape::Status, Type::Int) => Step::Int(field),
            (Shape::Time, Type::Long) => match types::logical(node) {
                Some("timestamp-micros") => Step::FineTime(field, 1_000),
                Some("timestamp-nanos") => Step::FineTime(field, 1_000_000),
                _ => Step::Long(field),
            },
            (Shape::Status, Type::Long) => Step::Long(field),
            (Shape::Share, Type::Int) => Step::IntAsNumber(field),
            (Shape::Share, Type::Long) => Step::LongAsNumber(field),
            (Shape::Share, Type::Float) => Step::Float(field),
            (Shape::Share, Type::Double) => Step::Double(field),
            (Shape::Symbol, Type::Enum { symbols }) => Step::Symbol(field, ours(symbols, &want.symbols)),
            (Shape::Symbol, Type::String) => Step::SymbolText(field),
            (Shape::Texts, Type::Array { items }) => match self.item(want, items)? {
                Some(item) => Step::List(field, Box::new(item)),
                None => return Ok(None),
            },
            (Shape::Consent, Type::Record { fields, namespace }) => {
                Step::Record(field, self.record(fields, namespace, &want.parts)?)
            }
            _ => return Ok(None),
        }))
    }

    /// The step for an item of a list of texts.
    fn item<F: Copy>(&mut self, list: &Want<F>, node: Node<'s>) -> Result<Option<Step<F>>, PlanError> {
        let item = Want {
            field: list.field,
            name: list.name,
            shape: Shape::Text,
            required: true,
            symbols: Vec::new(),
            parts: Vec::new(),
        };
        self.value(&item, node)
    }

    fn union<F: Copy>(
        &mut self,
        want: &Want<F>,
        branches: &'s [Value],
        namespace: &'s str,
    ) -> Result<Option<Step<F>>, PlanError> {
        let mut steps = Vec::with_capacity(branches.len());
        let mut readable = false;
        for value in branches {
            let node = Node { value, namespace };
            let step = self.value(want, node)?;
            readable |= step.is_some();
            let is_null = matches!(self.types.of(node)?, Type::Null);
            let reason = if is_null { Reason::MissingField } else { Reason::WrongType };
            steps.push(step.unwrap_or(Step::Refuse(reason)));
        }
        Ok(readable.then(|| Step::Union(steps.into())))
    }
}

/// Takes a union of null and something apart.
fn named<F>(name: &'static str, step: Step<F>) -> Named<F> {
    let branches = match step {
        Step::Union(branches) => branches,
        step => return Named { name, union: None, step },
    };
    match <[Step<F>; 2]>::try_from(branches.into_vec()) {
        Ok([Step::Null, step]) => Named { name, union: Some(OfTwo { null: 0, value: 1 }), step },
        Ok([step, Step::Null]) => Named { name, union: Some(OfTwo { null: 1, value: 0 }), step },
        Ok(other) => Named { name, union: None, step: Step::Union(Box::new(other)) },
        Err(branches) => Named { name, union: None, step: Step::Union(branches.into()) },
    }
}

/// For each symbol of the writer its position among ours.
fn ours(writer: &[Value], ours: &[&str]) -> Box<[u8]> {
    let position = |symbol: &Value| {
        let at = ours.iter().position(|known| Some(*known) == symbol.as_str());
        at.and_then(|at| u8::try_from(at).ok()).unwrap_or(UNKNOWN_SYMBOL)
    };
    writer.iter().map(position).collect()
}
