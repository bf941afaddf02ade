// One worker from start to exit: a table of states by events (supervisor.cc), so that nothing that can happen in some
// state has been forgotten there.
//
//   state          means
//   Idle           `start` has not been called
//   Spawning       the worker is being started
//   Starting       it runs and is not ready
//   Ready          it serves and is announced
//   Draining       departing: the worker still serves, sidecars take it out of rotation
//   LeavingFirst   some sidecar never said `drained`: the leave goes out, the stop signal follows a second later
//   Stopping       the stop signal is sent, our copy of the listener closed, the leave is under way
//   Killing        SIGKILL is sent
//   Leaving        the worker is gone, the leave is under way
//   Done           Exit has been asked for
//
// One budget for the whole stop, counted from its cause (a signal, the worker's death, ready_timeout): the smaller of
// drain_timeout and stop_timeout - 2 s. With the defaults, 28 s:
//
//   0 s        depart                               share of the drain: 60 %, or all but 8 s if that is more
//   <= 20 s    leave, stop signal, listener closed  (the signal 1 s after the leave where a sidecar is not drained)
//   25 s       SIGKILL                              3 s before the end, or 20 % of the budget where that is smaller
//   28 s       exit, come what may
//
// Each phase ends as soon as its work is done. A second stop request, or a fast one, leaves out what remains of the
// drain.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>

#include "base/check.h"
#include "base/containers.h"
#include "base/time.h"

namespace shoal::task {

struct SpawnWorker {};
/// Our copy of the service listener, so that the kernel refuses as soon as the worker's own copy is gone.
struct CloseListener {};
struct SignalWorkerGroup {
  std::int32_t pid = 0;  // The leader of the worker's process group.
  std::int32_t signal = 0;
};
/// Tag state=ready, and announce to every sidecar.
struct AnnounceReady {};
/// Depart from every sidecar. `timeout` is the longest that we shall wait for the drain.
struct Depart {
  Duration timeout{};
};
struct StartLeave {};
struct Exit {
  std::int32_t code = 0;
};

/// For the log: what has happened, when, and what was cut short.
struct Note {
  enum class Kind : std::uint8_t {
    kWorkerReady,       // since the start
    kStopRequested,     // number: 1 = without a drain
    kWorkerExited,      // number: exit status, 128+n for a signal n
    kWorkerNotStarted,  // number: 126 or 127
    kNotReadyInTime,    // since the start
    kDrained,           // from here on: since the stop began
    kDrainedWithoutConfirmation,
    kDrainCutShort,   // the share is used up, or a second request came
    kStopSignalSent,  // number: the signal
    kWorkerKilled,    // SIGKILL: it did not stop in time
    kLeft,
    kLeaveCutShort,
    kWorkerAbandoned,  // it did not even die of SIGKILL before the budget's end
    kUnexpected,       // cannot happen: an input that this state rules out; number: state * 100 + event
  };
  Kind kind = Kind::kUnexpected;
  Duration elapsed{};
  std::int32_t number = 0;
};

using SupervisorEffect =
    std::variant<SpawnWorker, CloseListener, SignalWorkerGroup, AnnounceReady, Depart, StartLeave, Exit, Note>;

class SupervisorOutbox {
 public:
  // The longest call is a deadline that finds every phase overdue at once: kill, leave cut, exit, with their notes.
  static constexpr std::size_t kEffectsMax = 24;

  [[nodiscard]] const SupervisorEffect* begin() const { return effects_.begin(); }
  [[nodiscard]] const SupervisorEffect* end() const { return effects_.end(); }
  [[nodiscard]] std::size_t size() const { return effects_.size(); }
  [[nodiscard]] bool empty() const { return effects_.empty(); }
  void clear() { effects_.clear(); }

  // For the supervisor.
  void add(const SupervisorEffect& effect) { effects_.push_back(effect); }

 private:
  InlineVector<SupervisorEffect, kEffectsMax> effects_;
};

/// The parts of a stop's budget, all counted from its begin. Each is at most the next.
struct StopBudget {
  Duration drain_share{};
  Duration kill_at{};
  Duration total{};
};
/// Never under half a second in all, however small the settings.
[[nodiscard]] StopBudget stop_budget(Duration drain_timeout, Duration stop_timeout);

/// How the worker ended. Decoded from waitpid's status by the caller.
struct WorkerExit {
  bool by_signal = false;
  std::int32_t number = 0;  // Exit status or signal.
};

class Supervisor final {
 public:
  struct Options {
    Duration drain_timeout = 30s;
    Duration stop_timeout = 30s;   // What the platform gives between SIGTERM and its SIGKILL.
    Duration ready_timeout = 60s;  // 0 = none.
    Duration leave_timeout = 2s;
    std::int32_t stop_signal = 15;
  };
  enum class State : std::uint8_t {
    kIdle,
    kSpawning,
    kStarting,
    kReady,
    kDraining,
    kLeavingFirst,
    kStopping,
    kKilling,
    kLeaving,
    kDone,
    kCount
  };
  enum class Event : std::uint8_t {
    kStart,
    kWorkerStarted,
    kWorkerNotStarted,
    kWorkerReady,
    kWorkerExited,
    kStop,
    kStopFast,
    kDrained,             // Every sidecar that is here said so, or there is none to ask.
    kDrainedUnconfirmed,  // Nothing left to wait for, but a sidecar that is here never said so.
    kLeft,
    kForwardSignal,
    kReadyTimeout,  // From here on: deadlines.
    kDrainShareUsed,
    kHeadStartOver,  // The leave's second before the stop signal.
    kLeaveTimeout,
    kKillDue,
    kBudgetOver,
    kCount
  };

  Supervisor(const Options& options, Instant now) : options_(options), now_(now) { deadlines_.fill(kNever); }

  void start(Instant now, SupervisorOutbox& out);
  /// After fork: the worker runs, or will say that it could not be executed.
  void on_worker_started(Instant now, std::int32_t pid, SupervisorOutbox& out);
  /// `exit_code`: 126 not executable, 127 not found, 69 when not even fork worked. Before or after on_worker_started.
  void on_worker_failed(Instant now, std::int32_t exit_code, SupervisorOutbox& out);
  void on_worker_ready(Instant now, SupervisorOutbox& out);
  void on_worker_exit(Instant now, WorkerExit exit, SupervisorOutbox& out);
  /// SIGTERM, SIGINT, `drain --stop`; `fast`: SIGQUIT.
  void on_stop_signal(Instant now, bool fast, SupervisorOutbox& out);
  /// The announcer's AllDrained.
  void on_drained(Instant now, bool confirmed, SupervisorOutbox& out);
  /// The gossip layer has finished its leave.
  void on_left(Instant now, SupervisorOutbox& out);
  /// SIGUSR1, SIGUSR2, SIGWINCH: passed on while there is a worker.
  void on_forward_signal(Instant now, std::int32_t signal, SupervisorOutbox& out);
  void on_deadline(Instant now, SupervisorOutbox& out);

  [[nodiscard]] Instant next_deadline() const;
  [[nodiscard]] State state() const { return state_; }
  /// The worker is ready and no stop has begun.
  [[nodiscard]] bool is_serving() const { return state_ == State::kReady; }

 private:
  using Action = void (Supervisor::*)(Instant now, SupervisorOutbox& out);
  static constexpr std::size_t kStates = static_cast<std::size_t>(State::kCount);
  static constexpr std::size_t kEvents = static_cast<std::size_t>(Event::kCount);
  using Row = std::array<Action, kEvents>;
  struct Table;  // supervisor.cc

  /// One slot for each deadline, in the order of the events of the same name.
  enum class Timer : std::uint8_t { kReady, kDrainShare, kHeadStart, kLeave, kKill, kBudget, kCount };
  static constexpr std::size_t kTimers = static_cast<std::size_t>(Timer::kCount);
  static_assert(kTimers == kEvents - static_cast<std::size_t>(Event::kReadyTimeout), "one event for each timer");
  enum class Leave : std::uint8_t { kNotYet, kUnderWay, kOver };

  void happen(Instant now, Event event, SupervisorOutbox& out);

  // The cells of the table.
  void ignore(Instant now, SupervisorOutbox& out);
  void unexpected(Instant now, SupervisorOutbox& out);
  void spawn(Instant now, SupervisorOutbox& out);
  void exit_unstarted(Instant now, SupervisorOutbox& out);
  void note_started(Instant now, SupervisorOutbox& out);
  void announce(Instant now, SupervisorOutbox& out);
  void give_up_starting(Instant now, SupervisorOutbox& out);
  void begin_drain(Instant now, SupervisorOutbox& out);
  void stop_without_drain(Instant now, SupervisorOutbox& out);
  void depart_and_stop(Instant now, SupervisorOutbox& out);
  void drained(Instant now, SupervisorOutbox& out);
  void drained_unconfirmed(Instant now, SupervisorOutbox& out);
  void cut_drain(Instant now, SupervisorOutbox& out);
  void cut_drain_leave_first(Instant now, SupervisorOutbox& out);
  void send_stop_signal(Instant now, SupervisorOutbox& out);
  void stop_late_starter(Instant now, SupervisorOutbox& out);
  void kill_late_starter(Instant now, SupervisorOutbox& out);
  void kill(Instant now, SupervisorOutbox& out);
  void worker_died(Instant now, SupervisorOutbox& out);
  void announced_worker_died(Instant now, SupervisorOutbox& out);
  void worker_stopped(Instant now, SupervisorOutbox& out);
  void worker_not_started(Instant now, SupervisorOutbox& out);
  void note_left(Instant now, SupervisorOutbox& out);
  void left_last(Instant now, SupervisorOutbox& out);
  void cut_leave(Instant now, SupervisorOutbox& out);
  void cut_leave_last(Instant now, SupervisorOutbox& out);
  void pass_signal_on(Instant now, SupervisorOutbox& out);
  void note_request(Instant now, SupervisorOutbox& out);
  void abandon(Instant now, SupervisorOutbox& out);

  // What the cells are made of.
  void begin_stop(Instant now);
  void begin_requested_stop(Instant now, SupervisorOutbox& out);
  void leave_first(Instant now, SupervisorOutbox& out);
  void start_leave(Instant now, SupervisorOutbox& out);
  void close_listener(SupervisorOutbox& out);
  void signal_group(std::int32_t signal, SupervisorOutbox& out);
  void finish_or_leave(Instant now, SupervisorOutbox& out);
  void take_exit(Instant now, SupervisorOutbox& out);
  void done(SupervisorOutbox& out);
  void note(Note::Kind kind, Duration elapsed, std::int32_t number, SupervisorOutbox& out);
  [[nodiscard]] Duration since_stop(Instant now) const { return now - stop_began_; }
  [[nodiscard]] std::int32_t exit_code() const;
  Instant& deadline(Timer t) { return deadlines_[static_cast<std::size_t>(t)]; }
  void tick(Instant now, const SupervisorOutbox& out);

  Options options_;
  Instant now_;
  State state_ = State::kIdle;
  std::array<Instant, kTimers> deadlines_{};
  Leave leave_ = Leave::kNotYet;
  Instant started_{};
  Instant stop_began_ = kNever;
  StopBudget budget_;
  std::int32_t pid_ = 0;  // 0 = no worker.
  bool listener_closed_ = false;
  bool stop_requested_ = false;   // By a signal or an operator: then 143 is a success.
  std::int32_t own_code_ = -1;    // An exit code of our own that wins over the worker's status; -1 = none.
  std::int32_t worker_code_ = 0;  // 128+n for a signal n.
  // The input that is being handled, for the cells that need more than its kind.
  struct {
    WorkerExit exit;
    std::int32_t number = 0;  // pid, exit code or signal.
    Event event = Event::kStart;
  } input_;
};

[[nodiscard]] constexpr std::size_t index_of(Supervisor::State s) { return static_cast<std::size_t>(s); }

}  // namespace shoal::task
