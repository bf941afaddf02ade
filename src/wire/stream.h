// One message from, or for, a TCP stream. There is no length in front of a plain one: msgpack delimits itself, and the
// headers say how much raw data follows (gossip-protocol facts 1.1, trap 43). A compressed one is a map with the whole
// message in it. An encrypted one has a frame around that, with its length (security.h); a label stands in front of
// all.
//
// Memory: what is encrypted is decrypted where it was received, what is compressed is unpacked into the reader's
// scratch; a message is sealed in the memory that it is sealed into. Nothing else is needed.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/containers.h"
#include "wire/messages.h"
#include "wire/msgpack.h"
#include "wire/security.h"

namespace shoal::wire {

/// What to do is for an acceptor; an initiator just closes.
enum class StreamStatus : std::uint8_t {
  kIncomplete,  // More bytes are needed.
  kComplete,
  kMalformed,     // Nothing sensible will come; close.
  kTooLarge,      // A limit of ours; close.
  kBadLabel,      // Another cluster's label, none, or two; close.
  kEncrypted,     // The peer encrypts and we do not: answer an Err, then close.
  kNotEncrypted,  // We encrypt and the peer does not: answer an Err, then close.
  kBadKey,        // No key of the ring opens it, or it is no whole seal: answer an Err, then close.
  kBadCompress,   // Unknown algorithm or broken LZW: answer an Err, then close.
};
/// In words for the Err and for people; "" for kIncomplete and kComplete.
[[nodiscard]] std::string_view to_text(StreamStatus status);
/// Whether an acceptor owes the peer an Err, sealed by its own settings: when there was a message that it cannot open.
[[nodiscard]] bool owes_err(StreamStatus status);

/// Longest header or node entry that is read on a stream; an honest one has a few hundred bytes.
inline constexpr std::size_t kStreamPieceBytesMax = 64 * 1024;

/// Longest encrypted frame, as memberlist has it.
inline constexpr std::size_t kStreamFrameBytesMax = 20 * 1024 * 1024;

/// Reads one message out of a growing buffer: ping, ack, err, user, push/pull; anything else is malformed there. Work
/// is not repeated: a state of 1,000 nodes that trickles in byte by byte is parsed once.
class StreamReader {
 public:
  /// `scratch` is where a compressed message is unpacked; its size is the limit. Borrowed for the reader's life, so one
  /// scratch may serve several readers only if each message is used up before another reader's `advance`.
  /// `writer` is the peer: whether a label is due in front. A frame with more than `frame_bytes_max` is too large as
  /// soon as its length is there.
  explicit StreamReader(MutableBytes scratch, const Security& security = {}, StreamSide writer = StreamSide::kInitiator,
                        std::size_t frame_bytes_max = kStreamFrameBytesMax)
      : scratch_(scratch), security_(security), writer_(writer), frame_bytes_max_(frame_bytes_max) {}

  /// `received` = everything that has come on this stream so far; its memory must not move between calls.
  /// After any other answer than kIncomplete the answer stays the same. Bytes behind the message are ignored.
  /// REQUIRES: no keys; otherwise advance_in_place.
  [[nodiscard]] StreamStatus advance(Bytes received);
  /// The same, for all readers: an encrypted message is decrypted where it lies, once, when its last byte is there.
  [[nodiscard]] StreamStatus advance_in_place(MutableBytes received);

  // Questions for kComplete; all views point into `received` or the scratch.
  [[nodiscard]] MessageType type() const { return type_; }
  /// For ping, ack, err: the body behind the type byte. For user: the raw payload.
  [[nodiscard]] Bytes body() const { return body_; }
  [[nodiscard]] const PushPullHeader& header() const { return header_; }
  [[nodiscard]] Bytes user_state() const { return user_state_; }
  /// How much of the scratch the message takes: nothing unless it was compressed.
  [[nodiscard]] std::size_t unpacked() const { return unpacked_; }
  /// Calls f(const NodeState&) for each node of a push/pull.
  template <typename F>
  void for_each_node(F&& f) const {
    Bytes rest = nodes_;
    NodeState node;
    while (next_node(rest, node)) f(node);
  }

 private:
  StreamStatus step(Bytes received, MutableBytes writable);
  StreamStatus open_frame(Bytes frame, MutableBytes writable);
  StreamStatus advance_message(Bytes message);
  StreamStatus unpack(Bytes message);
  StreamStatus advance_plain(Bytes message);
  StreamStatus advance_single(Bytes message);
  StreamStatus advance_user(Bytes message);
  StreamStatus advance_push_pull(Bytes message);
  StreamStatus next_piece(Bytes message, std::size_t limit, Bytes& piece);
  static bool next_node(Bytes& rest, NodeState& node);

  MutableBytes scratch_;
  Security security_;
  StreamSide writer_;
  std::size_t frame_bytes_max_;
  std::size_t unpacked_ = 0;
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

/// Wraps a finished plain message for a stream: compressed always when `compress` (as memberlist does, even if larger),
/// encrypted with the primary key, labelled when the `writer` is the initiator. Returns the size, 0 when it does not
/// fit into `out`; compressed it may take half as much again as the message, and kCompressHeaderBytesMax;
/// stream_overhead() comes on top. REQUIRES: `message` is not empty and does not overlap `out`.
[[nodiscard]] std::size_t seal_stream(Bytes message, bool compress, MutableBytes out, const Security& security = {},
                                      StreamSide writer = StreamSide::kInitiator);

}  // namespace shoal::wire
