#include "wire/stream.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "wire/compress.h"
#include "wire/lzw.h"

namespace shoal::wire {

using msgpack::ScanStatus;

namespace {

// The frame's header and the label behind it: what is authenticated besides the message.
class FrameAad {
 public:
  FrameAad(Bytes frame_header, std::string_view label) {
    ByteWriter out(memory_);
    out.put(frame_header);
    out.put(label);
    SHOAL_ASSERT(out.ok());
    size_ = out.size();
  }
  [[nodiscard]] Bytes bytes() const { return Bytes(memory_).first(size_); }

 private:
  std::array<std::uint8_t, kStreamFrameHeaderBytes + kLabelBytesMax> memory_;
  std::size_t size_;
};

}  // namespace

std::string_view to_text(StreamStatus status) {
  switch (status) {
    case StreamStatus::kIncomplete:
    case StreamStatus::kComplete: return "";
    case StreamStatus::kMalformed: return "the message cannot be read";
    case StreamStatus::kTooLarge: return "the message is larger than the limit";
    case StreamStatus::kBadLabel: return "the label is another one, or missing";
    case StreamStatus::kEncrypted: return "remote state is encrypted and encryption is not configured";
    case StreamStatus::kNotEncrypted: return "encryption is configured but remote state is not encrypted";
    case StreamStatus::kBadKey: return "no installed key could decrypt the message";
    case StreamStatus::kBadCompress: return "the message cannot be decompressed";
  }
  SHOAL_UNREACHABLE();
}

bool owes_err(StreamStatus status) {
  switch (status) {
    case StreamStatus::kEncrypted:
    case StreamStatus::kNotEncrypted:
    case StreamStatus::kBadKey:
    case StreamStatus::kBadCompress: return true;
    case StreamStatus::kIncomplete:
    case StreamStatus::kComplete:
    case StreamStatus::kMalformed:
    case StreamStatus::kTooLarge:
    case StreamStatus::kBadLabel: return false;
  }
  SHOAL_UNREACHABLE();
}

StreamStatus StreamReader::advance(Bytes received) {
  SHOAL_ASSERT(!security_.encrypts());
  if (status_ == StreamStatus::kIncomplete && !received.empty()) status_ = step(received, {});
  return status_;
}

StreamStatus StreamReader::advance_in_place(MutableBytes received) {
  if (status_ == StreamStatus::kIncomplete && !received.empty()) status_ = step(received, received);
  return status_;
}

// `writable` is `received` again, or nothing when there are no keys.
StreamStatus StreamReader::step(Bytes received, MutableBytes writable) {
  std::size_t label_size = 0;
  if (writer_ == StreamSide::kInitiator) {
    switch (check_label(security_, received, label_size)) {
      case LabelStatus::kIncomplete: return StreamStatus::kIncomplete;
      case LabelStatus::kBad: return StreamStatus::kBadLabel;
      case LabelStatus::kOk: break;
    }
    if (received.size() == label_size) return StreamStatus::kIncomplete;
  }
  const Bytes message = received.subspan(label_size);
  const auto type = static_cast<MessageType>(message[0]);
  if (type == MessageType::kHasLabel) return StreamStatus::kBadLabel;
  if (!security_.encrypts()) return type == MessageType::kEncrypt ? StreamStatus::kEncrypted : advance_message(message);
  if (type != MessageType::kEncrypt) return StreamStatus::kNotEncrypted;
  return open_frame(message, writable.subspan(label_size));
}

StreamStatus StreamReader::open_frame(Bytes frame, MutableBytes writable) {
  if (frame.size() < kStreamFrameHeaderBytes) return StreamStatus::kIncomplete;
  ByteReader in(frame.subspan(1));
  const std::size_t size = in.u32();
  if (size > frame_bytes_max_) return StreamStatus::kTooLarge;
  if (size < kSealedBytesMin) return StreamStatus::kBadKey;
  if (in.left() < size) return StreamStatus::kIncomplete;
  const FrameAad aad(frame.first(kStreamFrameHeaderBytes), security_.label);
  const MutableBytes place = writable.subspan(kStreamFrameHeaderBytes + kSealFrontBytes, size - kSealOverheadBytes);
  std::size_t plain_size = 0;
  const OpenStatus status = open_with_ring(*security_.keyring, aad.bytes(), in.take(size), place, plain_size);
  if (status != OpenStatus::kOk) return StreamStatus::kBadKey;
  if (plain_size == 0) return StreamStatus::kMalformed;
  const StreamStatus inner = advance_message(place.first(plain_size));
  return inner == StreamStatus::kIncomplete ? StreamStatus::kMalformed : inner;  // No more of it will come.
}

// A whole or growing message without label and encryption.
StreamStatus StreamReader::advance_message(Bytes message) {
  type_ = static_cast<MessageType>(message[0]);
  return type_ == MessageType::kCompress ? unpack(message) : advance_plain(message);
}

StreamStatus StreamReader::unpack(Bytes received) {
  // LZW makes anything at most half as long again.
  const std::size_t limit = scratch_.size() * 2 + kStreamPieceBytesMax;
  Bytes body;
  const StreamStatus status = next_piece(received, limit, body);
  if (status != StreamStatus::kComplete) return status;
  Bytes packed;
  if (!decode_compressed(body, packed)) return StreamStatus::kBadCompress;
  const LzwResult result = lzw_decompress(packed, scratch_);
  if (result.status == LzwStatus::kTooLarge) return StreamStatus::kTooLarge;
  if (result.status != LzwStatus::kOk) return StreamStatus::kBadCompress;
  if (result.size == 0) return StreamStatus::kMalformed;
  const Bytes message = scratch_.first(result.size);
  unpacked_ = result.size;
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

namespace {

std::size_t seal_plain(Bytes message, bool compress, MutableBytes out) {
  if (compress) return encode_compressed(message, out);
  if (out.size() < message.size()) return 0;
  std::memcpy(out.data(), message.data(), message.size());
  return message.size();
}

}  // namespace

std::size_t seal_stream(Bytes message, bool compress, MutableBytes out, const Security& security, StreamSide writer) {
  SHOAL_ASSERT(!message.empty());
  const std::size_t overhead = stream_overhead(security, writer);
  if (out.size() <= overhead) return 0;
  ByteWriter front(out);
  if (writer == StreamSide::kInitiator) put_label(front, security.label);
  if (!security.encrypts()) {
    const std::size_t size = seal_plain(message, compress, front.free_space());
    return size == 0 ? 0 : overhead + size;
  }
  const MutableBytes frame = front.free_space();
  const std::size_t room = out.size() - overhead;
  const std::size_t size =
      seal_plain(message, compress, frame.subspan(kStreamFrameHeaderBytes + kSealFrontBytes, room));
  if (size == 0) return 0;
  front.u8(static_cast<std::uint8_t>(MessageType::kEncrypt));
  front.u32(static_cast<std::uint32_t>(size + kSealOverheadBytes));
  const FrameAad aad(frame.first(kStreamFrameHeaderBytes), security.label);
  SHOAL_ASSERT(security.nonces != nullptr);
  seal(security.keyring->primary(), *security.nonces, aad.bytes(),
       frame.subspan(kStreamFrameHeaderBytes, size + kSealOverheadBytes));
  return overhead + size;
}

}  // namespace shoal::wire
