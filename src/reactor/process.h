// Starting and signalling a child: an own fork and exec, since the child must learn its own pid in LISTEN_PID, keep
// exactly one descriptor, and die with its parent.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace shoal::reactor {

struct SpawnOptions {
  std::vector<std::string> argv;  // argv[0] without a slash is looked for in PATH of `env`. REQUIRES: not empty.
  std::string program;            // What is executed under the name argv[0]; empty: argv[0] itself.
  std::vector<std::string> env;   // The whole environment, NAME=VALUE each; nothing is inherited.
  int pass_fd = -1;               // Becomes descriptor 3 of the child, which then finds its own pid in LISTEN_PID.
  int stdout_fd = -1;             // Becomes descriptor 1 of the child; -1: as ours.
  int stderr_fd = -1;             // The same for 2.
  bool own_group = true;          // A process group of its own, with the child's pid as number.
  int blocked_signal = 0;         // Waits until the child takes it, instead of ending it before it can; 0 = none.
  bool die_with_parent = true;    // SIGKILL when this process dies (lost if the child changes its uid).
};

/// Starts a child with default signal handlers, no signal blocked unless said above, descriptors 0 to 2 as ours unless
/// said above, 3 as said above and no other. Returns once the program has been executed, or with the reason why it
/// could not be: `code` is errno, see `exec_exit_code`. A child that failed before that is gone and waited for. The
/// parent's flags of `pass_fd` stay as they are; its O_NONBLOCK, which both sides share, is not touched.
[[nodiscard]] Result<pid_t> spawn(const SpawnOptions& options);

/// What a shell would exit with: 127 when there is no such program, 126 when it cannot be executed.
[[nodiscard]] int exec_exit_code(const Error& error);

/// REQUIRES: pid > 0. An absent process is an error with code ESRCH.
[[nodiscard]] Result<void> signal_process(pid_t pid, int signal);
[[nodiscard]] Result<void> signal_group(pid_t group, int signal);

/// Orphans below us become our children, as if we were PID 1.
[[nodiscard]] Result<void> become_subreaper();

/// For the way out: SIGKILL to every child that is left, and to what they leave behind, until none is left or the time
/// is up. Blocks. False when some are left.
[[nodiscard]] bool end_all_children(Duration most);

}  // namespace shoal::reactor
