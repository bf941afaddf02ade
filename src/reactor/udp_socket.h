// One UDP socket. A datagram that cannot be sent now is dropped and counted: gossip repeats itself, and a queue would
// only make it late.
#pragma once

#include <cstdint>
#include <functional>

#include "base/containers.h"
#include "base/endpoint.h"
#include "base/result.h"
#include "reactor/families.h"
#include "reactor/handle.h"

namespace shoal::reactor {

class UdpSocket {
 public:
  /// `bytes` is borrowed until the call returns; at most 65,535. A v4 peer has a 4-byte address, also over a dual-stack
  /// socket. The handler may send, and may close the socket.
  using Handler = std::function<void(const Endpoint& from, Bytes bytes)>;

  struct Counters {
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
    std::uint64_t send_dropped = 0;    // The socket's buffer was full, or the address cannot be sent to.
    std::uint64_t receive_errors = 0;  // Among them a late ICMP refusal: nothing to act upon.
  };

  /// Asked of the kernel; halved until it agrees. memberlist asks the same.
  static constexpr int kReceiveBufferBytes = 2 * 1024 * 1024;
  /// Datagrams read before other sockets get their turn.
  static constexpr int kReadsPerTurn = 64;

  UdpSocket(Loop& loop, Handler handler);

  /// Port 0 = any. Gives the bound endpoint. The error names the address.
  [[nodiscard]] Result<Endpoint> bind(const Endpoint& local, Families families = Families::kBoth);
  /// False when the datagram was dropped. Never blocks, never queues. REQUIRES: bound.
  bool try_send(const Endpoint& to, Bytes bytes);
  void close() { watch_.close(); }

  [[nodiscard]] bool is_open() const { return watch_.is_open(); }
  [[nodiscard]] const Endpoint& local() const { return local_; }
  [[nodiscard]] const Counters& counters() const { return counters_; }
  /// What the kernel gave, in bytes.
  [[nodiscard]] int receive_buffer_bytes() const { return receive_buffer_bytes_; }

 private:
  void on_readable();

  Watch watch_;
  Handler handler_;
  Buffer buffer_;
  Endpoint local_;
  bool is_v6_ = false;
  bool only_v6_ = false;
  int receive_buffer_bytes_ = 0;
  Counters counters_;
};

}  // namespace shoal::reactor
