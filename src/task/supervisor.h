// The worker from its first start to the task's exit: a table of states by events (supervisor_table.cc), so that
// nothing that can happen in some state has been forgotten there. The other generation of a renewal has a file of its
// own (renewal.h).
//
//   state          means
//   Idle           `start` has not been called
//   Spawning       a worker is being started
//   Starting       it runs and is not ready
//   Ready          it serves and is announced
//   Unhealthy      it runs and serves, and is said to be unready
//   Changing       a renewal's new generation is ready: the task is said to be unready, so that HAProxy sends no more
//                  to the old one, which then is told to stop
//   Ending         it has crashed, was not ready in time, or is to be replaced; a new one follows when nobody of its
//                  process group is left
//   BackingOff     there is none; a new one follows
//   Draining       departing: the worker still serves, sidecars take it out of rotation
//   LeavingFirst   some sidecar never said `drained`: the leave goes out, the stop signal follows a second later
//   Stopping       the stop signal is sent, our copy of the listener closed, the leave is under way
//   Killing        SIGKILL is sent
//   Leaving        the worker is gone, the leave is under way
//   Done           Exit has been asked for
//
// The worker's end. With `restart` it is started anew on the same listener, where clients wait meanwhile: at once, then
// after 1 s doubling to 30 s with jitter, from the beginning when it was ready for a minute. It is withdrawn at once,
// or after `backlog_wait` unless the new worker is ready by then, and announced again when that is ready. A worker that
// is not ready in time has crashed. Without `restart` its end is the task's. What the first worker's start finds wrong
// with the program (126, 127) always is.
//
// A renewal's change. Both generations accept on one listener, but a connection that HAProxy keeps belongs to the old
// one, and a request that goes out on it while the old one closes it is lost. So the task steps aside first: it says
// `unready`, which a pool that has nobody else does not act on (haproxy.removal_floor). Where it is out of rotation
// within kAsideMost, the change is made when it is drained, at most kEmptyMost later, and it returns shortly after the
// old generation has ended, at most kReturnMost after the change. Where it is not, the change is made in rotation.
//
// When a leader has exited, what is left of its process group gets SIGKILL: at once when it has exited by itself, when
// the time is up in a stop.
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
// drain. A machine that stood still past these times gets them in order all the same, a second later each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/backoff.h"
#include "base/rng.h"
#include "base/time.h"
#include "task/renewal.h"
#include "task/supervisor_effects.h"

namespace shoal::task {

/// The parts of a stop's budget, all counted from its begin. Each is at most the next.
struct StopBudget {
  Duration drain_share{};
  Duration kill_at{};
  Duration total{};
};
/// Never under half a second in all, however small the settings.
[[nodiscard]] StopBudget stop_budget(Duration drain_timeout, Duration stop_timeout);

/// Whether a worker that has ended by itself is started anew.
enum class Restart : std::uint8_t {
  kNever,      // The task ends with it.
  kOnFailure,  // Unless it exited with 0.
  kAlways,
};

class Supervisor final {
 public:
  struct Options {
    Duration drain_timeout = 30s;
    Duration stop_timeout = 30s;   // What the platform gives between SIGTERM and its SIGKILL.
    Duration ready_timeout = 60s;  // 0 = none.
    Duration leave_timeout = 2s;
    std::int32_t stop_signal = kSigTerm;
    bool signals_leader_only = false;  // The stop and forwarded signals; SIGKILL always goes to the whole group.
    Restart restart = Restart::kNever;
    Duration backlog_wait{};  // How long a crashed worker stays announced.
  };
  enum class State : std::uint8_t {
    kIdle,
    kSpawning,
    kStarting,
    kReady,
    kUnhealthy,
    kChanging,
    kEnding,
    kBackingOff,
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
    kWorkerGone,  // Nobody of its group is left.
    kOtherGone,   // The renewal's: it went, or failed and is gone.
    kNewReady,    // The renewal's.
    kAside,       // Every sidecar that is here has us out of rotation.
    kUnhealthy,
    kHealthy,
    kReplace,
    kRenew,
    kStop,
    kStopFast,
    kDrained,             // Every sidecar that is here said so, or there is none to ask.
    kDrainedUnconfirmed,  // Nothing left to wait for, but a sidecar that is here never said so.
    kLeft,
    kForwardSignal,
    kReadyTimeout,  // From here on: deadlines.
    kBackoffOver,
    kBacklogWaitOver,
    kAsideOver,
    kReturnDue,  // After a change, although the old generation has not ended yet.
    kDrainShareUsed,
    kHeadStartOver,  // The leave's second before the stop signal.
    kLeaveTimeout,
    kWorkerKillDue,  // In Ending.
    kKillDue,        // In a stop.
    kBudgetOver,
    kCount
  };

  Supervisor(const Options& options, Rng rng, Instant now);

  void start(Instant now, SupervisorOutbox& out);
  // Of any generation; one that was given up is ignored.
  /// After fork: the worker runs, or will say that it could not be executed.
  void on_worker_started(Instant now, std::uint32_t generation, SupervisorOutbox& out);
  /// `exit_code`: 126 not executable, 127 not found, 69 when not even fork worked. Before or after on_worker_started.
  void on_worker_failed(Instant now, std::uint32_t generation, std::int32_t exit_code, SupervisorOutbox& out);
  void on_worker_ready(Instant now, std::uint32_t generation, SupervisorOutbox& out);
  /// The leader of its group has exited.
  void on_worker_exit(Instant now, std::uint32_t generation, WorkerExit exit, SupervisorOutbox& out);
  /// Nobody of its group is left. After on_worker_exit.
  void on_worker_gone(Instant now, std::uint32_t generation, SupervisorOutbox& out);

  /// Health says that the ready worker should get no requests for now, or may again. It goes on running and serving
  /// what it gets: of a pool that is unhealthy as a whole the sidecars keep a part in rotation (haproxy.removal_floor).
  void on_unhealthy(Instant now, SupervisorOutbox& out);
  void on_healthy(Instant now, SupervisorOutbox& out);
  /// Health wants another worker in its place: withdrawn, told to stop as soon as no request is in flight, killed when
  /// it takes too long, started anew by the same way as after a crash, whatever the restart policy says. Only a ready
  /// worker (an unhealthy one is); while a renewal is under way, that is the new start.
  void restart_worker(Instant now, SupervisorOutbox& out);
  /// SIGHUP: a new generation beside the one that serves, which it replaces when it is ready. Where none serves: as
  /// soon as one does, or at once where one is waited for. While one is under way it is remembered, once.
  void renew(Instant now, SupervisorOutbox& out);

  /// "unready" is in force with every sidecar that is here, or none is. Only in Changing; again changes nothing.
  void on_aside(Instant now, SupervisorOutbox& out);

  /// SIGTERM, SIGINT, `drain --stop`; `fast`: SIGQUIT.
  void on_stop_signal(Instant now, bool fast, SupervisorOutbox& out);
  /// The announcer's AllDrained, since the last Withdraw or Depart.
  void on_drained(Instant now, bool confirmed, SupervisorOutbox& out);
  /// The gossip layer has finished its leave.
  void on_left(Instant now, SupervisorOutbox& out);
  /// SIGUSR1, SIGUSR2, SIGWINCH: passed on while there is a worker, to both generations.
  void on_forward_signal(Instant now, std::int32_t signal, SupervisorOutbox& out);
  void on_deadline(Instant now, SupervisorOutbox& out);

  /// For tests: every state has a cell for every event.
  [[nodiscard]] static bool table_is_complete();

  [[nodiscard]] Instant next_deadline() const;
  [[nodiscard]] State state() const { return state_; }
  /// The worker is ready and healthy and announced, and no stop has begun.
  [[nodiscard]] bool is_serving() const { return state_ == State::kReady && said_ == Said::kReady; }
  /// It has become ready, healthy or not, and no stop has begun: what health watches.
  [[nodiscard]] bool has_ready_worker() const { return state_ >= State::kReady && state_ <= State::kChanging; }
  /// The generation that serves or is to serve next; 0 = none. Changes with a restart and a renewal.
  [[nodiscard]] std::uint32_t generation() const { return worker_.generation; }
  /// on_aside is waited for.
  [[nodiscard]] bool waits_to_be_aside() const { return state_ == State::kChanging && said_ == Said::kUnready; }
  [[nodiscard]] std::uint32_t restarts() const { return restarts_; }
  /// A new generation is on its way, or is to be.
  [[nodiscard]] bool is_renewing() const { return renewal_wanted_ || renewal_.is_coming(); }

 private:
  using Action = void (Supervisor::*)(Instant now, SupervisorOutbox& out);
  static constexpr std::size_t kStates = static_cast<std::size_t>(State::kCount);
  static constexpr std::size_t kEvents = static_cast<std::size_t>(Event::kCount);
  using Row = std::array<Action, kEvents>;
  struct Table;  // supervisor_table.cc

  /// One slot for each deadline, in the order of the events of the same name.
  enum class Timer : std::uint8_t {
    kReady,
    kBackoff,
    kBacklogWait,
    kAside,
    kReturn,
    kDrainShare,
    kHeadStart,
    kLeave,
    kWorkerKill,
    kKill,
    kBudget,
    kCount
  };
  static constexpr std::size_t kTimers = static_cast<std::size_t>(Timer::kCount);
  static_assert(kTimers == kEvents - static_cast<std::size_t>(Event::kReadyTimeout), "one event for each timer");
  enum class Leave : std::uint8_t { kNotYet, kUnderWay, kOver };
  enum class Said : std::uint8_t { kNothing, kReady, kUnready, kWithdrawn };  // To the sidecars, before a stop.
  enum class Life : std::uint8_t { kNone, kSpawning, kRuns, kExited };        // kExited: its group is not gone yet.

  void happen(Instant now, Event event, SupervisorOutbox& out);

  // The cells of the table.
  void ignore(Instant now, SupervisorOutbox& out);
  void unexpected(Instant now, SupervisorOutbox& out);
  // start
  void spawn_first(Instant now, SupervisorOutbox& out);
  void exit_unstarted(Instant now, SupervisorOutbox& out);
  void note_started(Instant now, SupervisorOutbox& out);
  void announce(Instant now, SupervisorOutbox& out);
  void give_up_starting(Instant now, SupervisorOutbox& out);
  // restart
  void lose_worker(Instant now, SupervisorOutbox& out);
  void not_started(Instant now, SupervisorOutbox& out);
  void spawn_again(Instant now, SupervisorOutbox& out);
  void withdraw_overdue(Instant now, SupervisorOutbox& out);
  void become_unhealthy(Instant now, SupervisorOutbox& out);
  void become_healthy(Instant now, SupervisorOutbox& out);
  void note_empty(Instant now, SupervisorOutbox& out);
  void replace(Instant now, SupervisorOutbox& out);
  void tell_ending(Instant now, SupervisorOutbox& out);
  void ending_exited(Instant now, SupervisorOutbox& out);
  void kill_ending(Instant now, SupervisorOutbox& out);
  void back_off(Instant now, SupervisorOutbox& out);
  // renewal
  void remember_renewal(Instant now, SupervisorOutbox& out);
  void begin_renewal(Instant now, SupervisorOutbox& out);
  void begin_remembered(Instant now, SupervisorOutbox& out);
  void step_aside(Instant now, SupervisorOutbox& out);
  void wait_until_empty(Instant now, SupervisorOutbox& out);
  void hand_over(Instant now, SupervisorOutbox& out);
  void other_gone(Instant now, SupervisorOutbox& out);
  void return_to_ready(Instant now, SupervisorOutbox& out);
  void old_died_in_change(Instant now, SupervisorOutbox& out);
  // stop
  void begin_drain(Instant now, SupervisorOutbox& out);
  void stop_without_drain(Instant now, SupervisorOutbox& out);
  void stop_ending(Instant now, SupervisorOutbox& out);
  void stop_without_worker(Instant now, SupervisorOutbox& out);
  void drained(Instant now, SupervisorOutbox& out);
  void drained_unconfirmed(Instant now, SupervisorOutbox& out);
  void cut_drain(Instant now, SupervisorOutbox& out);
  void cut_drain_leave_first(Instant now, SupervisorOutbox& out);
  void send_stop_signal(Instant now, SupervisorOutbox& out);
  void stop_late_starter(Instant now, SupervisorOutbox& out);
  void kill_late_starter(Instant now, SupervisorOutbox& out);
  void kill(Instant now, SupervisorOutbox& out);
  void died_in_stop(Instant now, SupervisorOutbox& out);
  void stopped(Instant now, SupervisorOutbox& out);
  void gone_in_stop(Instant now, SupervisorOutbox& out);
  void not_started_in_stop(Instant now, SupervisorOutbox& out);
  void finish_or_leave(Instant now, SupervisorOutbox& out);
  void note_left(Instant now, SupervisorOutbox& out);
  void left_last(Instant now, SupervisorOutbox& out);
  void cut_leave(Instant now, SupervisorOutbox& out);
  void cut_leave_last(Instant now, SupervisorOutbox& out);
  void pass_signal_on(Instant now, SupervisorOutbox& out);
  void note_request(Instant now, SupervisorOutbox& out);
  void abandon(Instant now, SupervisorOutbox& out);

  // What the cells are made of.
  void spawn(Instant now, SupervisorOutbox& out);
  void withdraw(Instant now, SupervisorOutbox& out);
  void say_ready(SupervisorOutbox& out);
  void change(Instant now, bool old_has_exited, SupervisorOutbox& out);
  void end_worker_by_force(Instant now, SupervisorOutbox& out);
  void end_task_with_worker(Instant now, SupervisorOutbox& out);
  void begin_stop(Instant now, SupervisorOutbox& out);
  void begin_requested_stop(Instant now, SupervisorOutbox& out);
  void depart_at_once(SupervisorOutbox& out);
  void leave_first(Instant now, SupervisorOutbox& out);
  void start_leave(Instant now, SupervisorOutbox& out);
  void close_listener(SupervisorOutbox& out);
  void signal_worker(std::int32_t signal, SupervisorOutbox& out);
  void kill_group(SupervisorOutbox& out);
  void take_exit(Instant now, SupervisorOutbox& out);
  void worker_is_gone();
  void after_renewal(Instant now, bool was_there, SupervisorOutbox& out);
  void give_time_after_standstill(Instant now);
  void done(SupervisorOutbox& out);
  [[nodiscard]] bool is_restarted_after(WorkerExit exit) const;
  [[nodiscard]] bool is_stopping() const { return stop_began_ != kNever; }
  [[nodiscard]] Duration since_stop(Instant now) const { return now - (is_stopping() ? stop_began_ : started_); }
  [[nodiscard]] std::int32_t exit_code() const;
  Instant& deadline(Timer t) { return deadlines_[static_cast<std::size_t>(t)]; }
  void tick(Instant now, const SupervisorOutbox& out);

  Options options_;
  Rng rng_;
  Instant now_;
  State state_ = State::kIdle;
  std::array<Instant, kTimers> deadlines_{};
  Leave leave_ = Leave::kNotYet;
  Instant started_{};
  Instant stop_began_ = kNever;
  StopBudget budget_;
  struct {
    std::uint32_t generation = 0;  // 0 = none.
    Life life = Life::kNone;
    bool told = false;  // To stop.
    bool killed = false;
    Instant since{};  // Its start.
    Instant ready_at = kNever;
  } worker_;
  Renewal renewal_;
  bool renewal_wanted_ = false;
  Backoff backoff_;
  std::uint32_t last_generation_ = 0;
  std::uint32_t restarts_ = 0;
  bool has_run_ = false;  // Some worker could be executed.
  bool was_announced_ = false;
  Said said_ = Said::kNothing;
  bool is_empty_ = false;  // Drained since it was withdrawn.
  bool listener_closed_ = false;
  bool stop_requested_ = false;   // By a signal or an operator: then 143 is a success.
  std::int32_t own_code_ = -1;    // An exit code of our own that wins over the worker's status; -1 = none.
  std::int32_t worker_code_ = 0;  // 128+n for a signal n.
  // The input that is being handled, for the cells that need more than its kind.
  struct {
    WorkerExit exit;
    std::int32_t number = 0;  // Exit code or signal.
    Event event = Event::kStart;
  } input_;
};

[[nodiscard]] constexpr std::size_t index_of(Supervisor::State s) { return static_cast<std::size_t>(s); }

}  // namespace shoal::task
