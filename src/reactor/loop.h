// The event loop: the one clock read, timers, work for the next turn, and a hook before sleeping. libuv is behind it
// and is seen by no header of this folder.
//
// One turn is: sleep until a socket or a timer is due; the sockets' callbacks; the timers' callbacks; the posted
// functions; the end-of-turn hooks. Timers come after the sockets on purpose: a process that was frozen (SIGSTOP, a
// starved or migrated machine) must hear what its peers said meanwhile before it decides that they were silent.
//
// One thread. Everything made on a Loop must be destroyed before it. No object may be destroyed inside its own
// callback (closing it is allowed); destroying others is allowed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/time.h"

namespace shoal::reactor {

class Timer;

class Loop {
 public:
  struct Options {
    std::size_t watches_max = 1024;  // Descriptors watched at the same time; one more is refused with EMFILE.
    std::size_t posts_max = 256;     // Functions waiting for the next turn; one more is a bug of ours.
    std::size_t hooks_max = 16;
  };
  /// When timers are overdue by more than this, the loop goes on reading sockets until they have nothing more to say
  /// (at most `kCatchUpRounds` times) before it lets a timer fire.
  static constexpr Duration kFreeze = 500ms;
  static constexpr int kCatchUpRounds = 64;

  Loop();  // With default options.
  explicit Loop(const Options& options);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// The monotonic time, read once at the start of each callback that this folder delivers, and the same until the
  /// callback returns. Never goes back.
  [[nodiscard]] Instant now() const { return now_; }

  /// Turns until `stop`. May be called again.
  void run();
  /// The turn that is under way is the last.
  void stop();

  /// `f` runs in the next turn, which comes at once. A small capture (two pointers) does not allocate. What `f` refers
  /// to must still be there then.
  void post(std::function<void()> f);
  /// `f` runs at the end of every turn, before the loop sleeps, in the order of the calls; and once when `run` begins.
  void at_end_of_turn(std::function<void()> f);

  /// Times that the loop found itself more than kFreeze late.
  [[nodiscard]] std::uint64_t freezes() const { return freezes_; }

  struct Impl;
  /// For this folder only.
  [[nodiscard]] Impl& impl() { return *impl_; }
  /// For this folder only: the clock read at the start of a callback.
  void refresh();

 private:
  friend struct Impl;
  friend class Timer;
  void end_turn();
  [[nodiscard]] bool more_reading_first();
  void fire_timers();
  void run_posts();
  void arm();
  [[nodiscard]] Instant earliest() const;

  std::unique_ptr<Impl> impl_;
  Instant now_{};
  Instant last_read_{};       // When the sockets were last read.
  Timer* timers_ = nullptr;   // The armed ones.
  std::uint64_t firing_ = 0;  // Grows with each pass over the timers.
  int rounds_ = 0;            // Reads made before the timers of this moment.
  int rounds_wanted_ = 0;
  std::uint64_t freezes_ = 0;
};

/// Calls back once at or after an instant. Unarmed when made, and again after each call.
class Timer {
 public:
  Timer(Loop& loop, std::function<void()> callback);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Replaces the deadline; kNever stops the timer. A deadline that has passed fires in this turn or the next, never
  /// inside the call. The callback comes only with loop.now() >= deadline, a few milliseconds late at most on an idle
  /// machine. Costs nothing when nothing changes.
  void at(Instant deadline);
  void stop() { at(kNever); }
  [[nodiscard]] Instant deadline() const { return deadline_; }

 private:
  friend class Loop;
  Loop& loop_;
  std::function<void()> callback_;
  Instant deadline_ = kNever;
  std::uint64_t armed_in_ = 0;
  Timer* next_ = nullptr;
  Timer** link_ = nullptr;  // What points at this timer in the list of armed ones.
};

}  // namespace shoal::reactor
