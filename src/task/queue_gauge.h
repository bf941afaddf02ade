// The accept queue of the service socket, as last read: how many connections wait to be accepted. For people, for load
// feedback and for the queue's health.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.h"

namespace shoal::task {

/// What the kernel says of the listening socket.
struct QueueReading {
  std::uint32_t depth = 0;  // Connections that wait to be accepted.
  std::uint32_t limit = 0;
  bool defer_accept = false;
};

/// Read by the shell each second or more often. With TCP_DEFER_ACCEPT on the socket, connections without a first byte
/// are not in it.
struct QueueGauge {
  bool known =
      false;  // Else nothing has been read: no socket of ours (the worker binds the port itself), or too early.
  std::uint32_t depth = 0;
  std::uint32_t limit = 0;      // A connection above it is dropped by the kernel, and the client tries again.
  std::uint32_t depth_max = 0;  // The highest reading since the start; what was between two readings is not seen.
  std::uint64_t readings = 0;
  std::uint64_t readings_nonempty = 0;

  void on_reading(const QueueReading& reading) {
    known = true;
    depth = reading.depth;
    limit = reading.limit;
    depth_max = std::max(depth_max, reading.depth);
    ++readings;
    if (reading.depth > 0) ++readings_nonempty;
  }
};

}  // namespace shoal::task
