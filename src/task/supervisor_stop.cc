// The stop: what happens from its cause to the exit.
#include <algorithm>
#include <utility>

#include "task/supervisor.h"

namespace shoal::task {
namespace {

constexpr Duration kBudgetMin = 500ms;
constexpr Duration kPlatformReserve = 2s;  // Between our exit and the platform's SIGKILL.
constexpr Duration kAfterDrain = 8s;       // What a long budget keeps back for everything behind the drain.
constexpr Duration kAfterKill = 3s;        // What is kept back for the kernel, the leave and the exit.
constexpr Duration kLeaveHeadStart = 1s;   // For a sidecar that learns of our end by the leave alone.
constexpr std::int32_t kSignalBase = 128;

}  // namespace

using Kind = Note::Kind;

StopBudget stop_budget(Duration drain_timeout, Duration stop_timeout) {
  StopBudget budget;
  budget.total = std::max(kBudgetMin, std::min(drain_timeout, stop_timeout - kPlatformReserve));
  budget.drain_share = std::max(budget.total / 5 * 3, budget.total - kAfterDrain);
  budget.kill_at = budget.total - std::min(kAfterKill, budget.total / 5);
  return budget;
}

// --- cells: its begin --------------------------------------------------------------------------------------------

void Supervisor::exit_unstarted(Instant now, SupervisorOutbox& out) {
  started_ = now;
  begin_requested_stop(now, out);
  close_listener(out);
  finish_or_leave(now, out);
}

void Supervisor::begin_drain(Instant now, SupervisorOutbox& out) {
  begin_requested_stop(now, out);
  if (input_.event == Event::kStopFast) {
    depart_at_once(out);
    return send_stop_signal(now, out);
  }
  state_ = State::kDraining;
  deadline(Timer::kDrainShare) = now + budget_.drain_share;
  out.add(Depart{budget_.drain_share});
}

void Supervisor::stop_without_drain(Instant now, SupervisorOutbox& out) {
  begin_requested_stop(now, out);
  depart_at_once(out);
  send_stop_signal(now, out);
}

// One that was to be replaced and still finishes what it has is drained like any other.
void Supervisor::stop_ending(Instant now, SupervisorOutbox& out) {
  if (!worker_.told) return begin_drain(now, out);
  begin_requested_stop(now, out);
  depart_at_once(out);
  send_stop_signal(now, out);
  if (worker_.killed) state_ = State::kKilling;
}

void Supervisor::stop_without_worker(Instant now, SupervisorOutbox& out) {
  begin_requested_stop(now, out);
  depart_at_once(out);
  close_listener(out);
  finish_or_leave(now, out);
}

/// The worker's end is the task's. What it left in its group ends with it.
void Supervisor::end_task_with_worker(Instant now, SupervisorOutbox& out) {
  begin_stop(now, out);
  depart_at_once(out);
  died_in_stop(now, out);
}

// --- cells: the drain --------------------------------------------------------------------------------------------

void Supervisor::drained(Instant now, SupervisorOutbox& out) {
  out.note(Kind::kDrained, since_stop(now));
  send_stop_signal(now, out);
}

void Supervisor::drained_unconfirmed(Instant now, SupervisorOutbox& out) {
  out.note(Kind::kDrainedWithoutConfirmation, since_stop(now));
  leave_first(now, out);
}

void Supervisor::cut_drain(Instant now, SupervisorOutbox& out) {
  out.note(Kind::kDrainCutShort, since_stop(now));
  send_stop_signal(now, out);
}

void Supervisor::cut_drain_leave_first(Instant now, SupervisorOutbox& out) {
  out.note(Kind::kDrainCutShort, since_stop(now));
  leave_first(now, out);
}

// --- cells: the worker's end -------------------------------------------------------------------------------------

// The listener first: with the worker's copy closed and ours open, the kernel would go on taking connections that
// nobody accepts, and HAProxy's connect check would stay up.
void Supervisor::send_stop_signal(Instant now, SupervisorOutbox& out) {
  deadline(Timer::kDrainShare) = kNever;
  deadline(Timer::kHeadStart) = kNever;
  state_ = State::kStopping;
  close_listener(out);
  if (worker_.life == Life::kRuns && !std::exchange(worker_.told, true)) {
    signal_worker(options_.stop_signal, out);
    out.note(Kind::kStopSignalSent, since_stop(now), options_.stop_signal);
  }
  start_leave(now, out);
}

void Supervisor::stop_late_starter(Instant now, SupervisorOutbox& out) {
  worker_.life = Life::kRuns;
  worker_.told = true;
  signal_worker(options_.stop_signal, out);
  out.note(Kind::kStopSignalSent, since_stop(now), options_.stop_signal);
}

void Supervisor::kill_late_starter(Instant now, SupervisorOutbox& out) {
  worker_.life = Life::kRuns;
  kill_group(out);
  out.note(Kind::kWorkerKilled, since_stop(now), kSigKill);
}

void Supervisor::kill(Instant now, SupervisorOutbox& out) {
  deadline(Timer::kDrainShare) = kNever;
  deadline(Timer::kHeadStart) = kNever;
  state_ = State::kKilling;
  close_listener(out);
  if (worker_.life == Life::kRuns || worker_.life == Life::kExited) {
    kill_group(out);
    out.note(Kind::kWorkerKilled, since_stop(now), kSigKill);
  }
  start_leave(now, out);
}

// Nobody has told it to: what is left of its group is of no use.
void Supervisor::died_in_stop(Instant now, SupervisorOutbox& out) {
  deadline(Timer::kDrainShare) = kNever;
  deadline(Timer::kHeadStart) = kNever;
  state_ = State::kKilling;
  take_exit(now, out);
  close_listener(out);
  kill_group(out);
  start_leave(now, out);
}

void Supervisor::stopped(Instant now, SupervisorOutbox& out) { take_exit(now, out); }

void Supervisor::gone_in_stop(Instant now, SupervisorOutbox& out) {
  worker_is_gone();
  finish_or_leave(now, out);
}

void Supervisor::not_started_in_stop(Instant now, SupervisorOutbox& out) {
  worker_is_gone();
  worker_code_ = input_.number;
  out.note(Kind::kWorkerNotStarted, since_stop(now), worker_code_);
  finish_or_leave(now, out);
}

void Supervisor::note_request(Instant /*now*/, SupervisorOutbox& /*out*/) { stop_requested_ = true; }

void Supervisor::abandon(Instant now, SupervisorOutbox& out) {
  if (worker_.life == Life::kRuns) worker_code_ = kSignalBase + kSigKill;
  if (worker_.life == Life::kRuns || worker_.life == Life::kExited) {
    out.note(Kind::kWorkerAbandoned, since_stop(now), static_cast<std::int32_t>(worker_.generation));
  }
  if (!renewal_.is_over()) {
    out.note(Kind::kWorkerAbandoned, since_stop(now), static_cast<std::int32_t>(renewal_.generation()));
  }
  if (leave_ == Leave::kUnderWay) out.note(Kind::kLeaveCutShort, since_stop(now));
  done(out);
}

// --- cells: the leave --------------------------------------------------------------------------------------------

void Supervisor::note_left(Instant now, SupervisorOutbox& out) {
  if (leave_ == Leave::kOver) return;  // After it was cut short.
  leave_ = Leave::kOver;
  deadline(Timer::kLeave) = kNever;
  out.note(Kind::kLeft, since_stop(now));
}

void Supervisor::left_last(Instant now, SupervisorOutbox& out) {
  note_left(now, out);
  done(out);
}

void Supervisor::cut_leave(Instant now, SupervisorOutbox& out) {
  leave_ = Leave::kOver;
  out.note(Kind::kLeaveCutShort, since_stop(now));
}

void Supervisor::cut_leave_last(Instant now, SupervisorOutbox& out) {
  cut_leave(now, out);
  done(out);
}

// --- what the cells are made of ----------------------------------------------------------------------------------

void Supervisor::begin_stop(Instant now, SupervisorOutbox& out) {
  if (is_stopping()) return;
  stop_began_ = now;
  deadlines_.fill(kNever);
  deadline(Timer::kKill) = now + budget_.kill_at;
  deadline(Timer::kBudget) = now + budget_.total;
  renewal_wanted_ = false;
  renewal_.stop(now, now + budget_.kill_at, out);
}

void Supervisor::begin_requested_stop(Instant now, SupervisorOutbox& out) {
  stop_requested_ = true;
  out.note(Kind::kStopRequested, now - started_, input_.event == Event::kStopFast ? 1 : 0);
  begin_stop(now, out);
}

void Supervisor::depart_at_once(SupervisorOutbox& out) {
  if (was_announced_) out.add(Depart{Duration{}});
}

void Supervisor::leave_first(Instant now, SupervisorOutbox& out) {
  deadline(Timer::kDrainShare) = kNever;
  state_ = State::kLeavingFirst;
  // A small budget gives half of what is left before SIGKILL.
  const Duration left = std::max(Duration{}, deadline(Timer::kKill) - now);
  deadline(Timer::kHeadStart) = now + std::min(kLeaveHeadStart, left / 2);
  start_leave(now, out);
}

void Supervisor::start_leave(Instant now, SupervisorOutbox& out) {
  if (leave_ != Leave::kNotYet) return;
  leave_ = Leave::kUnderWay;
  deadline(Timer::kLeave) = earlier(now + options_.leave_timeout, deadline(Timer::kBudget));
  out.add(StartLeave{});
}

void Supervisor::close_listener(SupervisorOutbox& out) {
  if (listener_closed_) return;
  listener_closed_ = true;
  out.add(CloseListener{});
}

void Supervisor::finish_or_leave(Instant now, SupervisorOutbox& out) {
  if (worker_.life != Life::kNone || !renewal_.is_over()) return;
  deadline(Timer::kDrainShare) = kNever;
  deadline(Timer::kHeadStart) = kNever;
  deadline(Timer::kKill) = kNever;
  if (leave_ == Leave::kOver) return done(out);
  state_ = State::kLeaving;
  start_leave(now, out);
}

void Supervisor::done(SupervisorOutbox& out) {
  deadlines_.fill(kNever);
  renewal_.give_up();
  state_ = State::kDone;
  out.add(Exit{exit_code()});
}

std::int32_t Supervisor::exit_code() const {
  if (own_code_ >= 0) return own_code_;
  const bool stopped_as_asked =
      worker_code_ == kSignalBase + kSigTerm || worker_code_ == kSignalBase + options_.stop_signal;
  return stop_requested_ && stopped_as_asked ? 0 : worker_code_;
}

}  // namespace shoal::task
