#include "reactor/adopted_process.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/check.h"
#include "reactor/socket_address.h"

namespace shoal::reactor {

AdoptedProcess::AdoptedProcess(Loop& loop, std::function<void()> on_end)
    : on_end_(std::move(on_end)),
      watch_(
          loop, [](void* self, Watch::Ready) { static_cast<AdoptedProcess*>(self)->on_ready(); }, this) {}

Result<void> AdoptedProcess::hold(pid_t pid) {
  SHOAL_ASSERT(!is_held());
  // By number: the C library has had the function only since 2.36. Close-on-exec by itself.
  OwnedFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U)));
  if (!fd.open()) return system_error(errno, "cannot hold process " + std::to_string(pid));
  if (Result<void> opened = watch_.open(std::move(fd)); !opened.ok()) return opened;
  watch_.want(true, false);
  pid_ = pid;
  return {};
}

Result<void> AdoptedProcess::signal(int signal) {
  SHOAL_ASSERT(is_held());
  if (::syscall(SYS_pidfd_send_signal, watch_.fd(), signal, nullptr, 0U) != 0)
    return system_error(errno, "cannot signal process " + std::to_string(pid_));
  return {};
}

void AdoptedProcess::release() {
  watch_.close();
  pid_ = 0;
}

// A pidfd is readable when its process has ended, and never before.
void AdoptedProcess::on_ready() {
  release();
  on_end_();
}

}  // namespace shoal::reactor
