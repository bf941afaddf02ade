#include "task/supervisor.h"

#include <algorithm>

namespace shoal::task {
namespace {

constexpr Duration kBudgetMin = 500ms;
constexpr Duration kPlatformReserve = 2s;  // Between our exit and the platform's SIGKILL.
constexpr Duration kAfterDrain = 8s;       // What a long budget keeps back for everything behind the drain.
constexpr Duration kAfterKill = 3s;        // What is kept back for the kernel, the leave and the exit.
constexpr Duration kLeaveHeadStart = 1s;   // For a sidecar that learns of our end by the leave alone.
constexpr std::int32_t kSigKill = 9;       // By number: no core includes a system header.
constexpr std::int32_t kSigTerm = 15;
constexpr std::int32_t kSignalBase = 128;
constexpr std::int32_t kExitTemporary = 75;  // EX_TEMPFAIL

}  // namespace

StopBudget stop_budget(Duration drain_timeout, Duration stop_timeout) {
  StopBudget budget;
  budget.total = std::max(kBudgetMin, std::min(drain_timeout, stop_timeout - kPlatformReserve));
  budget.drain_share = std::max(budget.total / 5 * 3, budget.total - kAfterDrain);
  budget.kill_at = budget.total - std::min(kAfterKill, budget.total / 5);
  return budget;
}

// One row a state, one column an event, in the order of the enums. `ignore` means that the event is normal there and
// asks for nothing; `unexpected` that it cannot happen, which is logged when it does.
struct Supervisor::Table {
  using S = Supervisor;
  static constexpr Action kNo = &S::unexpected;
  static constexpr Action kOk = &S::ignore;
  // clang-format off
  static constexpr std::array<Row, kStates> kActions = {{
    // Idle
    {&S::spawn, kNo, kNo, kNo, kNo,                                                       // start, worker: started, not started, ready, exited
     &S::exit_unstarted, &S::exit_unstarted,                                              // stop, stop fast
     kNo, kNo, kNo, kOk,                                                                  // drained, unconfirmed, left, signal
     kNo, kNo, kNo, kNo, kNo, kNo},                                                       // ready, share, head start, leave, kill, budget
    // Spawning
    {kNo, &S::note_started, &S::worker_not_started, kNo, &S::worker_died,
     &S::stop_without_drain, &S::stop_without_drain,
     kNo, kNo, kNo, kOk,
     &S::give_up_starting, kNo, kNo, kNo, kNo, kNo},
    // Starting
    {kNo, kNo, &S::worker_not_started, &S::announce, &S::worker_died,
     &S::stop_without_drain, &S::stop_without_drain,
     kNo, kNo, kNo, &S::pass_signal_on,
     &S::give_up_starting, kNo, kNo, kNo, kNo, kNo},
    // Ready
    {kNo, kNo, kNo, kOk, &S::announced_worker_died,
     &S::begin_drain, &S::depart_and_stop,
     kNo, kNo, kNo, &S::pass_signal_on,
     kNo, kNo, kNo, kNo, kNo, kNo},
    // Draining
    {kNo, kNo, kNo, kOk, &S::worker_died,
     &S::cut_drain, &S::cut_drain,
     &S::drained, &S::drained_unconfirmed, kNo, &S::pass_signal_on,
     kNo, &S::cut_drain_leave_first, kNo, kNo, &S::kill, &S::abandon},
    // LeavingFirst
    {kNo, kNo, kNo, kOk, &S::worker_stopped,
     &S::send_stop_signal, &S::send_stop_signal,
     &S::send_stop_signal, kOk, &S::note_left, &S::pass_signal_on,
     kNo, kNo, &S::send_stop_signal, &S::cut_leave, &S::kill, &S::abandon},
    // Stopping
    {kNo, &S::stop_late_starter, &S::worker_not_started, kOk, &S::worker_stopped,
     &S::note_request, &S::note_request,
     kOk, kOk, &S::note_left, &S::pass_signal_on,
     kNo, kNo, kNo, &S::cut_leave, &S::kill, &S::abandon},
    // Killing
    {kNo, &S::kill_late_starter, &S::worker_not_started, kOk, &S::worker_stopped,
     &S::note_request, &S::note_request,
     kOk, kOk, &S::note_left, kOk,
     kNo, kNo, kNo, &S::cut_leave, kNo, &S::abandon},
    // Leaving: an exec that failed is told twice, by the pipe and by the child's exit.
    {kNo, &S::kill_late_starter, kOk, kOk, kOk,
     &S::note_request, &S::note_request,
     kOk, kOk, &S::left_last, kOk,
     kNo, kNo, kNo, &S::cut_leave_last, kNo, &S::abandon},
    // Done
    {kNo, &S::kill_late_starter, kOk, kOk, kOk,
     kOk, kOk,
     kOk, kOk, kOk, kOk,
     kNo, kNo, kNo, kNo, kNo, kNo},
  }};
  // clang-format on
};

void Supervisor::happen(Instant now, Event event, SupervisorOutbox& out) {
  input_.event = event;
  // A row that is too short ends in null: the test of all states by all events finds it (a static_assert cannot, since
  // under UBSan g++ 12 does not take the comparison for a constant).
  const Action action = Table::kActions[index_of(state_)][static_cast<std::size_t>(event)];
  SHOAL_ASSERT(action != nullptr);
  (this->*action)(now, out);
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

void Supervisor::on_worker_started(Instant now, std::int32_t pid, SupervisorOutbox& out) {
  tick(now, out);
  SHOAL_ASSERT(pid > 0);
  input_.number = pid;
  happen(now, Event::kWorkerStarted, out);
}

void Supervisor::on_worker_failed(Instant now, std::int32_t exit_code, SupervisorOutbox& out) {
  tick(now, out);
  input_.number = exit_code;
  happen(now, Event::kWorkerNotStarted, out);
}

void Supervisor::on_worker_ready(Instant now, SupervisorOutbox& out) {
  tick(now, out);
  happen(now, Event::kWorkerReady, out);
}

void Supervisor::on_worker_exit(Instant now, WorkerExit exit, SupervisorOutbox& out) {
  tick(now, out);
  input_.exit = exit;
  happen(now, Event::kWorkerExited, out);
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
  // In the order in which they were due, so that a late call goes through the phases like a punctual one.
  for (;;) {
    const auto due = std::min_element(deadlines_.begin(), deadlines_.end());
    if (*due > now) return;
    *due = kNever;
    const auto timer = static_cast<std::size_t>(due - deadlines_.begin());
    happen(now, static_cast<Event>(static_cast<std::size_t>(Event::kReadyTimeout) + timer), out);
  }
}

Instant Supervisor::next_deadline() const { return *std::min_element(deadlines_.begin(), deadlines_.end()); }

// --- cells: start ------------------------------------------------------------------------------------------------

void Supervisor::ignore(Instant /*now*/, SupervisorOutbox& /*out*/) {}

void Supervisor::unexpected(Instant now, SupervisorOutbox& out) {
  note(Note::Kind::kUnexpected, now - started_,
       static_cast<std::int32_t>(index_of(state_)) * 100 + static_cast<std::int32_t>(input_.event), out);
}

void Supervisor::spawn(Instant now, SupervisorOutbox& out) {
  started_ = now;
  state_ = State::kSpawning;
  // From here on, so that a fork or an exec that hangs is covered too.
  if (options_.ready_timeout > Duration{}) deadline(Timer::kReady) = now + options_.ready_timeout;
  out.add(SpawnWorker{});
}

void Supervisor::exit_unstarted(Instant now, SupervisorOutbox& out) {
  started_ = now;
  begin_requested_stop(now, out);
  close_listener(out);
  finish_or_leave(now, out);
}

void Supervisor::note_started(Instant /*now*/, SupervisorOutbox& /*out*/) {
  pid_ = input_.number;
  state_ = State::kStarting;
}

void Supervisor::announce(Instant now, SupervisorOutbox& out) {
  deadline(Timer::kReady) = kNever;
  state_ = State::kReady;
  note(Note::Kind::kWorkerReady, now - started_, 0, out);
  out.add(AnnounceReady{});
}

void Supervisor::give_up_starting(Instant now, SupervisorOutbox& out) {
  note(Note::Kind::kNotReadyInTime, now - started_, 0, out);
  own_code_ = kExitTemporary;
  begin_stop(now);
  send_stop_signal(now, out);
}

// --- cells: stop -------------------------------------------------------------------------------------------------

void Supervisor::begin_drain(Instant now, SupervisorOutbox& out) {
  begin_requested_stop(now, out);
  state_ = State::kDraining;
  deadline(Timer::kDrainShare) = now + budget_.drain_share;
  out.add(Depart{budget_.drain_share});
}

void Supervisor::stop_without_drain(Instant now, SupervisorOutbox& out) {
  begin_requested_stop(now, out);
  send_stop_signal(now, out);
}

void Supervisor::depart_and_stop(Instant now, SupervisorOutbox& out) {
  begin_requested_stop(now, out);
  out.add(Depart{Duration{}});
  send_stop_signal(now, out);
}

void Supervisor::drained(Instant now, SupervisorOutbox& out) {
  note(Note::Kind::kDrained, since_stop(now), 0, out);
  send_stop_signal(now, out);
}

void Supervisor::drained_unconfirmed(Instant now, SupervisorOutbox& out) {
  note(Note::Kind::kDrainedWithoutConfirmation, since_stop(now), 0, out);
  leave_first(now, out);
}

void Supervisor::cut_drain(Instant now, SupervisorOutbox& out) {
  note(Note::Kind::kDrainCutShort, since_stop(now), 0, out);
  send_stop_signal(now, out);
}

void Supervisor::cut_drain_leave_first(Instant now, SupervisorOutbox& out) {
  note(Note::Kind::kDrainCutShort, since_stop(now), 0, out);
  leave_first(now, out);
}

// The listener first: with the worker's copy closed and ours open, the kernel would go on taking connections that
// nobody accepts, and HAProxy's connect check would stay up.
void Supervisor::send_stop_signal(Instant now, SupervisorOutbox& out) {
  deadline(Timer::kDrainShare) = kNever;
  deadline(Timer::kHeadStart) = kNever;
  state_ = State::kStopping;
  close_listener(out);
  if (pid_ != 0) {
    signal_group(options_.stop_signal, out);
    note(Note::Kind::kStopSignalSent, since_stop(now), options_.stop_signal, out);
  }
  start_leave(now, out);
}

void Supervisor::stop_late_starter(Instant now, SupervisorOutbox& out) {
  pid_ = input_.number;
  signal_group(options_.stop_signal, out);
  note(Note::Kind::kStopSignalSent, since_stop(now), options_.stop_signal, out);
}

void Supervisor::kill_late_starter(Instant now, SupervisorOutbox& out) {
  pid_ = input_.number;
  signal_group(kSigKill, out);
  note(Note::Kind::kWorkerKilled, since_stop(now), kSigKill, out);
}

void Supervisor::kill(Instant now, SupervisorOutbox& out) {
  deadline(Timer::kDrainShare) = kNever;
  deadline(Timer::kHeadStart) = kNever;
  state_ = State::kKilling;
  close_listener(out);
  if (pid_ != 0) {
    signal_group(kSigKill, out);
    note(Note::Kind::kWorkerKilled, since_stop(now), kSigKill, out);
  }
  start_leave(now, out);
}

void Supervisor::note_request(Instant /*now*/, SupervisorOutbox& /*out*/) { stop_requested_ = true; }

void Supervisor::pass_signal_on(Instant /*now*/, SupervisorOutbox& out) {
  if (pid_ != 0) signal_group(input_.number, out);
}

// --- cells: the worker's end -------------------------------------------------------------------------------------

void Supervisor::worker_died(Instant now, SupervisorOutbox& out) {
  begin_stop(now);
  take_exit(now, out);
  close_listener(out);
  finish_or_leave(now, out);
}

void Supervisor::announced_worker_died(Instant now, SupervisorOutbox& out) {
  begin_stop(now);
  out.add(Depart{Duration{}});
  worker_died(now, out);
}

void Supervisor::worker_stopped(Instant now, SupervisorOutbox& out) {
  take_exit(now, out);
  close_listener(out);
  finish_or_leave(now, out);
}

void Supervisor::worker_not_started(Instant now, SupervisorOutbox& out) {
  begin_stop(now);
  pid_ = 0;
  worker_code_ = input_.number;
  note(Note::Kind::kWorkerNotStarted, now - started_, worker_code_, out);
  close_listener(out);
  finish_or_leave(now, out);
}

void Supervisor::abandon(Instant now, SupervisorOutbox& out) {
  if (pid_ != 0) {
    worker_code_ = kSignalBase + kSigKill;
    note(Note::Kind::kWorkerAbandoned, since_stop(now), pid_, out);
  }
  if (leave_ == Leave::kUnderWay) note(Note::Kind::kLeaveCutShort, since_stop(now), 0, out);
  done(out);
}

// --- cells: the leave --------------------------------------------------------------------------------------------

void Supervisor::note_left(Instant now, SupervisorOutbox& out) {
  if (leave_ == Leave::kOver) return;  // After it was cut short.
  leave_ = Leave::kOver;
  deadline(Timer::kLeave) = kNever;
  note(Note::Kind::kLeft, since_stop(now), 0, out);
}

void Supervisor::left_last(Instant now, SupervisorOutbox& out) {
  note_left(now, out);
  done(out);
}

void Supervisor::cut_leave(Instant now, SupervisorOutbox& out) {
  leave_ = Leave::kOver;
  note(Note::Kind::kLeaveCutShort, since_stop(now), 0, out);
}

void Supervisor::cut_leave_last(Instant now, SupervisorOutbox& out) {
  cut_leave(now, out);
  done(out);
}

// --- what the cells are made of ----------------------------------------------------------------------------------

void Supervisor::begin_stop(Instant now) {
  if (stop_began_ != kNever) return;
  stop_began_ = now;
  budget_ = stop_budget(options_.drain_timeout, options_.stop_timeout);
  deadline(Timer::kReady) = kNever;
  deadline(Timer::kKill) = now + budget_.kill_at;
  deadline(Timer::kBudget) = now + budget_.total;
}

void Supervisor::begin_requested_stop(Instant now, SupervisorOutbox& out) {
  stop_requested_ = true;
  begin_stop(now);
  note(Note::Kind::kStopRequested, now - started_, input_.event == Event::kStopFast ? 1 : 0, out);
}

void Supervisor::leave_first(Instant now, SupervisorOutbox& out) {
  deadline(Timer::kDrainShare) = kNever;
  state_ = State::kLeavingFirst;
  // A small budget gives half of what is left before SIGKILL.
  const Duration left = std::max(Duration{}, stop_began_ + budget_.kill_at - now);
  deadline(Timer::kHeadStart) = now + std::min(kLeaveHeadStart, left / 2);
  start_leave(now, out);
}

void Supervisor::start_leave(Instant now, SupervisorOutbox& out) {
  if (leave_ != Leave::kNotYet) return;
  leave_ = Leave::kUnderWay;
  deadline(Timer::kLeave) = earlier(now + options_.leave_timeout, stop_began_ + budget_.total);
  out.add(StartLeave{});
}

void Supervisor::close_listener(SupervisorOutbox& out) {
  if (listener_closed_) return;
  listener_closed_ = true;
  out.add(CloseListener{});
}

void Supervisor::signal_group(std::int32_t signal, SupervisorOutbox& out) { out.add(SignalWorkerGroup{pid_, signal}); }

void Supervisor::finish_or_leave(Instant now, SupervisorOutbox& out) {
  deadline(Timer::kDrainShare) = kNever;
  deadline(Timer::kHeadStart) = kNever;
  deadline(Timer::kKill) = kNever;
  if (leave_ == Leave::kOver) return done(out);
  state_ = State::kLeaving;
  start_leave(now, out);
}

void Supervisor::take_exit(Instant now, SupervisorOutbox& out) {
  pid_ = 0;
  worker_code_ = input_.exit.by_signal ? kSignalBase + input_.exit.number : input_.exit.number;
  note(Note::Kind::kWorkerExited, since_stop(now), worker_code_, out);
}

void Supervisor::done(SupervisorOutbox& out) {
  deadlines_.fill(kNever);
  state_ = State::kDone;
  out.add(Exit{exit_code()});
}

std::int32_t Supervisor::exit_code() const {
  if (own_code_ >= 0) return own_code_;
  const bool stopped_as_asked =
      worker_code_ == kSignalBase + kSigTerm || worker_code_ == kSignalBase + options_.stop_signal;
  return stop_requested_ && stopped_as_asked ? 0 : worker_code_;
}

void Supervisor::note(Note::Kind kind, Duration elapsed, std::int32_t number, SupervisorOutbox& out) {
  out.add(Note{kind, elapsed, number});
}

}  // namespace shoal::task
