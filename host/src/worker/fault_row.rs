//! Counts the faults of one worker that come in a row, over different events, and remembers where
//! the row began in the present transaction. Pure.

/// The faults of one worker in a row. `M` is a place in the present transaction.
pub(super) struct FaultRow<M> {
    /// When the last transaction was committed.
    committed: u32,
    /// Before `here`.
    earlier: u32,
    /// In the present transaction, and where it stood before the first of them.
    here: Option<(u32, M)>,
}

impl<M: Copy> FaultRow<M> {
    /// No fault yet.
    pub(super) fn new() -> Self {
        Self { committed: 0, earlier: 0, here: None }
    }

    /// One more, at this place; how many there are now.
    pub(super) fn fault(&mut self, at: M) -> u32 {
        let (count, begin) = self.here.unwrap_or((0, at));
        self.here = Some((count.saturating_add(1), begin));
        self.earlier.saturating_add(count).saturating_add(1)
    }

    /// A call ended without one.
    pub(super) fn end(&mut self) {
        self.earlier = 0;
        self.here = None;
    }

    /// The faults of the present transaction are taken back, as if they had not been; gives the
    /// place before the first of them.
    pub(super) fn take_back(&mut self) -> Option<M> {
        self.here.take().map(|(_, begin)| begin)
    }

    /// The transaction is committed, or it is not: then its events come again.
    pub(super) fn settle(&mut self, committed: bool) {
        if committed {
            let here = self.here.map_or(0, |(count, _)| count);
            self.committed = self.earlier.saturating_add(here);
        }
        self.earlier = self.committed;
        self.here = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_goes_on_over_transactions_and_begins_anew_in_each() {
        let mut row = FaultRow::new();
        assert_eq!([row.fault(7), row.fault(8)], [1, 2]);
        row.settle(true);
        assert_eq!([row.fault(0), row.fault(1)], [3, 4]);
        assert_eq!(row.take_back(), Some(0), "what was committed stays");
        assert_eq!(row.fault(0), 3);
    }

    #[test]
    fn a_call_without_a_fault_ends_it() {
        let mut row = FaultRow::new();
        row.fault(0);
        row.settle(true);
        row.fault(0);
        row.end();
        assert_eq!(row.take_back(), None);
        assert_eq!(row.fault(2), 1);
        row.settle(true);
        assert_eq!(row.fault(0), 2);
    }

    #[test]
    fn events_that_come_again_are_counted_once() {
        let mut row = FaultRow::new();
        row.fault(0);
        row.settle(true);
        assert_eq!([row.fault(0), row.fault(1)], [2, 3]);
        row.settle(false);
        assert_eq!(row.fault(0), 2);
        row.end();
        row.settle(false);
        assert_eq!(row.fault(0), 2, "the end of the row was abandoned too");
    }
}
