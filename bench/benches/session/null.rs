//! What driving costs: agents that count the six datagrams of the shortest session and do nothing else.

use std::time::Instant;

use crate::drive::{DATA_BYTES, Peer};

pub(crate) struct Null {
    controlling: bool,
    received: u8,
    due: u8,
}

impl Peer for Null {
    const BYTES: usize = size_of::<Self>();
    const NAME: &'static str = "harness alone";
    type Datagram = Option<Box<[u8; 92]>>;
    type Instant = Instant;

    fn new(side: usize, _hosts: u8, _number: u64) -> Self {
        let controlling = side == 0;
        Self { controlling, received: 0, due: u8::from(controlling) }
    }

    fn introduce(_pair: &mut [Self; 2], _hosts: u8) {}

    fn handle_datagram(&mut self, _now: Instant, datagram: &mut Self::Datagram) {
        datagram.take();
        self.received += 1;
        // A check is answered and triggers one back; the answer to that is followed by the nomination.
        self.due = match (self.controlling, self.received) {
            (false, 1) => 2,
            (true, 2) | (false, 2 | 3) => 1,
            _ => 0,
        };
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn handle_events(&mut self, _now: Instant) {}

    fn poll_transmit(&mut self, _now: Instant, datagram: &mut Self::Datagram) -> bool {
        if self.due == 0 {
            return false;
        }
        self.due -= 1;
        *datagram = Some(Box::new([0; 92]));
        true
    }

    fn poll_timeout(&mut self, _now: Instant) -> Option<Instant> {
        None
    }

    fn is_selected(&self) -> bool {
        self.received >= if self.controlling { 3 } else { 2 }
    }

    fn send(&mut self, _now: Instant, _payload: &[u8; DATA_BYTES]) -> bool {
        true
    }

    fn receive(&mut self, _now: Instant, _payload: &mut [u8; DATA_BYTES]) -> bool {
        true
    }
}
