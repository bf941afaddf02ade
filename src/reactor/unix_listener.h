// The server's side of a UNIX socket for a few clients that ask once: it reads what comes, takes one answer, and ends.
//
// The socket is made by hand: a path gets mode 0600 before anybody can connect; a file that a dead process left is
// replaced, a living process's never; an abstract name has no mode, so the peer's uid is asked for and must be our own
// or root's.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/containers.h"
#include "base/result.h"
#include "reactor/handle.h"

namespace shoal::reactor {

class UnixListener;

/// One accepted connection. Lives in its listener; free ones are used again.
class UnixConnection {
 public:
  UnixConnection(UnixListener& listener, std::uint32_t index);

  /// Which slot, below UnixListener::kConnectionsMax; and which connection, never used twice.
  [[nodiscard]] std::uint32_t index() const { return index_; }
  [[nodiscard]] std::uint64_t id() const { return id_; }
  [[nodiscard]] bool is_open() const { return watch_.is_open(); }

  /// From now on on_timeout comes at `deadline`, until `finish`. At first it is kIdleMost after the connection was
  /// accepted, whatever bytes come: a client says its few words at once.
  void wait_until(Instant deadline);
  /// Writes all of it, then closes our half, waits for the peer's end and closes. No handler is called any more. The
  /// peer has kIdleMost for each step. REQUIRES: open, not finishing.
  void finish(std::string bytes);
  /// At once. No handler is called.
  void close();

 private:
  friend class UnixListener;
  void on_ready(Watch::Ready ready);
  void read_some();
  void write_some();
  void progress();

  UnixListener& listener_;
  Watch watch_;
  std::uint32_t index_;
  std::uint64_t id_ = 0;
  Instant deadline_ = kNever;
  std::string unsent_;
  std::size_t sent_ = 0;
  bool finishing_ = false;
};

class UnixListenerHandler {
 public:
  virtual void on_accepted(UnixConnection& connection) = 0;
  /// Never empty, borrowed until the call returns. May finish or close the connection.
  virtual void on_bytes(UnixConnection& connection, Bytes bytes) = 0;
  /// The peer has closed or broken the connection before it was finished; it is closed.
  virtual void on_gone(UnixConnection& connection) = 0;
  /// The deadline has come. Finish or close the connection; if neither is done it is closed.
  virtual void on_timeout(UnixConnection& connection) = 0;

 protected:
  ~UnixListenerHandler() = default;
};

class UnixListener {
 public:
  static constexpr std::uint32_t kConnectionsMax = 8;  // One more waits in the kernel's queue.
  static constexpr Duration kIdleMost = 5s;

  /// The handler must outlive the listener.
  UnixListener(Loop& loop, UnixListenerHandler& handler);
  ~UnixListener();

  /// `name` is a path or, with '@' in front, an abstract name. The error names it and the fix; EADDRINUSE when another
  /// process answers there. REQUIRES: not open.
  [[nodiscard]] Result<void> listen(const std::string& name);
  /// Closes all connections, and removes the file if it is still ours.
  void close();

  [[nodiscard]] bool is_open() const { return watch_.is_open(); }
  [[nodiscard]] const std::string& name() const { return name_; }  // Empty until listening.
  [[nodiscard]] std::uint32_t in_use() const { return in_use_; }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }  // Strangers, by their uid.
  [[nodiscard]] UnixConnection& at(std::uint32_t index) { return *connections_[index]; }

 private:
  friend class UnixConnection;
  void on_readable();
  void adopt(OwnedFd fd);
  void freed();
  void on_timer();
  void arm();

  Loop& loop_;
  UnixListenerHandler& handler_;
  Watch watch_;
  Buffer read_buffer_;
  FixedVector<std::unique_ptr<UnixConnection>> connections_;
  std::uint32_t in_use_ = 0;
  std::uint64_t last_id_ = 0;
  std::uint64_t refused_ = 0;
  Timer timer_;
  Timer retry_;  // After EMFILE: to read the queue again at once would spin.
  std::string name_;
  dev_t device_ = 0;  // Of the socket's file, to know it again.
  ino_t inode_ = 0;
};

}  // namespace shoal::reactor
