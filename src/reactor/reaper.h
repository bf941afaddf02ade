// The one owner of all waits: every child that ends is waited for here, orphans of a PID 1 included, so that no zombie
// stays and no exit status is stolen. Nothing else in the program calls waitpid for a child that is running.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>

#include "reactor/loop.h"
#include "reactor/signals.h"

namespace shoal::reactor {

struct ExitStatus {
  int code = 0;    // Of a child that exited by itself.
  int signal = 0;  // That ended it; 0 when it exited by itself.
  [[nodiscard]] bool by_signal() const { return signal != 0; }
  /// As a shell says it: 128 + n for a signal.
  [[nodiscard]] int shell_code() const { return by_signal() ? 128 + signal : code; }
};

class Reaper {
 public:
  /// Called for every child, unknown ones (adopted orphans) too.
  using Handler = std::function<void(pid_t pid, const ExitStatus& status)>;
  /// To be made before the first child.
  Reaper(Loop& loop, Handler handler);

  [[nodiscard]] std::uint64_t reaped() const { return reaped_; }

 private:
  void reap();

  Loop& loop_;
  Handler handler_;
  Signals sigchld_;
  Timer sweep_;  // Once at the start, for children that ended before SIGCHLD was ours.
  std::uint64_t reaped_ = 0;
};

}  // namespace shoal::reactor
