//! Which agents of a hub have to be looked at, and for what.

use alloc::{collections::VecDeque, vec::Vec};

/// What an agent is looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Transmit,
    Request,
    Event,
    Data,
    /// Its deadline may have moved.
    Deadline,
}

impl Task {
    pub(super) const ALL: [Self; 5] =
        [Self::Transmit, Self::Request, Self::Event, Self::Data, Self::Deadline];
}

/// A queue for each task, in which each agent stands once at most: as long as the number of agents at its longest.
///
/// Agents are numbers here. Where one was removed another may have its number, or none: it is looked at in vain.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    queues: [VecDeque<usize>; Task::ALL.len()],
    /// By agent, in which queues it stands.
    waiting: Vec<[bool; Task::ALL.len()]>,
}

impl Agenda {
    pub(super) fn add_all(&mut self, agent: usize) {
        for task in Task::ALL {
            self.add(agent, task);
        }
    }

    pub(super) fn add(&mut self, agent: usize, task: Task) {
        if self.waiting.len() <= agent {
            self.waiting.resize(agent.saturating_add(1), Default::default());
        }
        let Some(waits) = self.waiting.get_mut(agent).and_then(|waiting| waiting.get_mut(task as usize))
        else {
            return;
        };
        if !core::mem::replace(waits, true)
            && let Some(queue) = self.queues.get_mut(task as usize)
        {
            queue.push_back(agent);
        }
    }

    /// The agent to look at now; it stays until [`Agenda::done`].
    pub(super) fn next(&self, task: Task) -> Option<usize> {
        self.queues.get(task as usize)?.front().copied()
    }

    /// The present one has nothing more.
    pub(super) fn done(&mut self, task: Task) {
        let agent = self.queues.get_mut(task as usize).and_then(VecDeque::pop_front);
        let waiting = agent.and_then(|agent| self.waiting.get_mut(agent));
        if let Some(waits) = waiting.and_then(|waiting| waiting.get_mut(task as usize)) {
            *waits = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_agent_stands_once_in_each_queue_in_the_order_of_coming() {
        let mut agenda = Agenda::default();
        for agent in [7, 2, 7, 2, 2] {
            agenda.add_all(agent);
        }
        for task in Task::ALL {
            assert_eq!(agenda.next(task), Some(7));
            assert_eq!(agenda.next(task), Some(7), "until it is done");
            agenda.done(task);
            assert_eq!(agenda.next(task), Some(2));
            agenda.add(7, task);
            agenda.done(task);
            assert_eq!(agenda.next(task), Some(7), "again, behind the other");
            agenda.done(task);
            assert_eq!(agenda.next(task), None);
            agenda.done(task);
        }
    }
}
