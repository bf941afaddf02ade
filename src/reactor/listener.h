// The worker's listening socket: plain and blocking, never given to the loop, since O_NONBLOCK belongs to the open
// file that the worker shares and would break its accept.
#pragma once

#include <cstdint>
#include <optional>

#include "base/endpoint.h"
#include "base/result.h"
#include "reactor/fd.h"

namespace shoal::reactor {

struct ServiceListener {
  OwnedFd fd;      // Close-on-exec, blocking.
  Endpoint bound;  // With the port that the kernel chose where 0 was asked for.
};

/// Binds and listens: SO_REUSEADDR, never SO_REUSEPORT (the kernel would hand connections to a socket nobody reads).
/// `[::]` takes v4 too. The error names the address and the likely fix.
[[nodiscard]] Result<ServiceListener> listen_service(const Endpoint& local, int backlog);

/// Binds without listening and sets SO_REUSEADDR afterwards, so that the port stays ours until a worker that sets
/// SO_REUSEADDR itself binds it. Old connections of a worker that has gone do not keep us from it.
[[nodiscard]] Result<ServiceListener> reserve_port(const Endpoint& local);

/// How many connections wait to be accepted. From TCP_INFO, where a listening socket reports its queue's length in
/// tcpi_unacked and its limit in tcpi_sacked (seen on Linux 5 and 6).
struct AcceptQueue {
  std::uint32_t depth = 0;
  std::uint32_t limit = 0;
};
/// Nothing when `fd` is no listening TCP socket.
[[nodiscard]] std::optional<AcceptQueue> accept_queue(int fd);

/// With TCP_DEFER_ACCEPT the queue reads 0 although nobody accepts: a connection only enters it with its first byte.
[[nodiscard]] bool has_defer_accept(int fd);

}  // namespace shoal::reactor
