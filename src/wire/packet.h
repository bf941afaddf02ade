// The datagram pipeline in both directions, one line a step (gossip-protocol facts 1.1):
//
//   send:     messages -> compound -> compress -> CRC -> encrypt -> label
//   receive:  label -> decrypt -> CRC -> dispatch, where compress and compound recurse
//
// With keys in the ring a datagram that is not encrypted is refused, as memberlist does by default.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/containers.h"
#include "wire/messages.h"
#include "wire/security.h"

namespace shoal::wire {

inline constexpr std::size_t kPacketBudget =
    1400;  // memberlist's UDPBufferSize; the CRC header is not counted, packet_overhead() is.
inline constexpr std::size_t kCrcHeaderBytes = 5;
inline constexpr std::size_t kCompoundHeaderBytes = 2;
inline constexpr std::size_t kCompoundPartBytes = 2;
inline constexpr std::size_t kCompoundPartsMax = 127;  // 0.2.2 cannot read more (trap 19).
inline constexpr std::size_t kDatagramBytesMax = 65'507;

/// What was wrong with (a part of) a datagram. Whole messages before the fault have been delivered.
enum class PacketFault : std::uint8_t {
  kNone,
  kEmpty,         // No byte, or none under the label, the encryption or the CRC.
  kBadLabel,      // Another cluster's label, none, or two.
  kNotEncrypted,  // We have keys, and this cannot be anything encrypted.
  kBadKey,      // No key of the ring opens it: another key or label, damaged, or a plain ping (types 0 and 1 look like
                // versions).
  kBadPadding,  // Of encryption version 0; somebody who has the key wrote it so.
  kBadCrc,
  kBadCompress,        // Unknown algorithm, broken LZW, or more output than allowed.
  kTruncatedCompound,  // The parts that were whole have been delivered.
  kEmptyPart,          // A part of a compound, or what was compressed, has no byte.
  kTooDeep,            // Nesting over kDepthMax.
  kTooMany,            // Messages over kMessagesMax; the first of them have been delivered.
  kUnsupported,        // A type that may not stand here, or that nobody knows; a label.
  kCount,
};
[[nodiscard]] std::string_view to_text(PacketFault fault);

class MessageSink {
 public:
  /// A plain message: `type` is one of ping, indirect ping, ack, nack, suspect, alive, dead, user. `body` is what
  /// follows the type byte, borrowed for the call.
  virtual void on_message(MessageType type, Bytes body) = 0;

 protected:
  ~MessageSink() = default;
};

class PacketOpener {
 public:
  static constexpr int kDepthMax = 8;
  /// Of one datagram, all levels together: as many as one compound holds. Compounds in compounds could make a million
  /// of a few kilobytes.
  static constexpr std::size_t kMessagesMax = 255;

  /// `inflate_bytes_max` bounds what one datagram may decompress to, all levels together. Reserved once, as are 64 kB
  /// for what is decrypted.
  explicit PacketOpener(std::size_t inflate_bytes_max = 1024 * 1024);

  /// Delivers every message of the datagram in order; returns the first fault met. A fault in one part of a compound
  /// does not keep back the others. Without keys an encrypted datagram cannot be told from a ping or indirect ping
  /// whose body does not decode or, by chance, is an object without a field.
  PacketFault open(Bytes datagram, MessageSink& sink, const Security& security = {});

 private:
  PacketFault decrypt(Bytes datagram, const Security& security, Bytes& plain);
  PacketFault dispatch(Bytes message, MessageSink& sink, int depth);
  PacketFault open_compound(Bytes body, MessageSink& sink, int depth);
  PacketFault open_compressed(Bytes body, MessageSink& sink, int depth);

  Buffer decrypted_;
  Buffer inflated_;
  std::size_t inflated_used_ = 0;
  std::size_t messages_ = 0;
};

/// Collects messages and makes one datagram of them. REQUIRES in all: no message is empty.
class PacketSealer {
 public:
  explicit PacketSealer(bool compress);

  /// `security` is for this datagram; what it borrows is used until the last `finish`.
  void begin(const Security& security = {});
  /// False when it does not fit (one datagram with CRC, encryption and label; kCompoundPartsMax parts): nothing has
  /// changed.
  [[nodiscard]] bool add(Bytes message);
  [[nodiscard]] std::size_t parts() const { return parts_; }
  /// Size if sealed now without compression, CRC, encryption and label: one message bare, several as a compound.
  [[nodiscard]] std::size_t plain_size() const;
  /// Writes the datagram into `out`; returns its size, 0 when it did not fit or nothing was added. May be called again
  /// for the same messages, for another peer: each is encrypted anew. Compressed only if that makes it smaller. `out`
  /// needs room for plain_size(), the CRC and packet_overhead(), and is all the memory that is used.
  [[nodiscard]] std::size_t finish(bool with_crc, MutableBytes out);

 private:
  [[nodiscard]] Bytes sealed_plain();
  [[nodiscard]] std::size_t finish_plain(bool with_crc, MutableBytes out);
  [[nodiscard]] std::size_t plain_bytes_max() const;

  bool compress_;
  Security security_{};
  Buffer memory_;  // Room for the longest compound header, then the messages back to back.
  std::uint16_t lengths_[kCompoundPartsMax] = {};
  std::size_t parts_ = 0;
  std::size_t used_ = 0;
};

}  // namespace shoal::wire
