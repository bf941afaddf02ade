// TCP for gossip: a fixed number of streams, in both directions, and a listener that hands them out.
//
// A stream's life: free -> (connect) connecting -> open, or (accept) open -> free. It ends with exactly one of
// on_failed (never opened), on_closed (was open), or the owner's own close(), after which nothing more is called.
// Deadlines are the owner's: a core has one for every exchange, and close() ends a stream in any state.
#pragma once

#include <cstdint>
#include <memory>

#include "base/containers.h"
#include "base/endpoint.h"
#include "base/result.h"
#include "reactor/families.h"
#include "reactor/handle.h"

namespace shoal::reactor {

class StreamPool;
class TcpStream;

/// Why a stream did not open, or ended.
enum class StreamEnd : std::uint8_t {
  kRefused,      // Nobody listens there.
  kTimedOut,     // The kernel gave up.
  kUnreachable,  // No route, or a firewall said so.
  kReset,        // The peer broke it off.
  kFailed,       // Anything else; the log has errno.
};
[[nodiscard]] std::string_view to_text(StreamEnd end);

/// What happens on the streams of a pool. A handler may connect, write, shut down and close any stream of the pool.
class StreamHandler {
 public:
  virtual void on_accepted(TcpStream& stream) = 0;
  virtual void on_connected(TcpStream& stream) = 0;
  /// The stream is free when this returns.
  virtual void on_failed(TcpStream& stream, StreamEnd why) = 0;
  /// `bytes` is borrowed until the call returns, never empty.
  virtual void on_bytes(TcpStream& stream, Bytes bytes) = 0;
  /// The peer has closed its half; ours is still open. Comes once.
  virtual void on_end(TcpStream& stream) = 0;
  /// All bytes of the last write are with the kernel: their memory is the owner's again.
  virtual void on_written(TcpStream& stream) = 0;
  /// The stream is free when this returns; an unfinished write is gone.
  virtual void on_closed(TcpStream& stream, StreamEnd why) = 0;

 protected:
  ~StreamHandler() = default;
};

class TcpStream {
 public:
  TcpStream(StreamPool& pool, std::uint32_t index);  // Made by the pool only.

  /// Which slot of the pool this is: 0 to capacity - 1. For the owner's own table beside the pool.
  [[nodiscard]] std::uint32_t index() const { return index_; }
  /// Unique for each use of the slot.
  [[nodiscard]] std::uint64_t id() const { return id_; }
  [[nodiscard]] const Endpoint& peer() const { return peer_; }
  /// Our own end. REQUIRES: not free.
  [[nodiscard]] Endpoint local() const;
  [[nodiscard]] bool is_free() const { return state_ == State::kFree; }
  [[nodiscard]] bool is_open() const { return state_ == State::kOpen; }
  [[nodiscard]] bool is_writing() const { return !unsent_.empty(); }

  /// Writes without copying: the memory must stay as it is until on_written, on_closed or close(). One write at a time.
  /// REQUIRES: open, not writing, not shut down, bytes not empty.
  void write(Bytes bytes);
  /// Closes our half once the present write is done. The peer sees an end of file; reading goes on.
  void shutdown_write();
  /// Stops and resumes reading, for an owner that has no room for more.
  void pause_reading(bool paused);
  /// The last words of a program that ends: what the kernel takes at once of an unfinished write and then of `bytes`,
  /// and an end of file. REQUIRES: open.
  void finish_now(Bytes bytes);
  /// Frees the stream now. No call follows. Does nothing when free.
  void close();

 private:
  friend class StreamPool;
  friend class TcpListener;
  enum class State : std::uint8_t { kFree, kConnecting, kOpen, kEnding };

  void on_ready(Watch::Ready ready);
  void finish_connect();
  void send_some();
  void read_some();
  void end(StreamEnd why);
  void update_interest();

  StreamPool& pool_;
  Watch watch_;
  Endpoint peer_;
  Bytes unsent_;
  std::uint64_t id_ = 0;
  std::uint32_t index_;
  State state_ = State::kFree;
  int connect_code_ = 0;  // errno of a connect that failed at once, until it is told.
  bool peer_ended_ = false;
  bool shutdown_wanted_ = false;
  bool paused_ = false;
};

class StreamPool {
 public:
  /// One buffer for all reads.
  static constexpr std::size_t kReadBufferBytes = 64 * 1024;

  /// The handler must outlive the pool.
  StreamPool(Loop& loop, StreamHandler& handler, std::uint32_t capacity);

  /// Begins to connect (no delay set, close-on-exec). Null when all streams are in use. What comes of it is told by
  /// on_connected or on_failed, never inside this call.
  [[nodiscard]] TcpStream* connect(const Endpoint& to);

  [[nodiscard]] std::uint32_t capacity() const { return static_cast<std::uint32_t>(streams_.capacity()); }
  [[nodiscard]] std::uint32_t in_use() const { return in_use_; }
  [[nodiscard]] TcpStream& at(std::uint32_t index) { return *streams_[index]; }

 private:
  friend class TcpStream;
  friend class TcpListener;
  [[nodiscard]] TcpStream* take(const Endpoint& peer);
  /// An accepted socket becomes an open stream, or is closed when there is no room. True when it was taken.
  bool adopt(OwnedFd fd, const Endpoint& peer);
  void report_failed();

  Loop& loop_;
  StreamHandler& handler_;
  Buffer read_buffer_;
  FixedVector<std::unique_ptr<TcpStream>> streams_;
  std::uint32_t in_use_ = 0;
  std::uint64_t last_id_ = 0;
  Timer failed_;
};

/// Accepts gossip streams into a pool. A full pool refuses by closing: the peer tries again later, as it would with a
/// busy peer.
class TcpListener {
 public:
  TcpListener(Loop& loop, StreamPool& pool);
  /// Port 0 = any. Gives the bound endpoint. The error names the address.
  [[nodiscard]] Result<Endpoint> listen(const Endpoint& local, int backlog = 128, Families families = Families::kBoth);
  void close() { watch_.close(); }
  [[nodiscard]] std::uint64_t accepted() const { return accepted_; }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  void on_readable();

  StreamPool& pool_;
  Watch watch_;
  Timer retry_;  // After EMFILE: the connection stays in the queue, and reading it again at once would spin.
  std::uint64_t accepted_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace shoal::reactor
