#include "wire/packet.h"

#include <cstring>

#include "base/check.h"
#include "wire/compress.h"
#include "wire/crc32.h"
#include "wire/lzw.h"

namespace shoal::wire {
namespace {

constexpr std::size_t kLongestCompoundHeader = kCompoundHeaderBytes + kCompoundPartsMax * kCompoundPartBytes;
constexpr std::size_t kPlainBytesMax = kDatagramBytesMax - kCrcHeaderBytes;

constexpr std::uint8_t byte_of(MessageType type) { return static_cast<std::uint8_t>(type); }

void keep_first(PacketFault& first, PacketFault fault) {
  if (first == PacketFault::kNone) first = fault;
}

}  // namespace

std::string_view to_text(PacketFault fault) {
  switch (fault) {
    case PacketFault::kNone: return "none";
    case PacketFault::kEmpty: return "empty";
    case PacketFault::kBadLabel: return "bad_label";
    case PacketFault::kNotEncrypted: return "not_encrypted";
    case PacketFault::kBadKey: return "bad_key";
    case PacketFault::kBadPadding: return "bad_padding";
    case PacketFault::kBadCrc: return "bad_crc";
    case PacketFault::kBadCompress: return "bad_compress";
    case PacketFault::kTruncatedCompound: return "truncated_compound";
    case PacketFault::kEmptyPart: return "empty_part";
    case PacketFault::kTooDeep: return "too_deep";
    case PacketFault::kTooMany: return "too_many";
    case PacketFault::kUnsupported: return "unsupported";
    case PacketFault::kCount: break;
  }
  SHOAL_UNREACHABLE();
}

PacketOpener::PacketOpener(std::size_t inflate_bytes_max)
    : decrypted_(kDatagramBytesMax), inflated_(inflate_bytes_max) {}

PacketFault PacketOpener::open(Bytes datagram, MessageSink& sink, const Security& security) {
  if (datagram.empty()) return PacketFault::kEmpty;
  std::size_t label_size = 0;
  if (check_label(security, datagram, label_size) != LabelStatus::kOk) return PacketFault::kBadLabel;
  datagram = datagram.subspan(label_size);
  if (datagram.empty()) return PacketFault::kEmpty;
  if (datagram[0] == byte_of(MessageType::kHasLabel)) return PacketFault::kBadLabel;
  if (security.encrypts()) {
    const PacketFault fault = decrypt(datagram, security, datagram);
    if (fault != PacketFault::kNone) return fault;
  }
  inflated_used_ = 0;
  messages_ = 0;
  if (datagram[0] == byte_of(MessageType::kHasCrc) && datagram.size() >= kCrcHeaderBytes) {
    ByteReader header(datagram.subspan(1));
    const std::uint32_t expected = header.u32();
    datagram = header.rest();
    if (crc32(datagram) != expected) return PacketFault::kBadCrc;
    if (datagram.empty()) return PacketFault::kEmpty;
  }
  return dispatch(datagram, sink, 0);
}

PacketFault PacketOpener::decrypt(Bytes datagram, const Security& security, Bytes& plain) {
  if (datagram.size() > decrypted_.size()) return PacketFault::kNotEncrypted;  // No datagram.
  std::size_t size = 0;
  switch (open_with_ring(*security.keyring, as_bytes(security.label), datagram, decrypted_.bytes(), size)) {
    case OpenStatus::kOk: break;
    case OpenStatus::kNotSealed: return PacketFault::kNotEncrypted;
    case OpenStatus::kBadKey: return PacketFault::kBadKey;
    case OpenStatus::kBadPadding: return PacketFault::kBadPadding;
  }
  plain = decrypted_.bytes().first(size);
  return size == 0 ? PacketFault::kEmpty : PacketFault::kNone;
}

PacketFault PacketOpener::dispatch(Bytes message, MessageSink& sink, int depth) {
  SHOAL_ASSERT(!message.empty());
  if (depth > kDepthMax) return PacketFault::kTooDeep;
  const Bytes body = message.subspan(1);
  const auto type = static_cast<MessageType>(message[0]);  // Any byte; what is not in the list falls through.
  switch (type) {
    case MessageType::kPing:
    case MessageType::kIndirectPing:
    case MessageType::kAck:
    case MessageType::kSuspect:
    case MessageType::kAlive:
    case MessageType::kDead:
    case MessageType::kUser:
    case MessageType::kNack:
      if (messages_ == kMessagesMax) return PacketFault::kTooMany;
      ++messages_;
      sink.on_message(type, body);
      return PacketFault::kNone;
    case MessageType::kCompound: return open_compound(body, sink, depth);
    case MessageType::kCompress: return open_compressed(body, sink, depth);
    case MessageType::kPushPull:
    case MessageType::kEncrypt:
    case MessageType::kHasCrc:
    case MessageType::kErr:
    case MessageType::kHasLabel: break;
  }
  return PacketFault::kUnsupported;
}

PacketFault PacketOpener::open_compound(Bytes body, MessageSink& sink, int depth) {
  ByteReader in(body);
  const std::size_t count = in.u8();
  ByteReader lengths(in.take(count * kCompoundPartBytes));
  if (!in.ok()) return PacketFault::kTruncatedCompound;
  PacketFault first = PacketFault::kNone;
  for (std::size_t i = 0; i < count; ++i) {
    const Bytes part = in.take(lengths.u16());
    if (!in.ok()) {
      keep_first(first, PacketFault::kTruncatedCompound);
      break;
    }
    keep_first(first, part.empty() ? PacketFault::kEmptyPart : dispatch(part, sink, depth + 1));
  }
  return first;
}

PacketFault PacketOpener::open_compressed(Bytes body, MessageSink& sink, int depth) {
  Bytes packed;
  if (!decode_compressed(body, packed)) return PacketFault::kBadCompress;
  const MutableBytes out = inflated_.bytes().subspan(inflated_used_);
  const LzwResult result = lzw_decompress(packed, out);
  inflated_used_ += result.size;  // A broken one has done its work too.
  if (result.status != LzwStatus::kOk) return PacketFault::kBadCompress;
  if (result.size == 0) return PacketFault::kEmptyPart;
  return dispatch(out.first(result.size), sink, depth + 1);
}

PacketSealer::PacketSealer(bool compress) : compress_(compress), memory_(kLongestCompoundHeader + kPlainBytesMax) {}

void PacketSealer::begin(const Security& security) {
  security_ = security;
  parts_ = 0;
  used_ = 0;
}

std::size_t PacketSealer::plain_bytes_max() const { return kPlainBytesMax - packet_overhead(security_); }

bool PacketSealer::add(Bytes message) {
  SHOAL_ASSERT(!message.empty());
  if (parts_ == kCompoundPartsMax) return false;
  const std::size_t header = parts_ == 0 ? 0 : kCompoundHeaderBytes + (parts_ + 1) * kCompoundPartBytes;
  if (message.size() > plain_bytes_max() || header + used_ + message.size() > plain_bytes_max()) return false;
  std::memcpy(memory_.bytes().data() + kLongestCompoundHeader + used_, message.data(), message.size());
  lengths_[parts_] = static_cast<std::uint16_t>(message.size());
  used_ += message.size();
  ++parts_;
  return true;
}

std::size_t PacketSealer::plain_size() const {
  return parts_ < 2 ? used_ : kCompoundHeaderBytes + parts_ * kCompoundPartBytes + used_;
}

// The compound header goes right in front of the messages, where there is room for the longest.
Bytes PacketSealer::sealed_plain() {
  const std::size_t header = plain_size() - used_;
  const MutableBytes plain = memory_.bytes().subspan(kLongestCompoundHeader - header, plain_size());
  if (header > 0) {
    ByteWriter out(plain.first(header));
    out.u8(byte_of(MessageType::kCompound));
    out.u8(static_cast<std::uint8_t>(parts_));
    for (std::size_t i = 0; i < parts_; ++i) out.u16(lengths_[i]);
    SHOAL_ASSERT(out.ok());
  }
  return plain;
}

std::size_t PacketSealer::finish(bool with_crc, MutableBytes out) {
  if (out.size() <= packet_overhead(security_)) return 0;
  const std::size_t label_size = security_.label_header_bytes();
  ByteWriter label(out.first(label_size));
  put_label(label, security_.label);
  const MutableBytes rest = out.subspan(label_size);
  if (!security_.encrypts()) {
    const std::size_t size = finish_plain(with_crc, rest);
    return size == 0 ? 0 : label_size + size;
  }
  const std::size_t size = finish_plain(with_crc, rest.subspan(kSealFrontBytes, rest.size() - kSealOverheadBytes));
  if (size == 0) return 0;
  SHOAL_ASSERT(security_.nonces != nullptr);
  seal(security_.keyring->primary(), *security_.nonces, as_bytes(security_.label),
       rest.first(size + kSealOverheadBytes));
  return label_size + size + kSealOverheadBytes;
}

// What comes before encryption and label.
std::size_t PacketSealer::finish_plain(bool with_crc, MutableBytes out) {
  const std::size_t header = with_crc ? kCrcHeaderBytes : 0;
  if (parts_ == 0 || out.size() <= header) return 0;
  const Bytes plain = sealed_plain();
  const MutableBytes rest = out.subspan(header);
  std::size_t size = compress_ ? encode_compressed(plain, rest) : 0;
  if (size == 0 || size >= plain.size()) {
    if (rest.size() < plain.size()) return 0;
    std::memcpy(rest.data(), plain.data(), plain.size());
    size = plain.size();
  }
  if (with_crc) {
    ByteWriter crc(out.first(kCrcHeaderBytes));
    crc.u8(byte_of(MessageType::kHasCrc));
    crc.u32(crc32(rest.first(size)));
  }
  return header + size;
}

}  // namespace shoal::wire
