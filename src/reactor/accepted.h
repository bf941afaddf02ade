// Has a program accepted a connection that the kernel completed for it? An established connection that nobody has
// accepted has no file behind it yet, and the kernel says so when it is asked about that one connection (sock_diag, the
// same that `ss` asks; no privilege needed). Only within one network namespace.
#pragma once

#include <cstdint>

#include "base/endpoint.h"

namespace shoal::reactor {

enum class Accepted : std::uint8_t {
  kWaiting,  // In the accept queue, or on its way there.
  kTaken,
  kGone,     // There is no such connection (any more).
  kUnknown,  // The kernel does not tell (no sock_diag in it, or a sandbox forbids it).
};

struct AcceptedSocket {
  Accepted state = Accepted::kUnknown;
  std::uint64_t inode = 0;  // Of the accepted socket, as /proc/PID/fd names it; 0 unless kTaken, and when it is closed.
};

/// About the listening side of the connection between these two ends.
[[nodiscard]] AcceptedSocket accepted_socket(const Endpoint& server, const Endpoint& client);
[[nodiscard]] inline Accepted accepted(const Endpoint& server, const Endpoint& client) {
  return accepted_socket(server, client).state;
}

}  // namespace shoal::reactor
