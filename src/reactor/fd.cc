#include "reactor/fd.h"

#include <unistd.h>

namespace shoal::reactor {

void OwnedFd::reset(int fd) {
  const int old = std::exchange(fd_, fd);
  // Not repeated on EINTR: on Linux the descriptor is gone then, and its number may already be somebody else's.
  if (old >= 0) ::close(old);
}

}  // namespace shoal::reactor
