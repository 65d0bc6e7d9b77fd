//! Values that nobody wants: how to get over them.

use std::collections::HashMap;

use super::cursor::{Cursor, Fault};
use super::plan::PlanError;
use super::types::{Node, Type, Types};

/// How deep a value may nest.
const NESTING_MAX: u32 = 64;

/// How to get over a value.
pub(super) enum Skip {
    /// Takes no bytes, however many of it there are.
    Nothing,
    Varint,
    Fixed(usize),
    Prefixed,
    Array(Box<Skip>),
    Map(Box<Skip>),
    Union(Box<[Skip]>),
    Record(Box<[Skip]>),
    /// A named type, by its position in the table.
    Named(usize),
}

/// The skips of named types, which may contain themselves.
#[derive(Default)]
pub(super) struct Skips {
    /// `None` while it is being compiled.
    table: Vec<Option<Skip>>,
    positions: HashMap<String, usize>,
}

impl Skips {
    /// Compiles the skip of a type.
    pub(super) fn compile<'s>(
        &mut self,
        types: &Types<'s>,
        node: Node<'s>,
        depth: u32,
    ) -> Result<Skip, PlanError> {
        let depth = depth.checked_sub(1).ok_or(PlanError::TooDeep)?;
        let Type::Record { fields, namespace } = types.of(node)? else {
            return self.compile_unnamed(types, node, depth);
        };
        let name = types.name_of(node).ok_or(PlanError::NotAType)?;
        if let Some(position) = self.positions.get(&name) {
            return Ok(match self.table.get(*position) {
                Some(Some(Skip::Nothing)) => Skip::Nothing,
                _ => Skip::Named(*position),
            });
        }
        let position = self.table.len();
        self.positions.insert(name, position);
        self.table.push(None);
        let mut parts = Vec::new();
        for field in fields {
            let value = field.get("type").ok_or(PlanError::NotAType)?;
            let part = self.compile(types, Node { value, namespace }, depth)?;
            if !matches!(part, Skip::Nothing) {
                parts.push(part);
            }
        }
        // A record without bytes is nothing: no number of them may cost time.
        let (skip, used) = if parts.is_empty() {
            (Skip::Nothing, Skip::Nothing)
        } else {
            (Skip::Record(parts.into()), Skip::Named(position))
        };
        if let Some(entry) = self.table.get_mut(position) {
            *entry = Some(skip);
        }
        Ok(used)
    }

    fn compile_unnamed<'s>(
        &mut self,
        types: &Types<'s>,
        node: Node<'s>,
        depth: u32,
    ) -> Result<Skip, PlanError> {
        Ok(match types.of(node)? {
            Type::Null => Skip::Nothing,
            Type::Boolean => Skip::Fixed(1),
            Type::Int | Type::Long | Type::Enum { .. } => Skip::Varint,
            Type::Float => Skip::Fixed(4),
            Type::Double => Skip::Fixed(8),
            Type::Bytes | Type::String => Skip::Prefixed,
            Type::Fixed { size: 0 } => Skip::Nothing,
            Type::Fixed { size } => Skip::Fixed(size),
            Type::Array { items } => Skip::Array(Box::new(self.compile(types, items, depth)?)),
            Type::Map { values } => Skip::Map(Box::new(self.compile(types, values, depth)?)),
            Type::Union { branches, namespace } => {
                let branches =
                    branches.iter().map(|value| self.compile(types, Node { value, namespace }, depth));
                Skip::Union(branches.collect::<Result<_, _>>()?)
            }
            Type::Record { .. } => return Err(PlanError::NotAType),
        })
    }

    /// Gets over a value. Every step but the free ones takes bytes, so that the datum bounds the work.
    pub(super) fn skip(&self, skip: &Skip, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        self.skip_within(skip, cursor, NESTING_MAX)
    }

    fn skip_within(&self, skip: &Skip, cursor: &mut Cursor<'_>, depth: u32) -> Result<(), Fault> {
        let inner = depth.checked_sub(1).ok_or(Fault::Damaged)?;
        match skip {
            Skip::Nothing => {}
            Skip::Varint => {
                cursor.long()?;
            }
            Skip::Fixed(length) => {
                cursor.take(*length)?;
            }
            Skip::Prefixed => {
                cursor.bytes()?;
            }
            Skip::Array(items) => self.skip_blocks(items, false, cursor, inner)?,
            Skip::Map(values) => self.skip_blocks(values, true, cursor, inner)?,
            Skip::Union(branches) => {
                let branch = usize::try_from(cursor.long()?).ok().and_then(|at| branches.get(at));
                self.skip_within(branch.ok_or(Fault::Damaged)?, cursor, inner)?;
            }
            Skip::Record(fields) => {
                for field in fields {
                    self.skip_within(field, cursor, inner)?;
                }
            }
            Skip::Named(position) => {
                let named = self.table.get(*position).and_then(Option::as_ref).ok_or(Fault::Damaged)?;
                self.skip_within(named, cursor, inner)?;
            }
        }
        Ok(())
    }

    fn skip_blocks(
        &self,
        item: &Skip,
        keyed: bool,
        cursor: &mut Cursor<'_>,
        depth: u32,
    ) -> Result<(), Fault> {
        loop {
            let (count, bytes) = cursor.block()?;
            if count == 0 {
                return Ok(());
            }
            if let Some(bytes) = bytes {
                cursor.take(bytes)?;
                continue;
            }
            if !keyed && matches!(item, Skip::Nothing) {
                continue;
            }
            for _ in 0..count {
                if keyed {
                    cursor.bytes()?;
                }
                self.skip_within(item, cursor, depth)?;
            }
        }
    }
}
