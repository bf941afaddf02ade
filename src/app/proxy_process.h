// The HAProxy that shoal supervises, as a process: its own child, or one that an earlier shoal started, adopted.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "reactor/adopted_process.h"
#include "reactor/reaper.h"

namespace shoal::app {

class ProxyProcess {
 public:
  /// `status` as a shell says it; -1 of an adopted one, which nobody tells us.
  using Ended = std::function<void(int status)>;
  /// `socket` marks what is started here, so that the next shoal knows it for its own kind's.
  ProxyProcess(reactor::Loop& loop, const std::string& socket, Ended ended);

  /// `env`: without the mark. It stays when shoal is killed. The error's code is for exec_exit_code.
  [[nodiscard]] Result<pid_t> start(const std::vector<std::string>& argv, std::vector<std::string> env);
  /// The process that answers on the socket: takes hold of it, or of the master above it. False when no shoal started
  /// it, or when that cannot be known: it runs in another pid namespace, as another user, the kernel is too old.
  [[nodiscard]] bool adopt(pid_t answering);
  /// False when the process is none of ours.
  [[nodiscard]] bool on_child_exit(pid_t pid, const reactor::ExitStatus& status);

  /// SIGKILL goes to its whole group.
  void signal(int number);
  /// False: it is no master (HAProxy without -W), and nothing was done.
  [[nodiscard]] bool reload();
  /// What is left of its group after its end finishes its requests and goes.
  void retire_group();
  /// It reaches HAProxy when it is signalled. Not so for a script that does not `exec` HAProxy. `answering`: who
  /// answers on the socket.
  [[nodiscard]] bool leads_to(pid_t answering) const;

  [[nodiscard]] pid_t pid() const { return child_ != 0 ? child_ : adopted_.pid(); }

 private:
  reactor::AdoptedProcess adopted_;
  Ended ended_;
  std::string mark_;
  pid_t child_ = 0;  // 0 = none of our own.
  pid_t group_ = 0;  // The last one's.
};

}  // namespace shoal::app
