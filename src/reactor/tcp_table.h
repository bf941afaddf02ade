// The kernel's tables of TCP sockets, as /proc shows them. A socket that is bound and neither listens nor is connected
// stands in none of them.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "base/endpoint.h"

namespace shoal::reactor {

struct TcpSocket {
  Endpoint local;
  bool listens = false;  // Else a connection; those that wait for their last packets (TIME_WAIT) among them.
  ino_t inode = 0;       // 0 = nobody's: not accepted yet, or TIME_WAIT.
};

/// Calls `f` with each socket of the tables tcp and tcp6 in `net`, which is "/proc/net" or "/proc/PID/net"; false ends
/// that table. Listening sockets come first. Tables that cannot be read are empty.
void each_tcp_socket(const std::string& net, const std::function<bool(const TcpSocket&)>& f);

}  // namespace shoal::reactor
