// The other end of NOTIFY_SOCKET: what a worker says about itself, in systemd's protocol (datagrams of NAME=VALUE
// lines). An abstract name: it needs no file system and vanishes with its socket.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "base/containers.h"
#include "base/result.h"
#include "reactor/handle.h"

namespace shoal::reactor {

/// One datagram.
struct Notification {
  static constexpr std::size_t kStatusBytesMax = 256;
  pid_t sender_pid = 0;  // Told by the kernel. 0 when the sender is in another pid namespace.
  uid_t sender_uid = 0;
  bool ready = false;                   // READY=1
  bool stopping = false;                // STOPPING=1
  bool reloading = false;               // RELOADING=1
  FixedString<kStatusBytesMax> status;  // STATUS=..., cut; control bytes become spaces.
};

/// Unknown names are skipped.
[[nodiscard]] Notification parse_notification(Bytes datagram);

class NotifySocket {
 public:
  static constexpr std::size_t kDatagramBytesMax = 4096;  // What is longer is dropped and counted.
  /// Anybody on this machine's network namespace can send: judge by sender_pid.
  using Handler = std::function<void(const Notification& notification)>;

  NotifySocket(Loop& loop, Handler handler);
  /// Binds a fresh name that nobody can guess.
  [[nodiscard]] Result<void> open();
  void close() { watch_.close(); }
  /// The value for NOTIFY_SOCKET: "@shoal/notify/...". Empty until opened.
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  void on_readable();

  Handler handler_;
  Watch watch_;
  Buffer buffer_;
  std::string name_;
  std::uint64_t dropped_ = 0;
};

}  // namespace shoal::reactor
