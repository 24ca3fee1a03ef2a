//! Server-reflexive candidates: Binding requests to servers, and those that keep what they found (RFC 8445 §5.1.1.2, §5.1.1.4).

use alloc::vec::Vec;
use core::time::Duration;

use floe_pair::{BaseId, CandidateType, Place, TransportAddress};
use floe_stun::{
    Class, FingerprintError, Instant, Message, MessageWriter, Method, Random, Schedule, Transaction,
    TransactionId, binding::BindingResponse,
};

use crate::{
    candidates::{Added, Found},
    error::ServerError,
    event::Event,
    gatherer::{GatherTransmit, Gatherer},
    host::JobKey,
    restart::STALE_AFTER,
    server::{Targets, is_plausible, source_of},
};

/// How long one address of a server is waited for before the next one is asked too: the recommended delay
/// between connection attempts (RFC 8305 §5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);
/// The longest RTO of a request for a candidate: five transmissions leave within the time gathering takes at most. At a Ta of
/// 50 ms it is reached with forty jobs.
const MAX_RTO: Duration = Duration::from_secs(2);
/// RFC 8489 §6.3.4: how often a request may be sent anew to a server that answers with a 5xx error.
const MAX_RESENDS: u8 = 4;

/// One Binding request to one address of a server.
#[derive(Debug)]
struct Probe {
    server: TransportAddress,
    step: Step,
    resends: u8,
}

#[derive(Debug)]
enum Step {
    /// Sent anew after an error of the server, not before this instant.
    Resting(Instant),
    /// Waits for a slot.
    Ready,
    /// Waits for the answer.
    Asking(Transaction),
}

impl Probe {
    fn transaction(&mut self) -> Option<&mut Transaction> {
        match &mut self.step {
            Step::Asking(transaction) => Some(transaction),
            Step::Resting(_) | Step::Ready => None,
        }
    }

    fn id(&self) -> Option<TransactionId> {
        match &self.step {
            Step::Asking(transaction) => Some(transaction.id()),
            Step::Resting(_) | Step::Ready => None,
        }
    }
}

/// What was found and is kept alive.
#[derive(Debug)]
struct Keeper {
    server: TransportAddress,
    mapped: TransportAddress,
    /// A mapping that changed takes the other of two numbers, so that its priority is another too.
    alternate: bool,
    next: Option<Instant>,
    request: Option<Transaction>,
    /// A generation has begun, and nothing was heard of the mapping since.
    doubtful: bool,
}

impl Keeper {
    /// Its request has ended; another one follows.
    fn rest(&mut self, next: Instant) {
        (self.request, self.next, self.doubtful) = (None, Some(next), false);
    }
}

#[derive(Debug)]
enum Progress {
    Asking { targets: Targets, probes: Vec<Probe> },
    Keeping(Keeper),
    Ended,
}

/// One server asked from one host candidate.
#[derive(Debug)]
pub(crate) struct ReflexiveJob {
    base: BaseId,
    place: Place,
    /// The address of the base.
    local: TransportAddress,
    progress: Progress,
    /// When its first request left.
    begun: Option<Instant>,
    /// It was reported as unanswered; nothing worse is left to say.
    late: bool,
}

impl ReflexiveJob {
    pub(crate) const fn new(base: BaseId, place: Place, local: TransportAddress, targets: Targets) -> Self {
        let progress = Progress::Asking { targets, probes: Vec::new() };
        Self { base, place, local, progress, begun: None, late: false }
    }

    /// Another gathering begins; says whether it goes on in it. One that has asked for long may have no more than its last
    /// request left.
    pub(crate) fn renew(&mut self, now: Instant) -> bool {
        self.late = false;
        match &mut self.progress {
            Progress::Asking { .. } => !self.is_silent(now),
            Progress::Keeping(keeper) => {
                // What made somebody restart may have taken the mapping away.
                keeper.request.take_if(|request| now.since(request.started()) >= STALE_AFTER);
                if keeper.request.is_none() {
                    keeper.next = Some(now);
                }
                keeper.doubtful = true;
                true
            }
            Progress::Ended => false,
        }
    }

    /// From when on it has asked for long, if no answer comes.
    pub(crate) fn silent_from(&self) -> Option<Instant> {
        self.begun.filter(|_| !self.is_done()).map(|begun| begun.after(STALE_AFTER))
    }

    /// Whether it has asked for long and has no answer yet.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        self.silent_from().is_some_and(|at| at <= now)
    }

    /// Gathering does not wait for it any more.
    pub(crate) fn trust(&mut self) {
        if let Progress::Keeping(keeper) = &mut self.progress {
            keeper.doubtful = false;
        }
    }

    /// Whether this is one of its transactions.
    pub(crate) fn asks(&mut self, id: TransactionId) -> bool {
        self.transactions().any(|(_, transaction)| transaction.id() == id)
    }

    /// Whether gathering waits for it.
    pub(crate) fn is_awaited(&self) -> bool {
        match &self.progress {
            Progress::Asking { .. } => true,
            Progress::Keeping(keeper) => keeper.doubtful,
            Progress::Ended => false,
        }
    }

    pub(crate) const fn local(&self) -> TransportAddress {
        self.local
    }

    pub(crate) const fn is_done(&self) -> bool {
        !matches!(self.progress, Progress::Asking { .. })
    }

    /// Whether it neither asks nor keeps anything alive.
    pub(crate) const fn has_ended(&self) -> bool {
        matches!(self.progress, Progress::Ended)
    }

    /// The mapping it keeps alive, and of which base.
    pub(crate) fn kept(&self) -> Option<(BaseId, TransportAddress)> {
        match &self.progress {
            Progress::Keeping(keeper) => Some((self.base, keeper.mapped)),
            Progress::Asking { .. } | Progress::Ended => None,
        }
    }

    pub(crate) fn wants_slot(&self) -> bool {
        self.probes().iter().any(|probe| matches!(probe.step, Step::Ready))
    }

    fn probes(&self) -> &[Probe] {
        match &self.progress {
            Progress::Asking { probes, .. } => probes,
            Progress::Keeping(_) | Progress::Ended => &[],
        }
    }

    /// Every transaction in progress and where it goes.
    fn transactions(&mut self) -> impl Iterator<Item = (TransportAddress, &mut Transaction)> {
        let (probes, keeper) = match &mut self.progress {
            Progress::Asking { probes, .. } => (probes.as_mut_slice(), None),
            Progress::Keeping(keeper) => {
                (Default::default(), keeper.request.as_mut().map(|request| (keeper.server, request)))
            }
            Progress::Ended => (Default::default(), None),
        };
        let asking = probes.iter_mut().filter_map(|probe| {
            let server = probe.server;
            probe.transaction().map(|transaction| (server, transaction))
        });
        asking.chain(keeper)
    }

    /// When it has something to do, of which nothing is sent before `floor`.
    pub(crate) fn poll_timeout(&self, floor: Instant) -> Option<Instant> {
        match &self.progress {
            Progress::Asking { targets, probes } => {
                let probes = probes.iter().filter_map(|probe| match &probe.step {
                    Step::Resting(until) => Some(*until),
                    Step::Ready => None,
                    Step::Asking(transaction) => transaction.poll_timeout().map(|at| at.max(floor)),
                });
                probes.chain(targets.poll_timeout()).min()
            }
            Progress::Keeping(keeper) => {
                let due = match &keeper.request {
                    Some(request) => request.poll_timeout(),
                    None => keeper.next,
                };
                due.map(|at| at.max(floor))
            }
            Progress::Ended => None,
        }
    }

    /// Asks and keeps alive nothing any more. Its transactions in progress are nobody's.
    pub(crate) fn end(&mut self) {
        self.progress = Progress::Ended;
    }

    /// The addresses that have not answered, once; [`Self::poll_timeout`] goes on for them.
    pub(crate) fn give_up_waiting(&mut self) -> impl Iterator<Item = TransportAddress> {
        let waiting = self.is_awaited() && !self.late;
        self.late |= waiting;
        let kept = match &self.progress {
            Progress::Keeping(keeper) => Some(keeper.server),
            Progress::Asking { .. } | Progress::Ended => None,
        };
        self.probes().iter().map(|probe| probe.server).chain(kept).filter(move |_| waiting)
    }
}

/// What a Binding response says.
enum Verdict {
    Mapped(TransportAddress),
    Resend(u16),
    Failed(ServerError),
}

impl Gatherer {
    /// Asks the next address of each server whose turn has come.
    pub(crate) fn probe_next(&mut self) {
        for job in self.reflexive.values_mut() {
            let Progress::Asking { targets, probes } = &mut job.progress else { continue };
            if let Some(server) = targets.take_due(self.now) {
                probes.push(Probe { server, step: Step::Ready, resends: 0 });
            }
            if probes.is_empty() && targets.is_empty() {
                job.progress = Progress::Ended;
            }
        }
    }

    /// Begins a Binding request to this server.
    pub(crate) fn binding_slot(&mut self, lane: usize, rng: &mut Random) -> bool {
        let schedule = Schedule { rto: self.rto(), ..Schedule::default() };
        let now = self.now;
        let jobs = self.reflexive.iter_mut().filter(|(key, _)| key.server == lane);
        for (key, job) in jobs {
            let Progress::Asking { targets, probes } = &mut job.progress else { continue };
            let Some(probe) = probes.iter_mut().find(|probe| matches!(probe.step, Step::Ready)) else {
                continue;
            };
            let transaction = Transaction::new(now, rng.transaction_id(), schedule);
            self.transactions.insert(transaction.id(), *key);
            probe.step = Step::Asking(transaction);
            job.begun.get_or_insert(now);
            targets.wait(now.after(NEXT_ADDRESS_AFTER));
            self.jobs.touch();
            return true;
        }
        false
    }

    /// RFC 8445 §14.3: the retransmission timer of what is gathered grows with the number of candidates asked for, so that
    /// each first request leaves before the second of any. What has ended, or is only kept alive, is not asked for.
    pub(crate) fn rto(&self) -> Duration {
        let bindings = self.reflexive.values().filter(|job| !job.is_done()).count();
        let allocations = self.relay_jobs.values().filter(|job| !job.is_done()).count();
        let asked = u32::try_from(bindings.saturating_add(allocations)).unwrap_or(u32::MAX);
        self.config.ta.saturating_mul(asked).clamp(Schedule::default().rto, MAX_RTO)
    }

    pub(crate) fn binding_transmit(&mut self, buffer: &mut [u8]) -> Option<GatherTransmit> {
        for job in self.reflexive.values_mut() {
            let place = job.place;
            for (to, transaction) in job.transactions() {
                if transaction.take_transmission() {
                    // Without attributes: what servers of RFC 3489 understand too.
                    let writer =
                        MessageWriter::new(buffer, Class::Request, Method::BINDING, transaction.id()).ok()?;
                    return Some(GatherTransmit { place, to, len: writer.finish() });
                }
            }
        }
        None
    }

    /// A STUN message that may answer a Binding request. Returns whether it does.
    pub(crate) fn binding_answered(
        &mut self,
        place: Place,
        source: TransportAddress,
        message: &Message<'_>,
    ) -> bool {
        let id = message.transaction_id();
        let Some(key) = self.transactions.get(&id).copied() else { return false };
        let Some(job) = self.reflexive.get_mut(&key) else { return false };
        // No integrity protects the answer: transaction id, source, place and method are all there is to go by.
        let expected =
            job.transactions().find(|(_, transaction)| transaction.id() == id).map(|(server, _)| server);
        let answers =
            matches!(message.class(), Class::Success | Class::Error) && message.method() == Method::BINDING;
        if expected != Some(source) || job.place != place || !answers {
            return false;
        }
        // RFC 8489 §6.3: with a wrong FINGERPRINT it is as if nothing had come.
        if matches!(message.verify_fingerprint(), Err(FingerprintError::Mismatch)) {
            return true;
        }
        self.transactions.remove(&id);
        self.jobs.touch();
        let verdict = self.judge_binding(key, message);
        self.end_transaction(key, id, source, verdict);
        true
    }

    /// RFC 8445 §5.1.1.2: an ALTERNATE-SERVER in a Binding response leads nowhere; it is not even looked at.
    fn judge_binding(&self, key: JobKey, message: &Message<'_>) -> Verdict {
        let Some(job) = self.reflexive.get(&key) else { return Verdict::Failed(ServerError::BadResponse) };
        let bad = Verdict::Failed(ServerError::BadResponse);
        let Ok(response) = BindingResponse::decode(message) else { return bad };
        // RFC 8489 §6.3.3, §6.3.4: an attribute that must be understood and is not ends the transaction.
        if response.unknown_required {
            return bad;
        }
        if message.class() == Class::Error {
            return match response.error.map(|error| error.code()) {
                Some(code @ 500..=599) => Verdict::Resend(code),
                Some(code) => Verdict::Failed(ServerError::Refused(code)),
                None => bad,
            };
        }
        // RFC 8489 §11: MAPPED-ADDRESS alone is what servers of RFC 3489 answer with.
        let mapped = response.mapped.map(TransportAddress::from);
        match mapped.map(|mapped| mapped.with_scope(job.local.scope())) {
            None => Verdict::Failed(ServerError::NoMappedAddress),
            Some(mapped) if is_plausible(mapped, job.local, self.config.loopback) => Verdict::Mapped(mapped),
            Some(mapped) => Verdict::Failed(ServerError::BadMappedAddress(mapped)),
        }
    }

    /// The transaction `id` of a job has ended with this.
    fn end_transaction(
        &mut self,
        key: JobKey,
        id: TransactionId,
        server: TransportAddress,
        verdict: Verdict,
    ) {
        let Some(job) = self.reflexive.get_mut(&key) else { return };
        match (&mut job.progress, verdict) {
            (Progress::Asking { .. }, Verdict::Mapped(mapped)) => self.found(key, server, mapped),
            (Progress::Asking { targets, probes }, Verdict::Resend(code)) => {
                let Some(probe) = probes.iter_mut().find(|probe| probe.id() == Some(id)) else { return };
                if probe.resends < MAX_RESENDS.saturating_sub(1) {
                    probe.resends = probe.resends.saturating_add(1);
                    probe.step = Step::Resting(self.now.after(Schedule::default().rto));
                } else {
                    probes.retain(|probe| probe.id() != Some(id));
                    targets.hurry(self.now);
                    self.report_binding(key, server, ServerError::Refused(code));
                }
            }
            (Progress::Asking { targets, probes }, Verdict::Failed(error)) => {
                probes.retain(|probe| probe.id() != Some(id));
                targets.hurry(self.now);
                self.report_binding(key, server, error);
            }
            (Progress::Keeping(keeper), Verdict::Mapped(mapped)) => {
                keeper.rest(self.now.after(self.config.refresh));
                if keeper.mapped != mapped {
                    self.remapped(key, server, mapped);
                }
            }
            // An error does not take a mapping away that was there; whoever uses the candidate will see.
            (Progress::Keeping(keeper), _) => keeper.rest(self.now.after(self.config.refresh)),
            (Progress::Ended, _) => {}
        }
    }

    fn report_binding(&mut self, key: JobKey, server: TransportAddress, error: ServerError) {
        let Some(job) = self.reflexive.get(&key).filter(|job| !job.late) else { return };
        let local = Some(job.local.ip());
        self.out.notice(Event::ServerFailed { server: key.server, local, address: Some(server), error });
    }

    /// The first mapped address of a job: what else it asked is not waited for.
    fn found(&mut self, key: JobKey, server: TransportAddress, mapped: TransportAddress) {
        let added = self.add_reflexive(key, server, mapped, false);
        let now = self.now;
        if let Some(times) = self.times_mut(key.server) {
            times.mapped.get_or_insert(now);
        }
        let next = self.refreshing.then(|| self.now.after(self.config.refresh));
        let Some(job) = self.reflexive.get_mut(&key) else { return };
        for id in job.probes().iter().filter_map(Probe::id) {
            self.transactions.remove(&id);
        }
        // What is redundant needs no refresh of its own: the other candidate has one, or is a host's.
        job.progress = match added {
            Added::New if next.is_some() => {
                let (alternate, request, doubtful) = (false, None, false);
                Progress::Keeping(Keeper { server, mapped, alternate, next, request, doubtful })
            }
            Added::New | Added::Redundant | Added::Full => Progress::Ended,
        };
    }

    /// A NAT has given the base another mapping: the old candidate is dead, the new one is another.
    fn remapped(&mut self, key: JobKey, server: TransportAddress, mapped: TransportAddress) {
        let Some(job) = self.reflexive.get_mut(&key) else { return };
        let Progress::Keeping(keeper) = &mut job.progress else { return };
        let old = core::mem::replace(&mut keeper.mapped, mapped);
        keeper.alternate = !keeper.alternate;
        let alternate = keeper.alternate;
        self.table.remove_mappings(job.base, |known| known == old);
        self.add_reflexive(key, server, mapped, alternate);
    }

    fn add_reflexive(
        &mut self,
        key: JobKey,
        server: TransportAddress,
        mapped: TransportAddress,
        alternate: bool,
    ) -> Added {
        let Some(job) = self.reflexive.get(&key) else { return Added::Full };
        let found = Found {
            stream: key.stream,
            component: key.component,
            kind: CandidateType::ServerReflexive,
            address: mapped,
            base: job.base,
            base_ip: job.local.ip(),
            local: job.local,
            server: Some(server),
            source: source_of(key.server, alternate),
            related: Some(job.local),
        };
        self.add_candidate(&found)
    }

    /// Timers of Binding requests and of what they found.
    pub(crate) fn reflexive_timeouts(&mut self, rng: &mut Random) {
        let (now, refresh) = (self.now, self.config.refresh);
        let (mut floor, ta) = (self.floor, self.config.ta);
        let mut failed = Vec::new();
        for (key, job) in self.reflexive.iter_mut() {
            for (_, transaction) in job.transactions() {
                if transaction.poll_timeout().is_none_or(|due| now < due.max(floor)) {
                    continue;
                }
                transaction.handle_timeout(now);
                // A host that slept: what became due meanwhile is sent once, at the pace of Ta.
                floor = if transaction.is_timed_out() { floor } else { now.after(ta) };
            }
            match &mut job.progress {
                Progress::Asking { targets, probes } => {
                    probes.retain_mut(|probe| {
                        if matches!(probe.step, Step::Resting(until) if until <= now) {
                            probe.step = Step::Ready;
                        }
                        let timed_out = probe.transaction().filter(|transaction| transaction.is_timed_out());
                        let Some(id) = timed_out.map(|transaction| transaction.id()) else { return true };
                        self.transactions.remove(&id);
                        targets.hurry(now);
                        failed.push((*key, probe.server));
                        false
                    });
                }
                Progress::Keeping(keeper) => {
                    if let Some(ended) = keeper.request.take_if(|request| request.is_timed_out()) {
                        self.transactions.remove(&ended.id());
                        keeper.rest(now.after(refresh));
                    }
                    // RFC 8445 §5.1.1.4: further Binding requests keep the binding; keepalives are not paced.
                    if keeper.request.is_none() && keeper.next.is_some_and(|at| at.max(floor) <= now) {
                        floor = now.after(ta);
                        let request = Transaction::new(now, rng.transaction_id(), Schedule::default());
                        self.transactions.insert(request.id(), *key);
                        (keeper.request, keeper.next) = (Some(request), None);
                    }
                }
                Progress::Ended => {}
            }
        }
        self.floor = floor;
        for (key, server) in failed {
            self.report_binding(key, server, ServerError::TimedOut);
        }
    }
}
