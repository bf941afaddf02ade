// A process that is not our child, held so that its pid cannot come to mean another one: told of its end, and
// signalled. Its exit status only its parent learns. Needs Linux 5.3 (pidfd).
#pragma once

#include <sys/types.h>

#include <functional>

#include "base/result.h"
#include "reactor/handle.h"

namespace shoal::reactor {

class AdoptedProcess {
 public:
  /// Called once when the process has ended; it is no longer held then.
  AdoptedProcess(Loop& loop, std::function<void()> on_end);

  /// What was learned about the pid before may be about a former bearer: check again afterwards. REQUIRES: none held.
  [[nodiscard]] Result<void> hold(pid_t pid);
  /// REQUIRES: one is held.
  [[nodiscard]] Result<void> signal(int signal);
  void release();

  [[nodiscard]] bool is_held() const { return watch_.is_open(); }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  void on_ready();

  std::function<void()> on_end_;
  Watch watch_;
  pid_t pid_ = 0;
};

}  // namespace shoal::reactor
