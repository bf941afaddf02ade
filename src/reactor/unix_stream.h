// A client's UNIX stream: HAProxy's runtime socket, shoal's own control socket.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/containers.h"
#include "base/result.h"
#include "reactor/handle.h"

namespace shoal::reactor {

class UnixStreamHandler {
 public:
  /// `bytes` is borrowed until the call returns, never empty.
  virtual void on_bytes(Bytes bytes) = 0;
  /// The peer has closed, or the connection broke (`code` is errno, 0 for an end of file). The stream is closed when
  /// this is called, and may be connected again inside the call.
  virtual void on_closed(const Error& why) = 0;

 protected:
  ~UnixStreamHandler() = default;
};

/// Ours or root's: for an abstract name, which anybody can take, nobody else may listen in our place or ask us.
[[nodiscard]] bool is_trusted_uid(uid_t uid);

class UnixStream {
 public:
  struct Options {
    std::size_t write_buffer_bytes = 256 * 1024;
    std::size_t read_buffer_bytes = 64 * 1024;
  };
  /// The handler must outlive the stream.
  UnixStream(Loop& loop, UnixStreamHandler& handler);
  UnixStream(Loop& loop, UnixStreamHandler& handler, const Options& options);

  /// Connects to a path of any length, or to an abstract name when it begins with '@'. A UNIX connect succeeds or fails
  /// at once, so the answer is given here; it never blocks (a full accept queue is EAGAIN). The error names the path
  /// and what to do. REQUIRES: not open.
  [[nodiscard]] Result<void> connect(const std::string& path);
  /// Who listens at the other end. REQUIRES: open.
  [[nodiscard]] Result<uid_t> peer_uid() const;
  /// Copies. False when the bytes do not fit in what is left of the buffer: then none were taken, and the caller
  /// decides (a peer that far behind is as good as gone). A broken connection is told by on_closed, never in here.
  [[nodiscard]] bool write(Bytes bytes);
  /// At once; unsent bytes are gone, no call follows.
  void close();

  [[nodiscard]] bool is_open() const { return watch_.is_open(); }
  [[nodiscard]] std::size_t unsent() const { return unsent_size_; }

 private:
  void on_ready(Watch::Ready ready);
  [[nodiscard]] bool flush();
  void end(int code, const char* doing);

  UnixStreamHandler& handler_;
  Watch watch_;
  Buffer write_buffer_;
  Buffer read_buffer_;
  std::size_t unsent_begin_ = 0;
  std::size_t unsent_size_ = 0;
  std::uint64_t connections_ = 0;  // Tells a new connection that a handler made from the one that called it.
  std::string path_;
};

}  // namespace shoal::reactor
