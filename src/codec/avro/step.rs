//! The steps of a plan, and how they are run.

use super::cursor::{Cursor, Fault};
use super::skip::{Skip, Skips};
use crate::event::reject::Reason;

/// Where decoded values go.
pub(super) trait Sink<'a> {
    /// What names a field.
    type Field: Copy;

    fn text(&mut self, field: Self::Field, text: &'a str);
    fn flag(&mut self, field: Self::Field, flag: bool);
    fn integer(&mut self, field: Self::Field, value: i64);
    fn number(&mut self, field: Self::Field, value: f64);
    /// Takes the symbol at this position of our schema.
    fn index(&mut self, field: Self::Field, index: u8) -> Option<()>;
    fn symbol(&mut self, field: Self::Field, symbol: &'a str) -> Option<()>;
    /// Begins a nested record.
    fn begin(&mut self, field: Self::Field);
    /// Whether the list takes one more item.
    fn has_room(&self, field: Self::Field) -> bool;
}

/// Stands for a symbol of the writer that our schema does not have.
pub(super) const UNKNOWN_SYMBOL: u8 = u8::MAX;

/// How to read one value of the writer.
pub(super) enum Step<F> {
    /// A string, or bytes that hold one.
    Text(F),
    Flag(F),
    Int(F),
    Long(F),
    /// A time in a finer unit; this many make a millisecond.
    FineTime(F, i64),
    IntAsNumber(F),
    LongAsNumber(F),
    Float(F),
    Double(F),
    /// An enum: for each position of the writer's the one of ours.
    Symbol(F, Box<[u8]>),
    /// A symbol as a string.
    SymbolText(F),
    List(F, Box<Step<F>>),
    Record(F, Box<[Named<F>]>),
    Union(Box<[Step<F>]>),
    /// A null that leaves the default.
    Null,
    /// A branch that cannot be read.
    Refuse(Reason),
    Skip(Skip),
}

/// A step with the name of its field.
pub(super) struct Named<F> {
    pub(super) name: &'static str,
    pub(super) union: Option<OfTwo>,
    pub(super) step: Step<F>,
}

/// The commonest union, of null and something, is read without a step of its own.
pub(super) struct OfTwo {
    /// The branch that is null and leaves the default.
    pub(super) null: i64,
    /// The branch the step reads.
    pub(super) value: i64,
}

/// Reads the fields of a record; at a fault the name of its field is noted.
#[inline]
pub(super) fn run_fields<'a, S: Sink<'a>>(
    fields: &[Named<S::Field>],
    skips: &Skips,
    cursor: &mut Cursor<'a>,
    sink: &mut S,
) -> Result<(), Fault> {
    for field in fields {
        if let Err(fault) = run_named(field, skips, cursor, sink) {
            cursor.stop_at(field.name);
            return Err(fault);
        }
    }
    Ok(())
}

#[inline]
fn run_named<'a, S: Sink<'a>>(
    field: &Named<S::Field>,
    skips: &Skips,
    cursor: &mut Cursor<'a>,
    sink: &mut S,
) -> Result<(), Fault> {
    if let Some(union) = &field.union {
        let branch = cursor.long()?;
        if branch == union.null {
            return Ok(());
        }
        if branch != union.value {
            return Err(Fault::Damaged);
        }
    }
    run(&field.step, skips, cursor, sink)
}

/// Reads a value. What holds other values reads them by [`run_inner`], so that this can be inlined.
#[inline]
fn run<'a, S: Sink<'a>>(
    step: &Step<S::Field>,
    skips: &Skips,
    cursor: &mut Cursor<'a>,
    sink: &mut S,
) -> Result<(), Fault> {
    match step {
        Step::Text(field) => sink.text(*field, cursor.text()?),
        Step::Flag(field) => sink.flag(*field, cursor.flag()?),
        Step::Int(field) => sink.integer(*field, cursor.int()?),
        Step::Long(field) => sink.integer(*field, cursor.long()?),
        Step::FineTime(field, per_ms) => sink.integer(*field, cursor.long()?.div_euclid(*per_ms)),
        Step::IntAsNumber(field) => sink.number(*field, cursor.int()? as f64),
        Step::LongAsNumber(field) => sink.number(*field, cursor.long()? as f64),
        Step::Float(field) => sink.number(*field, cursor.float()?),
        Step::Double(field) => sink.number(*field, cursor.double()?),
        Step::Symbol(field, ours) => {
            let index =
                usize::try_from(cursor.long()?).ok().and_then(|at| ours.get(at)).ok_or(Fault::Damaged)?;
            let known = *index != UNKNOWN_SYMBOL;
            known
                .then(|| sink.index(*field, *index))
                .flatten()
                .ok_or(Fault::Refused(Reason::UnknownSymbol))?;
        }
        Step::SymbolText(field) => {
            let symbol = cursor.text()?;
            sink.symbol(*field, symbol).ok_or(Fault::Refused(Reason::UnknownSymbol))?;
        }
        Step::Union(branches) => {
            let branch = usize::try_from(cursor.long()?).ok().and_then(|at| branches.get(at));
            run_inner(branch.ok_or(Fault::Damaged)?, skips, cursor, sink)?;
        }
        Step::List(field, item) => run_list(*field, item, skips, cursor, sink)?,
        Step::Record(field, fields) => {
            sink.begin(*field);
            run_inner_fields(fields, skips, cursor, sink)?;
        }
        Step::Null => {}
        Step::Refuse(reason) => return Err(Fault::Refused(*reason)),
        Step::Skip(skip) => skips.skip(skip, cursor)?,
    }
    Ok(())
}

/// [`run_fields`], not inlined.
#[inline(never)]
fn run_inner_fields<'a, S: Sink<'a>>(
    fields: &[Named<S::Field>],
    skips: &Skips,
    cursor: &mut Cursor<'a>,
    sink: &mut S,
) -> Result<(), Fault> {
    run_fields(fields, skips, cursor, sink)
}

/// [`run`], not inlined.
#[inline(never)]
fn run_inner<'a, S: Sink<'a>>(
    step: &Step<S::Field>,
    skips: &Skips,
    cursor: &mut Cursor<'a>,
    sink: &mut S,
) -> Result<(), Fault> {
    run(step, skips, cursor, sink)
}

/// Every item takes at least a byte, so that the datum bounds the work whatever a block claims. Where a block says
/// how long it is, it must be that long: skipping it would go elsewhere.
fn run_list<'a, S: Sink<'a>>(
    field: S::Field,
    item: &Step<S::Field>,
    skips: &Skips,
    cursor: &mut Cursor<'a>,
    sink: &mut S,
) -> Result<(), Fault> {
    loop {
        let (count, bytes) = cursor.block()?;
        if count == 0 {
            return Ok(());
        }
        let before = cursor.left();
        for _ in 0..count {
            if !sink.has_room(field) {
                return Err(Fault::Refused(Reason::Oversized));
            }
            run_inner(item, skips, cursor, sink)?;
        }
        if bytes.is_some_and(|bytes| bytes != before - cursor.left()) {
            return Err(Fault::Damaged);
        }
    }
}
