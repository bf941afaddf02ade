// Our end of a service manager's NOTIFY_SOCKET: datagrams to a path or an abstract name. Never blocks.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "reactor/fd.h"
#include "reactor/unix_address.h"

namespace shoal::reactor {

class NotifySender {
 public:
  /// `name` as in NOTIFY_SOCKET: "/run/..." or "@...". Nobody is spoken to yet. The error names it.
  [[nodiscard]] Result<void> open(const std::string& name);
  /// An error (the manager is behind, or away) means that nothing was sent: try again later. Allocates nothing unless
  /// it fails. REQUIRES: open.
  [[nodiscard]] Result<void> send(std::string_view datagram);
  [[nodiscard]] bool is_open() const { return fd_.open(); }

 private:
  OwnedFd fd_;
  UnixAddress to_;
  std::string name_;
};

}  // namespace shoal::reactor
