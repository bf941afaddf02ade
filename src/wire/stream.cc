#include "wire/stream.h"

#include <cstring>

#include "base/check.h"
#include "wire/compress.h"
#include "wire/lzw.h"

namespace shoal::wire {

using msgpack::ScanStatus;

StreamStatus StreamReader::advance(Bytes received) {
  if (status_ == StreamStatus::kIncomplete && !received.empty()) status_ = step(received);
  return status_;
}

StreamStatus StreamReader::step(Bytes received) {
  type_ = static_cast<MessageType>(received[0]);
  if (type_ == MessageType::kEncrypt) return StreamStatus::kEncrypted;
  if (type_ != MessageType::kCompress) return advance_plain(received);
  return unpack(received);
}

StreamStatus StreamReader::unpack(Bytes received) {
  // LZW makes anything at most half as long again.
  const std::size_t limit = scratch_.size() * 2 + kStreamPieceBytesMax;
  Bytes body;
  const StreamStatus status = next_piece(received, limit, body);
  if (status != StreamStatus::kComplete) return status;
  Bytes packed;
  if (!decode_compressed(body, packed)) return StreamStatus::kMalformed;
  const LzwResult result = lzw_decompress(packed, scratch_);
  if (result.status == LzwStatus::kTooLarge) return StreamStatus::kTooLarge;
  if (result.status != LzwStatus::kOk || result.size == 0) return StreamStatus::kMalformed;
  const Bytes message = scratch_.first(result.size);
  type_ = static_cast<MessageType>(message[0]);
  position_ = 1;
  const StreamStatus inner = advance_plain(message);
  return inner == StreamStatus::kIncomplete ? StreamStatus::kMalformed : inner;  // No more of it will come.
}

StreamStatus StreamReader::advance_plain(Bytes message) {
  switch (type_) {
    case MessageType::kPing:
    case MessageType::kAck:
    case MessageType::kErr: return advance_single(message);
    case MessageType::kUser: return advance_user(message);
    case MessageType::kPushPull: return advance_push_pull(message);
    case MessageType::kIndirectPing:
    case MessageType::kSuspect:
    case MessageType::kAlive:
    case MessageType::kDead:
    case MessageType::kCompound:
    case MessageType::kCompress:
    case MessageType::kEncrypt:
    case MessageType::kNack:
    case MessageType::kHasCrc:
    case MessageType::kHasLabel: break;
  }
  return StreamStatus::kMalformed;
}

// One msgpack object that starts at `position_`; moves on when it is there.
StreamStatus StreamReader::next_piece(Bytes message, std::size_t limit, Bytes& piece) {
  const Bytes rest = message.subspan(position_);
  switch (scanner_.advance(rest, limit)) {
    case ScanStatus::kIncomplete: return StreamStatus::kIncomplete;
    case ScanStatus::kMalformed: return StreamStatus::kMalformed;
    case ScanStatus::kTooLarge: return StreamStatus::kTooLarge;
    case ScanStatus::kComplete: break;
  }
  piece = rest.first(scanner_.size());
  position_ += scanner_.size();
  scanner_ = {};
  return StreamStatus::kComplete;
}

StreamStatus StreamReader::advance_single(Bytes message) { return next_piece(message, kStreamPieceBytesMax, body_); }

StreamStatus StreamReader::advance_user(Bytes message) {
  if (!header_read_) {
    Bytes piece;
    const StreamStatus status = next_piece(message, kStreamPieceBytesMax, piece);
    if (status != StreamStatus::kComplete) return status;
    if (!decode(piece, user_header_)) return StreamStatus::kMalformed;
    if (user_header_.user_msg_len > kUserBytesMax) return StreamStatus::kTooLarge;
    header_read_ = true;
  }
  if (message.size() - position_ < user_header_.user_msg_len) return StreamStatus::kIncomplete;
  body_ = message.subspan(position_, user_header_.user_msg_len);
  return StreamStatus::kComplete;
}

StreamStatus StreamReader::advance_push_pull(Bytes message) {
  Bytes piece;
  if (!header_read_) {
    const StreamStatus status = next_piece(message, kStreamPieceBytesMax, piece);
    if (status != StreamStatus::kComplete) return status;
    if (!decode(piece, header_)) return StreamStatus::kMalformed;
    if (header_.nodes > kPushPullNodesMax || header_.user_state_len > kUserBytesMax) return StreamStatus::kTooLarge;
    header_read_ = true;
    nodes_begin_ = position_;
  }
  for (; nodes_read_ < header_.nodes; ++nodes_read_) {
    const StreamStatus status = next_piece(message, kStreamPieceBytesMax, piece);
    if (status != StreamStatus::kComplete) return status;
    NodeState node;
    if (!decode(piece, node)) return StreamStatus::kMalformed;
  }
  if (message.size() - position_ < header_.user_state_len) return StreamStatus::kIncomplete;
  nodes_ = message.subspan(nodes_begin_, position_ - nodes_begin_);
  user_state_ = message.subspan(position_, header_.user_state_len);
  return StreamStatus::kComplete;
}

bool StreamReader::next_node(Bytes& rest, NodeState& node) {
  msgpack::Reader in(rest);
  const Bytes piece = in.skip();
  if (!in.ok()) return false;  // The end: each entry was looked at before.
  rest = in.rest();
  return decode(piece, node);
}

std::size_t seal_stream(Bytes message, bool compress, MutableBytes out) {
  SHOAL_ASSERT(!message.empty());
  if (compress) return encode_compressed(message, out);
  if (out.size() < message.size()) return 0;
  std::memcpy(out.data(), message.data(), message.size());
  return message.size();
}

}  // namespace shoal::wire
