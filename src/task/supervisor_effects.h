// What the supervisor wants done, and what it has to tell. Workers are named by their generation: 1 for the first that
// is started, one more for each next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <variant>

#include "base/check.h"
#include "base/containers.h"
#include "base/time.h"

namespace shoal::task {

/// Answered by on_worker_started or on_worker_failed.
struct SpawnWorker {
  std::uint32_t generation = 0;
};
/// Our copy of the service listener, so that the kernel refuses as soon as the worker's own copy is gone.
struct CloseListener {};
struct SignalWorker {
  std::uint32_t generation = 0;
  std::int32_t signal = 0;
  bool whole_group = true;  // Else the leader of the worker's process group alone.
};
/// Announce to every sidecar.
struct AnnounceReady {};
/// Out of rotation for a while, as far as the pool can do without: the worker still serves what it gets. AnnounceReady
/// returns.
struct SayUnready {};
/// Out of rotation in every HAProxy, for a while: there is nobody who serves, or not for long. AnnounceReady returns.
/// Answered by on_drained.
struct Withdraw {
  Duration timeout{};  // The longest that anybody waits for the drain.
};
/// Depart from every sidecar, for good. `timeout` is the longest that we shall wait for the drain.
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
    kWorkerReady,       // since its start
    kStopRequested,     // since the start; number: 1 = without a drain
    kWorkerExited,      // number: exit status, 128+n for a signal n
    kWorkerNotStarted,  // number: 126 or 127
    kNotReadyInTime,    // since its start
    // A worker that is started anew; since the first of them, what is not said otherwise.
    kRestartDue,      // elapsed: from now until it is started; number: restarts so far
    kWithdrawn,       // out of rotation until there is a ready and healthy worker
    kRestartWanted,   // an unhealthy worker is to be replaced
    kToldToEnd,       // number: the signal
    kEndedByForce,    // SIGKILL: it did not end in time, or nobody waits for it
    kGroupAbandoned,  // something of the worker survived SIGKILL: goes on without its end
    // A renewal; since its begin. number: the generation, where nothing else is said.
    kRenewalBegun,       // number: the new generation
    kRenewalRemembered,  // one is under way
    kRenewed,            // number: the new generation, which serves alone from now on
    kNewNotStarted,      // number: 126 or 127; the present worker goes on
    kNewExited,          // number: as with kWorkerExited; the present worker goes on
    kNewNotReady,        // the present worker goes on
    kNewTakesOver,       // the present worker ended while the new one was being started
    kOldTold,            // number: the signal
    kOldKilled,          // it did not end in time
    kOldExited,          // number: as with kWorkerExited
    kOldGone,            // nobody of its group is left
    // A stop; from here on since it began.
    kDrained,
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

using SupervisorEffect = std::variant<SpawnWorker, CloseListener, SignalWorker, AnnounceReady, SayUnready, Withdraw,
                                      Depart, StartLeave, Exit, Note>;

class SupervisorOutbox {
 public:
  // The longest call is a deadline that finds every phase overdue at once: kill, leave cut, exit, with their notes, and
  // the same of a second generation.
  static constexpr std::size_t kEffectsMax = 32;

  [[nodiscard]] const SupervisorEffect* begin() const { return effects_.begin(); }
  [[nodiscard]] const SupervisorEffect* end() const { return effects_.end(); }
  [[nodiscard]] std::size_t size() const { return effects_.size(); }
  [[nodiscard]] bool empty() const { return effects_.empty(); }
  void clear() { effects_.clear(); }

  // For the supervisor and its renewal.
  void add(const SupervisorEffect& effect) { effects_.push_back(effect); }
  void note(Note::Kind kind, Duration elapsed, std::int32_t number = 0) { add(Note{kind, elapsed, number}); }

 private:
  InlineVector<SupervisorEffect, kEffectsMax> effects_;
};

/// How the worker ended. Decoded from waitpid's status by the caller.
struct WorkerExit {
  bool by_signal = false;
  std::int32_t number = 0;  // Exit status or signal.

  /// As a shell says it: 128+n for a signal n.
  [[nodiscard]] std::int32_t shell_code() const { return by_signal ? 128 + number : number; }
  [[nodiscard]] bool is_failure() const { return by_signal || number != 0; }
};

/// What both generations are dealt with by.
inline constexpr std::int32_t kSigKill = 9;  // By number: no core includes a system header.
inline constexpr std::int32_t kSigTerm = 15;
/// What SIGKILL has not ended by then is no more waited for.
inline constexpr Duration kAbandonAfter = 5s;
/// A deadline that is called this late was not missed by us: the machine, the workers with it, stood still. Who is
/// given time to do something then gets this much more.
inline constexpr Duration kStoodStill = 1s;

}  // namespace shoal::task
