#include "reactor/reaper.h"

#include <sys/wait.h>

#include <csignal>

namespace shoal::reactor {

Reaper::Reaper(Loop& loop, Handler handler)
    : loop_(loop),
      handler_(std::move(handler)),
      sigchld_(loop, {SIGCHLD}, [this](int, int) { reap(); }),
      sweep_(loop, [this] { reap(); }) {
  sweep_.at(loop.now());
}

// One SIGCHLD may stand for many children.
void Reaper::reap() {
  int status = 0;
  for (pid_t pid = ::waitpid(-1, &status, WNOHANG); pid > 0; pid = ::waitpid(-1, &status, WNOHANG)) {
    ++reaped_;
    ExitStatus out;
    if (WIFSIGNALED(status)) {
      out.signal = WTERMSIG(status);
    } else {
      out.code = WEXITSTATUS(status);
    }
    loop_.refresh();
    handler_(pid, out);
  }
}

}  // namespace shoal::reactor
