// The inputs, and what happens from the first start on until a stop begins.
#include "task/supervisor.h"

#include <algorithm>
#include <utility>

namespace shoal::task {
namespace {

// How long a worker that is to be replaced may finish what it has, before it is told to stop and finishes the rest.
constexpr Duration kEmptyMost = 5s;
// See the header.
constexpr Duration kAsideMost = 1s;
constexpr Duration kReturnMost = 1s;
// For HAProxy to see that the old generation's connections are closed: it keeps them over a maintenance, and would send
// the first requests after it there.
constexpr Duration kReturnAfter = 100ms;
constexpr std::int32_t kExitTemporary = 75;  // EX_TEMPFAIL

Renewal::Options renewal_options(const Supervisor::Options& options) {
  Renewal::Options out;
  out.ready_timeout = options.ready_timeout;
  out.end_grace = stop_budget(options.drain_timeout, options.stop_timeout).kill_at;
  out.stop_signal = options.stop_signal;
  out.signals_leader_only = options.signals_leader_only;
  return out;
}

}  // namespace

using Kind = Note::Kind;

Supervisor::Supervisor(const Options& options, Rng rng, Instant now)
    : options_(options),
      rng_(rng),
      now_(now),
      budget_(stop_budget(options.drain_timeout, options.stop_timeout)),
      renewal_(renewal_options(options)) {
  deadlines_.fill(kNever);
}

void Supervisor::tick(Instant now, const SupervisorOutbox& out) {
  SHOAL_ASSERT(out.empty());
  SHOAL_ASSERT(now >= now_);
  now_ = now;
}

// --- inputs ------------------------------------------------------------------------------------------------------

void Supervisor::start(Instant now, SupervisorOutbox& out) {
  tick(now, out);
  happen(now, Event::kStart, out);
}

void Supervisor::on_worker_started(Instant now, std::uint32_t generation, SupervisorOutbox& out) {
  tick(now, out);
  if (generation == worker_.generation) return happen(now, Event::kWorkerStarted, out);
  renewal_.on_started(now, generation, out);
}

void Supervisor::on_worker_failed(Instant now, std::uint32_t generation, std::int32_t exit_code,
                                  SupervisorOutbox& out) {
  tick(now, out);
  input_.number = exit_code;
  if (generation == worker_.generation) return happen(now, Event::kWorkerNotStarted, out);
  const bool was_there = !renewal_.is_over();
  renewal_.on_failed(now, generation, exit_code, out);
  after_renewal(now, was_there, out);
}

void Supervisor::on_worker_ready(Instant now, std::uint32_t generation, SupervisorOutbox& out) {
  tick(now, out);
  if (generation == worker_.generation) return happen(now, Event::kWorkerReady, out);
  if (renewal_.is_coming() && generation == renewal_.generation()) happen(now, Event::kNewReady, out);
}

void Supervisor::on_worker_exit(Instant now, std::uint32_t generation, WorkerExit exit, SupervisorOutbox& out) {
  tick(now, out);
  input_.exit = exit;
  if (generation == worker_.generation) return happen(now, Event::kWorkerExited, out);
  renewal_.on_exit(now, generation, exit, out);
}

void Supervisor::on_worker_gone(Instant now, std::uint32_t generation, SupervisorOutbox& out) {
  tick(now, out);
  if (generation == worker_.generation) return happen(now, Event::kWorkerGone, out);
  const bool was_there = !renewal_.is_over();
  renewal_.on_gone(now, generation, out);
  after_renewal(now, was_there, out);
}

void Supervisor::after_renewal(Instant now, bool was_there, SupervisorOutbox& out) {
  if (was_there && renewal_.is_over()) happen(now, Event::kOtherGone, out);
}

void Supervisor::on_unhealthy(Instant now, SupervisorOutbox& out) {
  tick(now, out);
  happen(now, Event::kUnhealthy, out);
}

void Supervisor::on_healthy(Instant now, SupervisorOutbox& out) {
  tick(now, out);
  happen(now, Event::kHealthy, out);
}

void Supervisor::restart_worker(Instant now, SupervisorOutbox& out) {
  tick(now, out);
  happen(now, Event::kReplace, out);
}

void Supervisor::renew(Instant now, SupervisorOutbox& out) {
  tick(now, out);
  happen(now, Event::kRenew, out);
}

void Supervisor::on_aside(Instant now, SupervisorOutbox& out) {
  tick(now, out);
  happen(now, Event::kAside, out);
}

void Supervisor::on_stop_signal(Instant now, bool fast, SupervisorOutbox& out) {
  tick(now, out);
  happen(now, fast ? Event::kStopFast : Event::kStop, out);
}

void Supervisor::on_drained(Instant now, bool confirmed, SupervisorOutbox& out) {
  tick(now, out);
  happen(now, confirmed ? Event::kDrained : Event::kDrainedUnconfirmed, out);
}

void Supervisor::on_left(Instant now, SupervisorOutbox& out) {
  tick(now, out);
  happen(now, Event::kLeft, out);
}

void Supervisor::on_forward_signal(Instant now, std::int32_t signal, SupervisorOutbox& out) {
  tick(now, out);
  input_.number = signal;
  happen(now, Event::kForwardSignal, out);
}

void Supervisor::on_deadline(Instant now, SupervisorOutbox& out) {
  tick(now, out);
  give_time_after_standstill(now);
  // In the order in which they were due, so that a late call goes through the phases like a punctual one.
  for (;;) {
    const auto due = std::min_element(deadlines_.begin(), deadlines_.end());
    if (earlier(*due, renewal_.next_deadline()) > now) return;
    if (renewal_.next_deadline() < *due) {
      renewal_.on_deadline(now, out);
      after_renewal(now, true, out);
      continue;
    }
    *due = kNever;
    const auto timer = static_cast<std::size_t>(due - deadlines_.begin());
    happen(now, static_cast<Event>(static_cast<std::size_t>(Event::kReadyTimeout) + timer), out);
  }
}

Instant Supervisor::next_deadline() const {
  return earlier(*std::min_element(deadlines_.begin(), deadlines_.end()), renewal_.next_deadline());
}

// The worker, and those who are told of our leave, stood still like we did, or had no way to reach us.
void Supervisor::give_time_after_standstill(Instant now) {
  const Instant due = *std::min_element(deadlines_.begin(), deadlines_.end());
  if (due > now || now - due <= kStoodStill) return;
  for (const Timer timer : {Timer::kReady, Timer::kWorkerKill, Timer::kLeave, Timer::kKill}) {
    if (deadline(timer) <= now) deadline(timer) = now + kStoodStill;
  }
  const Instant end = now + kStoodStill + kStoodStill / 2;
  if (deadline(Timer::kBudget) < end) deadline(Timer::kBudget) = end;
}

// --- cells: start ------------------------------------------------------------------------------------------------

void Supervisor::ignore(Instant /*now*/, SupervisorOutbox& /*out*/) {}

void Supervisor::unexpected(Instant now, SupervisorOutbox& out) {
  out.note(Kind::kUnexpected, now - started_,
           static_cast<std::int32_t>(index_of(state_)) * 100 + static_cast<std::int32_t>(input_.event));
}

void Supervisor::spawn_first(Instant now, SupervisorOutbox& out) {
  started_ = now;
  spawn(now, out);
}

void Supervisor::spawn(Instant now, SupervisorOutbox& out) {
  worker_ = {};
  worker_.generation = ++last_generation_;
  worker_.life = Life::kSpawning;
  worker_.since = now;
  state_ = State::kSpawning;
  renewal_wanted_ = false;  // This one is as new as can be.
  // From here on, so that a fork or an exec that hangs is covered too.
  if (options_.ready_timeout > Duration{}) deadline(Timer::kReady) = now + options_.ready_timeout;
  out.add(SpawnWorker{worker_.generation});
}

void Supervisor::note_started(Instant /*now*/, SupervisorOutbox& /*out*/) {
  has_run_ = true;
  worker_.life = Life::kRuns;
  state_ = State::kStarting;
}

void Supervisor::announce(Instant now, SupervisorOutbox& out) {
  deadline(Timer::kReady) = kNever;
  state_ = State::kReady;
  worker_.ready_at = now;
  was_announced_ = true;
  out.note(Kind::kWorkerReady, now - worker_.since);
  say_ready(out);
  begin_remembered(now, out);
}

void Supervisor::give_up_starting(Instant now, SupervisorOutbox& out) {
  out.note(Kind::kNotReadyInTime, now - worker_.since);
  if (options_.restart != Restart::kNever) return end_worker_by_force(now, out);
  own_code_ = kExitTemporary;
  begin_stop(now, out);
  depart_at_once(out);
  send_stop_signal(now, out);
}

// --- cells: restart ----------------------------------------------------------------------------------------------

void Supervisor::lose_worker(Instant now, SupervisorOutbox& out) {
  if (!is_restarted_after(input_.exit)) return end_task_with_worker(now, out);
  take_exit(now, out);
  deadline(Timer::kReady) = kNever;
  deadline(Timer::kReturn) = kNever;
  if (options_.backlog_wait == Duration{} || said_ != Said::kReady) {
    withdraw(now, out);
  } else if (deadline(Timer::kBacklogWait) == kNever) {
    deadline(Timer::kBacklogWait) = now + options_.backlog_wait;
  }
  if (!renewal_.is_coming()) return end_worker_by_force(now, out);
  const Renewal::NewServing next = renewal_.take_over(now, worker_.generation, true, out);
  worker_ = {};
  worker_.generation = next.generation;
  worker_.life = next.has_started ? Life::kRuns : Life::kSpawning;
  worker_.since = now;
  state_ = next.has_started ? State::kStarting : State::kSpawning;
  deadline(Timer::kReady) = next.ready_by;
}

bool Supervisor::is_restarted_after(WorkerExit exit) const {
  switch (options_.restart) {
    case Restart::kNever: return false;
    case Restart::kOnFailure: return exit.is_failure();
    case Restart::kAlways: return true;
  }
  SHOAL_UNREACHABLE();
}

// The first start shows whether the program is there at all; later it may be missing while it is being replaced.
void Supervisor::not_started(Instant now, SupervisorOutbox& out) {
  out.note(Kind::kWorkerNotStarted, now - worker_.since, input_.number);
  deadline(Timer::kReady) = kNever;
  if (has_run_ && options_.restart != Restart::kNever) return back_off(now, out);
  begin_stop(now, out);
  worker_is_gone();
  worker_code_ = input_.number;
  depart_at_once(out);
  close_listener(out);
  finish_or_leave(now, out);
}

/// What is left of the worker is of no use: a new one follows when it is gone.
void Supervisor::end_worker_by_force(Instant now, SupervisorOutbox& out) {
  state_ = State::kEnding;
  worker_.told = worker_.killed = true;
  kill_group(out);
  deadline(Timer::kWorkerKill) = now + kAbandonAfter;
}

void Supervisor::back_off(Instant now, SupervisorOutbox& out) {
  const Duration was_ready = worker_.ready_at == kNever ? Duration{} : now - worker_.ready_at;
  const Duration wait = backoff_.next(was_ready, rng_);
  worker_is_gone();
  state_ = State::kBackingOff;
  deadline(Timer::kDrainShare) = kNever;
  deadline(Timer::kWorkerKill) = kNever;
  deadline(Timer::kBackoff) = now + wait;
  out.note(Kind::kRestartDue, wait, static_cast<std::int32_t>(++restarts_));
}

void Supervisor::spawn_again(Instant now, SupervisorOutbox& out) {
  deadline(Timer::kBackoff) = kNever;
  spawn(now, out);
}

void Supervisor::withdraw(Instant now, SupervisorOutbox& out) {
  deadline(Timer::kBacklogWait) = kNever;
  deadline(Timer::kReturn) = kNever;
  if (said_ != Said::kReady && said_ != Said::kUnready) return;
  said_ = Said::kWithdrawn;
  is_empty_ = false;
  out.note(Kind::kWithdrawn, now - worker_.since);
  out.add(Withdraw{budget_.drain_share});
}

void Supervisor::withdraw_overdue(Instant now, SupervisorOutbox& out) { withdraw(now, out); }

void Supervisor::become_unhealthy(Instant /*now*/, SupervisorOutbox& out) {
  state_ = State::kUnhealthy;
  deadline(Timer::kReturn) = kNever;
  said_ = Said::kUnready;
  out.add(SayUnready{});
}

void Supervisor::become_healthy(Instant /*now*/, SupervisorOutbox& out) {
  state_ = State::kReady;
  say_ready(out);
}

void Supervisor::note_empty(Instant /*now*/, SupervisorOutbox& /*out*/) { is_empty_ = true; }

void Supervisor::replace(Instant now, SupervisorOutbox& out) {
  out.note(Kind::kRestartWanted, now - worker_.since);
  withdraw(now, out);
  if (renewal_.is_coming()) {  // A replacement is on its way; should it fail, health will ask again.
    state_ = State::kUnhealthy;
    return;
  }
  state_ = State::kEnding;
  if (is_empty_) return tell_ending(now, out);
  deadline(Timer::kDrainShare) = now + std::min(budget_.drain_share, kEmptyMost);
}

void Supervisor::tell_ending(Instant now, SupervisorOutbox& out) {
  deadline(Timer::kDrainShare) = kNever;
  if (worker_.told) return;
  worker_.told = true;
  signal_worker(options_.stop_signal, out);
  out.note(Kind::kToldToEnd, now - worker_.since, options_.stop_signal);
  deadline(Timer::kWorkerKill) = now + budget_.kill_at;
}

void Supervisor::ending_exited(Instant now, SupervisorOutbox& out) {
  take_exit(now, out);
  if (!worker_.told) end_worker_by_force(now, out);
}

void Supervisor::kill_ending(Instant now, SupervisorOutbox& out) {
  if (worker_.killed) {
    out.note(Kind::kGroupAbandoned, now - worker_.since, static_cast<std::int32_t>(worker_.generation));
    return back_off(now, out);
  }
  out.note(Kind::kEndedByForce, now - worker_.since);
  end_worker_by_force(now, out);
}

// --- cells: renewal ----------------------------------------------------------------------------------------------

void Supervisor::remember_renewal(Instant now, SupervisorOutbox& out) {
  renewal_wanted_ = true;
  out.note(Kind::kRenewalRemembered, now - worker_.since);
}

void Supervisor::begin_renewal(Instant now, SupervisorOutbox& out) {
  if (!renewal_.is_over()) return remember_renewal(now, out);
  renewal_wanted_ = false;
  renewal_.begin(now, ++last_generation_, out);
}

void Supervisor::begin_remembered(Instant now, SupervisorOutbox& out) {
  if (renewal_wanted_ && renewal_.is_over()) begin_renewal(now, out);
}

void Supervisor::step_aside(Instant now, SupervisorOutbox& out) {
  renewal_.on_ready();
  if (said_ != Said::kReady) return change(now, false, out);  // Out of rotation anyhow, or about to return.
  state_ = State::kChanging;
  said_ = Said::kUnready;
  deadline(Timer::kAside) = now + kAsideMost;
  out.add(SayUnready{});
}

void Supervisor::wait_until_empty(Instant now, SupervisorOutbox& out) {
  if (said_ != Said::kUnready) return;
  withdraw(now, out);
  deadline(Timer::kAside) = now + kEmptyMost;
}

void Supervisor::hand_over(Instant now, SupervisorOutbox& out) {
  deadline(Timer::kAside) = kNever;
  if (renewal_.is_coming()) return change(now, false, out);
  state_ = State::kReady;  // It has exited meanwhile.
  return_to_ready(now, out);
}

/// The new generation becomes the serving one. It is announced again when the old one is gone.
void Supervisor::change(Instant now, bool old_has_exited, SupervisorOutbox& out) {
  deadline(Timer::kAside) = kNever;
  const Renewal::NewServing next = renewal_.take_over(now, worker_.generation, old_has_exited, out);
  worker_ = {};
  worker_.generation = next.generation;
  worker_.life = Life::kRuns;
  worker_.since = worker_.ready_at = now;
  state_ = State::kReady;
  deadline(Timer::kReturn) = now + kReturnMost;
}

void Supervisor::other_gone(Instant now, SupervisorOutbox& out) {
  if (state_ == State::kChanging) return hand_over(now, out);
  if (state_ == State::kReady && said_ != Said::kReady) {
    deadline(Timer::kReturn) = now + kReturnAfter;
    return;
  }
  begin_remembered(now, out);
}

void Supervisor::return_to_ready(Instant now, SupervisorOutbox& out) {
  if (said_ != Said::kReady) say_ready(out);
  begin_remembered(now, out);
}

void Supervisor::say_ready(SupervisorOutbox& out) {
  deadline(Timer::kBacklogWait) = kNever;
  deadline(Timer::kReturn) = kNever;
  said_ = Said::kReady;
  out.add(AnnounceReady{});
}

// The new one is ready: nothing is lost, whatever the restart policy says.
void Supervisor::old_died_in_change(Instant now, SupervisorOutbox& out) {
  if (!renewal_.is_coming()) return lose_worker(now, out);
  out.note(Kind::kWorkerExited, now - worker_.since, input_.exit.shell_code());
  change(now, true, out);
}

// --- what the cells are made of ----------------------------------------------------------------------------------

void Supervisor::signal_worker(std::int32_t signal, SupervisorOutbox& out) {
  if (worker_.life != Life::kRuns) return;
  out.add(SignalWorker{worker_.generation, signal, !options_.signals_leader_only});
}

void Supervisor::kill_group(SupervisorOutbox& out) {
  worker_.killed = true;
  if (worker_.life == Life::kRuns || worker_.life == Life::kExited) {
    out.add(SignalWorker{worker_.generation, kSigKill, true});
  }
}

void Supervisor::take_exit(Instant now, SupervisorOutbox& out) {
  worker_.life = Life::kExited;
  const std::int32_t code = input_.exit.shell_code();
  worker_code_ = is_stopping() ? code : 0;  // Else a new one follows, and this end is not the task's.
  out.note(Kind::kWorkerExited, is_stopping() ? since_stop(now) : now - worker_.since, code);
}

void Supervisor::worker_is_gone() { worker_.life = Life::kNone; }

void Supervisor::pass_signal_on(Instant /*now*/, SupervisorOutbox& out) {
  signal_worker(input_.number, out);
  renewal_.pass_on(input_.number, out);
}

}  // namespace shoal::task
