// A client's stream, over UNIX or TCP: HAProxy's runtime socket, shoal's own control socket.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/containers.h"
#include "base/endpoint.h"
#include "base/result.h"
#include "reactor/handle.h"

namespace shoal::reactor {

class ClientStreamHandler {
 public:
  /// A TCP connection is made; what comes of it otherwise is told by on_closed.
  virtual void on_opened() {}
  /// `bytes` is borrowed until the call returns, never empty.
  virtual void on_bytes(Bytes bytes) = 0;
  /// The peer has closed, or the connection broke (`code` is errno, 0 for an end of file). The stream is closed when
  /// this is called, and may be connected again inside the call.
  virtual void on_closed(const Error& why) = 0;

 protected:
  ~ClientStreamHandler() = default;
};

/// Ours or root's: for an abstract name, which anybody can take, nobody else may listen in our place or ask us.
[[nodiscard]] bool is_trusted_uid(uid_t uid);

class ClientStream {
 public:
  struct Options {
    std::size_t write_buffer_bytes = 256 * 1024;
    std::size_t read_buffer_bytes = 64 * 1024;
  };
  /// The handler must outlive the stream.
  ClientStream(Loop& loop, ClientStreamHandler& handler);
  ClientStream(Loop& loop, ClientStreamHandler& handler, const Options& options);

  /// Connects to a path of any length, or to an abstract name when it begins with '@'. A UNIX connect succeeds or fails
  /// at once, so the answer is given here; it never blocks (a full accept queue is EAGAIN). The error names the path
  /// and what to do. `padded`: the abstract name is filled up with NULs to the longest one, as HAProxy binds its own.
  /// REQUIRES: not open.
  [[nodiscard]] Result<void> connect(const std::string& path, bool padded = false);
  /// Begins to connect over TCP; on_opened or on_closed tells what came of it, unless it fails at once. No write before
  /// on_opened. REQUIRES: not open.
  [[nodiscard]] Result<void> connect(const Endpoint& place);
  /// Goes on with the connection of another stream, which is closed by that; nothing that was written there may be
  /// unsent, and the descriptor is reported on by this stream's loop from now on. REQUIRES: not open; `from` is open.
  [[nodiscard]] Result<void> take_over(ClientStream& from);
  /// Who listens at the other end. REQUIRES: open.
  [[nodiscard]] Result<uid_t> peer_uid() const;
  /// Its process; 0 when it is in a pid namespace that we cannot see. REQUIRES: open, over UNIX.
  [[nodiscard]] Result<pid_t> peer_pid() const;
  /// Copies. False when the bytes do not fit in what is left of the buffer: then none were taken, and the caller
  /// decides (a peer that far behind is as good as gone). A broken connection is told by on_closed, never in here.
  [[nodiscard]] bool write(Bytes bytes);
  /// At once; unsent bytes are gone, no call follows.
  void close();

  [[nodiscard]] bool is_open() const { return watch_.is_open(); }
  [[nodiscard]] std::size_t unsent() const { return unsent_size_; }

 private:
  [[nodiscard]] Result<void> open(OwnedFd fd, std::string name, bool connecting);
  void on_ready(Watch::Ready ready);
  void finish_connect();
  [[nodiscard]] bool flush();
  void end(int code, const char* doing);

  ClientStreamHandler& handler_;
  Watch watch_;
  Buffer write_buffer_;
  Buffer read_buffer_;
  std::size_t unsent_begin_ = 0;
  std::size_t unsent_size_ = 0;
  std::uint64_t connections_ = 0;  // Tells a new connection that a handler made from the one that called it.
  bool connecting_ = false;
  std::string name_;  // Path, abstract name or address, for people.
};

}  // namespace shoal::reactor
