// The parent of a HAProxy and of the sidecar beside it: which of the two to start, to signal and to give up on, and
// when. Neither ever takes the other along. Two tables of states by events (keeper.cc), one for each child, so that
// nothing that can happen in some state has been forgotten there.
//
//   HAProxy    means
//   Idle       `start` has not been called
//   Looking    nobody is to be started yet: does one answer on the socket already? (two would share the ports)
//   Starting   started, has not answered on the socket yet
//   Serving    ours to signal: our child, or one that an earlier shoal started and left behind
//   Foreign    one that somebody else started answers; it is used, and never signalled
//   Waiting    it ended; the back-off before the next look runs
//   Stopping   SIGUSR1 is sent: no new connections, the requests in flight go on
//   Ending     SIGTERM is sent: at once
//   Killing    SIGKILL is sent
//   Gone       none is ours any more, and none is to be started
//
//   sidecar    means
//   Held       not started before HAProxy's start has proved good
//   Running
//   Waiting    it ended; the back-off runs
//   Leaving    told to stop
//   Killing    SIGKILL is sent
//   Gone
//
// The very first start of HAProxy is the operator's trial: what fails there (cannot be executed, a configuration error,
// goes into the background) ends us with its status, before the sidecar has joined anything. Later ones are retried.
//
// One budget for the whole stop, the smaller of drain_timeout and stop_timeout - 2 s; with the defaults, 28 s:
//
//   0 s       SIGUSR1 to HAProxy; again after 1, 3, 7 and 15 s. The sidecar serves on: tasks that stop meanwhile
//             still ask it whether they are drained
//   25 s      SIGTERM to HAProxy
//   25.5 s    SIGKILL to its process group; when HAProxy has gone (or now): SIGTERM to the sidecar, which leaves
//   27.7 s    SIGKILL to the sidecar
//   28 s      exit, come what may
//
// Each step comes as soon as the one before is done. A second or a fast request: SIGTERM to HAProxy and SIGQUIT to the
// sidecar at once, and 3 s for all.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <variant>

#include "base/backoff.h"
#include "base/check.h"
#include "base/containers.h"
#include "base/rng.h"
#include "base/time.h"

namespace shoal::keeper {

/// Ask on HAProxy's socket who is there. Answered by exactly one on_looked, within a few seconds.
struct Look {};
struct StartProxy {};
struct StartSidecar {};
/// To the process itself; SIGKILL: to its whole process group.
struct SignalProxy {
  std::int32_t signal = 0;
};
struct SignalSidecar {
  std::int32_t signal = 0;
};
/// HAProxy's master is to load its configuration anew (where there is one: without -W it has none).
struct ReloadProxy {};
/// The leader of HAProxy's process group has ended; what is left of the group may finish its requests and no more.
struct RetireProxyGroup {};
struct Exit {
  std::int32_t code = 0;
};

/// For the log.
struct Note {
  enum class Kind : std::uint8_t {
    kProxyUp,             // elapsed: since its start
    kProxyAdopted,        // an earlier shoal's
    kProxyForeign,        // somebody else's
    kSocketSilent,        // something holds the socket and says nothing: nobody is started beside it
    kProxyNotAnswering,   // it runs, but not on this socket. elapsed: since its start
    kProxyExited,         // number: its status, 128+n for a signal; -1: unknown. elapsed: since its start
    kProxyFailedAtStart,  // the same, at the very first start
    kProxyNotStarted,     // number: 126, 127 or 69
    kProxyInBackground,   // it ended with 0 and nobody answers
    kProxyRetry,          // elapsed: the wait
    kForeignGone,         // one of our own is started in its place
    kReloadNotOurs,       // a HAProxy that somebody else started
    kSidecarExited,       // as kProxyExited
    kSidecarNotStarted,
    kSidecarRetry,
    kStopRequested,  // number: 1 = fast
    kForeignLeft,    // stopping: somebody else's HAProxy is left alone
    kProxyGone,      // from here on elapsed: since the stop began
    kProxyCutShort,  // SIGTERM: requests in flight may be cut
    kProxyKilled,
    kSidecarKilled,
    kAbandoned,   // the budget is over and not even SIGKILL has worked
    kUnexpected,  // cannot happen: an input that this state rules out; number: state * 100 + event
  };
  Kind kind = Kind::kUnexpected;
  Duration elapsed{};
  std::int32_t number = 0;
};

using KeeperEffect =
    std::variant<Look, StartProxy, StartSidecar, SignalProxy, SignalSidecar, ReloadProxy, RetireProxyGroup, Exit, Note>;

class KeeperOutbox {
 public:
  // The longest call is a deadline that finds the whole stop overdue at once.
  static constexpr std::size_t kEffectsMax = 24;

  [[nodiscard]] const KeeperEffect* begin() const { return effects_.begin(); }
  [[nodiscard]] const KeeperEffect* end() const { return effects_.end(); }
  [[nodiscard]] bool empty() const { return effects_.empty(); }
  void clear() { effects_.clear(); }

  // For the keeper.
  void add(const KeeperEffect& effect) { effects_.push_back(effect); }

 private:
  InlineVector<KeeperEffect, kEffectsMax> effects_;
};

/// The parts of a stop, counted from its begin. Each is at most the next.
struct StopPlan {
  Duration soft{};  // HAProxy may finish its requests until then.
  Duration kill_proxy{};
  Duration kill_sidecar{};
  Duration total{};
};
/// Never under half a second in all, however small the settings.
[[nodiscard]] StopPlan stop_plan(Duration drain_timeout, Duration stop_timeout);

/// How a child ended. 128 + n for a signal n; -1 where nobody can know (a HAProxy that is not our child).
struct ChildExit {
  std::int32_t status = 0;
};

enum class Looked : std::uint8_t {
  kNobody,   // No such socket, or nobody listens on it.
  kSilent,   // Somebody listens and gives no answer of HAProxy's.
  kForeign,  // A HAProxy answers that no shoal started for this socket, or that cannot be signalled.
  kOurs,     // A HAProxy answers that a shoal started for this socket; SignalProxy and ReloadProxy now reach it.
};

class Keeper final {
 public:
  struct Options {
    Duration drain_timeout = 30s;
    Duration stop_timeout = 30s;  // What the platform gives between SIGTERM and its SIGKILL.
  };
  /// How often a HAProxy that is starting is asked, and for how long before its silence is said and the sidecar
  /// started.
  static constexpr Duration kStartingLook = 100ms;
  static constexpr Duration kStartingMost = 10s;
  /// How often somebody else's HAProxy, or a silent socket, is looked at.
  static constexpr Duration kForeignLook = 1s;
  /// A HAProxy that is being replaced by its owner may be missing for a moment: so often in a row it must be.
  static constexpr int kMissesMost = 3;
  static constexpr Duration kMissLook = 250ms;

  enum class ProxyState : std::uint8_t {
    kIdle,
    kLooking,
    kStarting,
    kServing,
    kForeign,
    kWaiting,
    kStopping,
    kEnding,
    kKilling,
    kGone,
    kCount
  };
  enum class SidecarState : std::uint8_t { kHeld, kRunning, kWaiting, kLeaving, kKilling, kGone, kCount };

  Keeper(const Options& options, Rng rng, Instant now) : options_(options), rng_(rng), now_(now) {
    deadlines_.fill(kNever);
  }

  void start(Instant now, KeeperOutbox& out);
  void on_looked(Instant now, Looked looked, KeeperOutbox& out);
  /// The answers to StartProxy and StartSidecar. `exit_code`: 126 not executable, 127 not found, 69 when not even fork
  /// worked.
  void on_proxy_started(Instant now, KeeperOutbox& out);
  void on_proxy_failed(Instant now, std::int32_t exit_code, KeeperOutbox& out);
  void on_sidecar_started(Instant now, KeeperOutbox& out);
  void on_sidecar_failed(Instant now, std::int32_t exit_code, KeeperOutbox& out);
  /// The process that was started or adopted has ended.
  void on_proxy_exit(Instant now, ChildExit exit, KeeperOutbox& out);
  void on_sidecar_exit(Instant now, ChildExit exit, KeeperOutbox& out);
  /// SIGTERM, SIGINT, SIGUSR1; `fast`: SIGQUIT.
  void on_stop_signal(Instant now, bool fast, KeeperOutbox& out);
  /// SIGHUP, SIGUSR2.
  void on_reload_signal(Instant now, KeeperOutbox& out);
  void on_deadline(Instant now, KeeperOutbox& out);

  /// What the look under way finds may be taken hold of: on_looked(kOurs) will adopt it.
  [[nodiscard]] bool would_adopt() const {
    return !stale_ && (proxy_ == ProxyState::kLooking || proxy_ == ProxyState::kForeign);
  }
  [[nodiscard]] Instant next_deadline() const;
  [[nodiscard]] ProxyState proxy() const { return proxy_; }
  [[nodiscard]] SidecarState sidecar() const { return sidecar_; }

 private:
  enum class ProxyEvent : std::uint8_t {
    kStart,
    kNobody,
    kSilent,
    kForeign,
    kOurs,
    kStarted,
    kNotStarted,
    kExited,
    kReload,
    kStop,
    kStopFast,
    kLookDue,  // From here on: deadlines.
    kRetryDue,
    kStartingOver,
    kSoftOver,
    kKillDue,
    kCount
  };
  enum class SidecarEvent : std::uint8_t {
    kProxyGood,
    kStarted,
    kNotStarted,
    kExited,
    kReload,
    kStop,
    kStopFast,
    kRetryDue,
    kKillDue,
    kCount
  };
  enum class Timer : std::uint8_t {
    kLook,
    kRetryProxy,
    kStarting,
    kSoft,
    kKillProxy,
    kRetrySidecar,
    kKillSidecar,
    kBudget,
    kCount
  };
  using Action = void (Keeper::*)(Instant now, KeeperOutbox& out);
  struct Tables;  // keeper.cc

  void happen(Instant now, ProxyEvent event, KeeperOutbox& out);
  void happen(Instant now, SidecarEvent event, KeeperOutbox& out);
  void tick(Instant now, const KeeperOutbox& out);

  // The cells of HAProxy's table.
  void ignore(Instant now, KeeperOutbox& out);
  void unexpected(Instant now, KeeperOutbox& out);
  void unexpected_in_sidecar(Instant now, KeeperOutbox& out);
  void look(Instant now, KeeperOutbox& out);
  void start_or_look_again(Instant now, KeeperOutbox& out);
  void wait_for_silent(Instant now, KeeperOutbox& out);
  void use_foreign(Instant now, KeeperOutbox& out);
  void watch_foreign(Instant now, KeeperOutbox& out);
  void miss_foreign(Instant now, KeeperOutbox& out);
  void adopt(Instant now, KeeperOutbox& out);
  void note_proxy_started(Instant now, KeeperOutbox& out);
  void proxy_not_started(Instant now, KeeperOutbox& out);
  void ask_again(Instant now, KeeperOutbox& out);
  void came_up(Instant now, KeeperOutbox& out);
  void take_as_up(Instant now, KeeperOutbox& out);
  void died_starting(Instant now, KeeperOutbox& out);
  void proxy_died(Instant now, KeeperOutbox& out);
  void reload(Instant now, KeeperOutbox& out);
  void reload_later(Instant now, KeeperOutbox& out);
  void refuse_reload(Instant now, KeeperOutbox& out);
  void stop_unstarted(Instant now, KeeperOutbox& out);
  void leave_foreign(Instant now, KeeperOutbox& out);
  void stop_softly(Instant now, KeeperOutbox& out);
  void end_requested(Instant now, KeeperOutbox& out);
  void end_overdue(Instant now, KeeperOutbox& out);
  void kill_proxy(Instant now, KeeperOutbox& out);
  void proxy_stopped(Instant now, KeeperOutbox& out);

  // The cells of the sidecar's table.
  void start_sidecar(Instant now, KeeperOutbox& out);
  void note_sidecar_started(Instant now, KeeperOutbox& out);
  void sidecar_not_started(Instant now, KeeperOutbox& out);
  void sidecar_died(Instant now, KeeperOutbox& out);
  void pass_reload_on(Instant now, KeeperOutbox& out);
  void tell_sidecar(Instant now, KeeperOutbox& out);
  void tell_sidecar_fast(Instant now, KeeperOutbox& out);
  void kill_sidecar(Instant now, KeeperOutbox& out);
  void sidecar_gone(Instant now, KeeperOutbox& out);

  // What the cells are made of.
  void ask(KeeperOutbox& out);
  void start_proxy(Instant now, KeeperOutbox& out);
  void look_in(Instant now, Duration wait);
  void proxy_is_good(Instant now, KeeperOutbox& out);
  void retry_proxy(Instant now, Duration was_up, KeeperOutbox& out);
  void retry_sidecar(Instant now, Duration was_up, KeeperOutbox& out);
  void proxy_gone(Instant now, KeeperOutbox& out);
  void finish(std::int32_t code, KeeperOutbox& out);
  void finish_when_both_gone(KeeperOutbox& out);
  void note(Note::Kind kind, Duration elapsed, std::int32_t number, KeeperOutbox& out);
  [[nodiscard]] Duration since_stop(Instant now) const { return now - stop_began_; }
  Instant& deadline(Timer t) { return deadlines_[static_cast<std::size_t>(t)]; }

  Options options_;
  Rng rng_;
  Instant now_;
  ProxyState proxy_ = ProxyState::kIdle;
  SidecarState sidecar_ = SidecarState::kHeld;
  std::array<Instant, static_cast<std::size_t>(Timer::kCount)> deadlines_{};
  Backoff proxy_backoff_;
  Backoff sidecar_backoff_;
  Instant proxy_began_{};
  Instant sidecar_began_{};
  Instant stop_began_ = kNever;
  bool looking_ = false;   // A Look has not been answered yet.
  bool stale_ = false;     // Its answer will be out of date: ask again.
  int misses_ = 0;         // Looks in a row that found nobody.
  Duration soft_again_ = 1s;  // Until the soft stop is said once more.
  int misses_wanted_ = 1;  // Before one is started.
  int silences_ = 0;
  bool came_up_ = false;        // A HAProxy has been good once: nothing ends us any more but a stop.
  bool in_background_ = false;  // The one that was started last has ended with 0.
  bool reload_later_ = false;
  bool finished_ = false;
  // The input that is being handled, for the cells that need more than its kind.
  std::int32_t status_ = 0;
  std::int32_t event_ = 0;
};

}  // namespace shoal::keeper
