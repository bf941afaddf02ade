// Everything one call into the gossip cores wants from the outside world. The caller owns it, passes it in empty and
// drains it before the next call; nothing leaves a core another way.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/containers.h"
#include "base/endpoint.h"

namespace shoal::swim {

/// Names one TCP exchange between core and shell.
using StreamId = std::uint32_t;

struct Packet {
  Endpoint to;
  std::uint32_t begin = 0;
  std::uint32_t size = 0;
};

/// What a core wants done with a stream, in this order.
struct StreamEffect {
  enum class Kind : std::uint8_t {
    kConnect,  // Then on_stream_connected or on_stream_closed. `to` says where.
    kWrite,    // `bytes` stay where they are until the stream is closed.
    kFinish,   // Write what is queued, close, then on_stream_closed.
    kClose,    // At once; no further input for this stream.
  };
  Kind kind = Kind::kClose;
  StreamId stream = 0;
  Endpoint to{};
  Bytes bytes{};
};

class Outbox {
 public:
  // Packets of one call: gossip to a few nodes, a probe with its helpers, and answers to all the queries of a datagram,
  // by way of others too. What does not fit is dropped and counted, as the network may do at any time.
  static constexpr std::size_t kPacketsMax = 160;
  static constexpr std::size_t kPacketBytesMax = 1792;  // The longest message with CRC, encryption and label.
  static constexpr std::size_t kStreamEffectsMax = 128;

  Outbox() : arena_(kPacketsMax * kPacketBytesMax), packets_(kPacketsMax), streams_(kStreamEffectsMax) {}

  /// Room for one datagram, written in place; empty when full (dropped, counted).
  [[nodiscard]] MutableBytes packet_begin() {
    if (packets_.full()) {
      ++dropped_;
      return {};
    }
    return arena_.bytes().subspan(packets_.size() * kPacketBytesMax, kPacketBytesMax);
  }
  void packet_end(const Endpoint& to, std::size_t size) {
    SHOAL_ASSERT(size <= kPacketBytesMax);
    packets_.push_back(
        Packet{to, static_cast<std::uint32_t>(packets_.size() * kPacketBytesMax), static_cast<std::uint32_t>(size)});
  }
  void stream(const StreamEffect& effect) { streams_.push_back(effect); }

  [[nodiscard]] std::span<const Packet> packets() const { return packets_.view(); }
  [[nodiscard]] Bytes view(const Packet& packet) { return arena_.bytes().subspan(packet.begin, packet.size); }
  [[nodiscard]] std::span<const StreamEffect> streams() const { return streams_.view(); }
  [[nodiscard]] bool empty() const { return packets_.empty() && streams_.empty(); }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
  void clear() {
    packets_.clear();
    streams_.clear();
  }

 private:
  Buffer arena_;
  FixedVector<Packet> packets_;
  FixedVector<StreamEffect> streams_;
  std::uint64_t dropped_ = 0;
};

}  // namespace shoal::swim
