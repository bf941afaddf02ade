// Where a worker listens, as /proc shows it: for a worker that seems not to come up, to tell its operator why. Reads a
// few files for each process of the machine (of the container): called rarely.
#pragma once

#include <sys/types.h>

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

}  // namespace shoal::reactor
