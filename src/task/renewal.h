// The other generation of the worker, beside the one that serves: first the one that comes, until it is ready and takes
// the serving one's place; then the one that goes. At most one at a time, so a task never has more than two.
//
//   state      means
//   None       the serving generation is the only one
//   Spawning   a new one is being started
//   Starting   it runs and is not ready
//   Ending     a generation that nothing is expected of any more but its end: the old one after the change, or a new
//              one that has failed or is not wanted any more
//
// A new generation that fails changes nothing. An old one is told to stop, finishes what it has, and gets SIGKILL after
// `end_grace`. Whatever SIGKILL does not end is given up after kAbandonAfter.
//
// Part of the supervisor, which calls it and decides when a renewal begins.
#pragma once

#include <cstdint>

#include "base/time.h"
#include "task/supervisor_effects.h"

namespace shoal::task {

class Renewal final {
 public:
  struct Options {
    Duration ready_timeout{};  // 0 = none.
    Duration end_grace{};
    std::int32_t stop_signal = kSigTerm;
    bool signals_leader_only = false;
  };
  enum class State : std::uint8_t { kNone, kSpawning, kStarting, kEnding };

  explicit Renewal(const Options& options) : options_(options) {}

  /// REQUIRES: is_over().
  void begin(Instant now, std::uint32_t generation, SupervisorOutbox& out);
  // What is said of a generation that is not this one is ignored: it was given up.
  void on_started(Instant now, std::uint32_t generation, SupervisorOutbox& out);
  void on_failed(Instant now, std::uint32_t generation, std::int32_t exit_code, SupervisorOutbox& out);
  /// It is not waited for any more. REQUIRES: is_coming().
  void on_ready() { next_ = kNever; }
  void on_exit(Instant now, std::uint32_t generation, WorkerExit exit, SupervisorOutbox& out);
  void on_gone(Instant now, std::uint32_t generation, SupervisorOutbox& out);
  void on_deadline(Instant now, SupervisorOutbox& out);

  /// The new generation becomes the serving one, `old` the one that ends: told to stop, or, where it has exited
  /// already, killed with what is left of its group. REQUIRES: is_coming().
  struct NewServing {
    std::uint32_t generation = 0;
    bool has_started = false;
    Instant ready_by = kNever;
  };
  [[nodiscard]] NewServing take_over(Instant now, std::uint32_t old, bool old_has_exited, SupervisorOutbox& out);

  /// The whole task stops: a generation that comes is told to stop, and is killed at `kill_at`.
  void stop(Instant now, Instant kill_at, SupervisorOutbox& out);
  void pass_on(std::int32_t signal, SupervisorOutbox& out) const;
  /// At the budget's end.
  void give_up() { end_of_all(); }

  [[nodiscard]] Instant next_deadline() const { return next_; }
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool is_over() const { return state_ == State::kNone; }
  [[nodiscard]] bool is_coming() const { return state_ == State::kSpawning || state_ == State::kStarting; }
  /// 0 when there is none.
  [[nodiscard]] std::uint32_t generation() const { return generation_; }

 private:
  enum class Told : std::uint8_t { kNothing, kToStop, kKilled };
  void tell_to_stop(Instant now, Instant kill_at, SupervisorOutbox& out);
  void kill(Instant now, SupervisorOutbox& out);
  void end_of_all();
  [[nodiscard]] bool is_this(std::uint32_t generation) const {
    return state_ != State::kNone && generation == generation_;
  }
  [[nodiscard]] Duration elapsed(Instant now) const { return now - began_; }

  Options options_;
  State state_ = State::kNone;
  std::uint32_t generation_ = 0;
  bool has_started_ = false;
  bool has_exited_ = false;
  Told told_ = Told::kNothing;
  Instant began_{};
  Instant next_ = kNever;  // Ready by; in Ending: killed at, then given up at.
};

}  // namespace shoal::task
