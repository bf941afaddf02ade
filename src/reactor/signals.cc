#include "reactor/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/check.h"

namespace shoal::reactor {

void ignore_sigpipe() { ::signal(SIGPIPE, SIG_IGN); }

void ignore_signals(std::initializer_list<int> signals) {
  for (const int signal : signals) ::signal(signal, SIG_IGN);
}

Signals::Signals(Loop& loop, std::initializer_list<int> signals, Handler handler)
    : handler_(std::move(handler)),
      watch_(
          loop, [](void* self, Watch::Ready) { static_cast<Signals*>(self)->on_readable(); }, this) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) {
    sigaddset(&set, signal);
    mask_ |= std::uint64_t{1} << (signal - 1);
    // A disposition of "ignore" inherited from our parent (nohup, a shell's background job) would make us deaf; for
    // SIGCHLD it would make the kernel throw exit statuses away.
    ::signal(signal, SIG_DFL);
  }
  SHOAL_ASSERT(::sigprocmask(SIG_BLOCK, &set, nullptr) == 0);
  OwnedFd fd(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  SHOAL_ASSERT(fd.open());
  SHOAL_ASSERT(watch_.open(std::move(fd)).ok());
  watch_.want(true, false);
}

Signals::~Signals() {
  signalfd_siginfo info;
  while (::read(watch_.fd(), &info, sizeof info) == sizeof info) {
  }
  watch_.close();
  sigset_t set;
  sigemptyset(&set);
  for (int signal = 1; signal <= 64; ++signal) {
    if ((mask_ >> (signal - 1) & 1) != 0) sigaddset(&set, signal);
  }
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

void Signals::on_readable() {
  signalfd_siginfo info;
  // At most one of each kind is pending, so this ends.
  while (::read(watch_.fd(), &info, sizeof info) == sizeof info) {
    const bool from_process = info.ssi_code == SI_USER || info.ssi_code == SI_QUEUE || info.ssi_code == SI_TKILL;
    handler_(static_cast<int>(info.ssi_signo), from_process ? static_cast<int>(info.ssi_pid) : 0);
  }
}

}  // namespace shoal::reactor
