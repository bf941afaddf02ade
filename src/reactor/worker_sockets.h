// Which sockets a worker has, as /proc shows it: where it listens, for one that seems not to come up, to tell its
// operator why; and whether it was this worker that accepted a connection. Reads a few files for each process of the
// machine (of the container): called rarely.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "base/endpoint.h"

namespace shoal::reactor {

struct ListeningSocket {
  pid_t pid = 0;
  Endpoint at;
};

/// The TCP sockets on which processes of the group listen, each once, except `ours` (a descriptor; -1 = none). Empty as
/// well when /proc is not mounted or not readable (another user's process).
[[nodiscard]] std::vector<ListeningSocket> listeners_of_group(pid_t group, int ours);

enum class Holds : std::uint8_t {
  kNo,
  kYes,
  kUnknown,  // No socket of the group can be seen: /proc is not mounted, or the worker is another user's.
};
/// Some process of the group has this socket open.
[[nodiscard]] Holds holds_socket(pid_t group, std::uint64_t inode);

}  // namespace shoal::reactor
