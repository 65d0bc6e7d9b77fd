//! What goes wrong by injection.

use crate::log::LogError;

/// What happens to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is aborted, and the publisher is told.
    Abort,
    /// It is aborted, and the publisher is not told.
    LostBefore,
    /// It is committed, and the publisher is not told.
    LostAfter,
}

/// What may fail by injection, apart from steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A publisher starts.
    Publisher,
    /// Records or changes of the group are asked for.
    Next,
    /// A partition is to be read from somewhere.
    ReadFrom,
    /// A partition is to be read no longer.
    Pause,
    /// Committed positions are asked for.
    Committed,
    /// A change of the group is there; where this fails, it is noticed later.
    Notice,
}

pub(super) type CallFault = Box<dyn FnMut(Call) -> bool + Send>;

/// Calls that fail by injection; none by default.
#[derive(Default)]
pub(super) struct CallFaults(pub(super) Option<CallFault>);

impl CallFaults {
    pub(super) fn check(&mut self, call: Call) -> Result<(), LogError> {
        if self.0.as_mut().is_some_and(|fails| fails(call)) {
            return Err(LogError::Unavailable { doing: format!("{call:?}"), cause: "injected".to_owned() });
        }
        Ok(())
    }
}

impl std::fmt::Debug for CallFaults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallFaults").finish_non_exhaustive()
    }
}
