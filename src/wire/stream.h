// One message from, or for, a TCP stream. There is no length in front of a plain one: msgpack delimits itself, and the
// headers say how much raw data follows (gossip-protocol facts 1.1, trap 43). A compressed one is a map with the whole
// message in it. Encryption's framing (type 10) gets its place here when it comes; until then it is kEncrypted.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/containers.h"
#include "wire/messages.h"
#include "wire/msgpack.h"

namespace shoal::wire {

enum class StreamStatus : std::uint8_t {
  kIncomplete,  // More bytes are needed.
  kComplete,
  kMalformed,  // Nothing sensible will come; close.
  kEncrypted,  // The peer encrypts and we do not: answer an Err, then close.
  kTooLarge,   // A limit of ours; close.
};

/// Longest header or node entry that is read on a stream; an honest one has a few hundred bytes.
inline constexpr std::size_t kStreamPieceBytesMax = 64 * 1024;

/// Reads one message out of a growing buffer: ping, ack, err, user, push/pull; anything else is malformed there. Work
/// is not repeated: a state of 1,000 nodes that trickles in byte by byte is parsed once.
class StreamReader {
 public:
  /// `scratch` is where a compressed message is unpacked; its size is the limit. Borrowed for the reader's life, so one
  /// scratch may serve several readers only if each message is used up before another reader's `advance`.
  explicit StreamReader(MutableBytes scratch) : scratch_(scratch) {}

  /// `received` = everything that has come on this stream so far; its memory must not move between calls.
  /// After any other answer than kIncomplete the answer stays the same. Bytes behind the message are ignored.
  [[nodiscard]] StreamStatus advance(Bytes received);

  // Questions for kComplete; all views point into `received` or the scratch.
  [[nodiscard]] MessageType type() const { return type_; }
  /// For ping, ack, err: the body behind the type byte. For user: the raw payload.
  [[nodiscard]] Bytes body() const { return body_; }
  [[nodiscard]] const PushPullHeader& header() const { return header_; }
  [[nodiscard]] Bytes user_state() const { return user_state_; }
  /// Calls f(const NodeState&) for each node of a push/pull.
  template <typename F>
  void for_each_node(F&& f) const {
    Bytes rest = nodes_;
    NodeState node;
    while (next_node(rest, node)) f(node);
  }

 private:
  StreamStatus step(Bytes received);
  StreamStatus unpack(Bytes received);
  StreamStatus advance_plain(Bytes message);
  StreamStatus advance_single(Bytes message);
  StreamStatus advance_user(Bytes message);
  StreamStatus advance_push_pull(Bytes message);
  StreamStatus next_piece(Bytes message, std::size_t limit, Bytes& piece);
  static bool next_node(Bytes& rest, NodeState& node);

  MutableBytes scratch_;
  StreamStatus status_ = StreamStatus::kIncomplete;
  MessageType type_ = MessageType::kPing;
  bool header_read_ = false;
  std::size_t position_ = 1;          // Behind the last whole piece; the type byte is the first.
  msgpack::ObjectScanner scanner_{};  // In the piece there.
  std::size_t nodes_begin_ = 0;
  std::uint32_t nodes_read_ = 0;
  Bytes body_{}, nodes_{}, user_state_{};
  PushPullHeader header_{};
  UserHeader user_header_{};
};

/// Wraps a finished plain message for a stream: compressed always when `compress` (as memberlist does, even if larger).
/// Returns the size, 0 when it does not fit into `out`; compressed it may take half as much again as the message, and
/// kCompressHeaderBytesMax. REQUIRES: `message` is not empty and does not overlap `out`.
[[nodiscard]] std::size_t seal_stream(Bytes message, bool compress, MutableBytes out);

}  // namespace shoal::wire
