#include "reactor/pipe_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "reactor/socket_address.h"

namespace shoal::reactor {

PipeReader::PipeReader(Loop& loop, std::function<void()> on_readable)
    : on_readable_(std::move(on_readable)),
      watch_(
          loop, [](void* self, Watch::Ready) { static_cast<PipeReader*>(self)->on_readable_(); }, this) {}

Result<OwnedFd> PipeReader::open() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error(errno, "cannot make a pipe");
  OwnedFd read_end(ends[0]);
  OwnedFd write_end(ends[1]);
  // Only this end: O_NONBLOCK belongs to the open file, and a pipe's two ends are two of them.
  if (const auto opened = watch_.open(std::move(read_end)); !opened.ok()) return opened.error();
  watch_.want(true, false);
  return write_end;
}

std::size_t PipeReader::read(MutableBytes into) {
  if (!is_open()) return 0;
  ssize_t size = 0;
  do {
    size = ::read(watch_.fd(), into.data(), into.size());
  } while (size < 0 && errno == EINTR);
  if (size > 0) return static_cast<std::size_t>(size);
  if (size == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) watch_.close();
  return 0;
}

void PipeReader::pause(bool paused) {
  if (is_open()) watch_.want(!paused, false);
}

}  // namespace shoal::reactor
