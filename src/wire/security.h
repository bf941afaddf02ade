// What a cluster puts around its messages so that others cannot read or join: encryption and the label
// (gossip-protocol facts 1.1, 1.3, 1.4). Packets and streams take both from here.
//
//   datagram:  [F4 len label] [version nonce ciphertext tag | plain]     additional data: label
//   stream:    [F4 len label] [0A len32 version nonce ciphertext tag | plain]   additional data: 0A len32 label
//
// The label's header stands in front of what the initiator of a stream writes, not in front of the answer, whose
// additional data has the label all the same.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "wire/keyring.h"

namespace shoal::wire {

inline constexpr std::size_t kLabelBytesMax = 255;

/// Passed by value, everything in it borrowed: it outlives whoever is given it. Keys may be added to the ring and
/// removed from it at any time; each packet and stream sees it as it then is.
struct Security {
  const Keyring* keyring = nullptr;  // None, or an empty one: plain.
  std::string_view label{};          // At most kLabelBytesMax; empty: none, as old peers need it.
  NonceSource* nonces = nullptr;     // REQUIRED with a ring that has keys, to seal.

  [[nodiscard]] bool encrypts() const { return keyring != nullptr && !keyring->empty(); }
  [[nodiscard]] std::size_t label_header_bytes() const { return label.empty() ? 0 : 2 + label.size(); }
};

/// Who wrote a stream's message: only the one who connected puts the label in front.
enum class StreamSide : std::uint8_t { kInitiator, kAcceptor };

inline constexpr std::size_t kStreamFrameHeaderBytes = 5;

/// What is added to a datagram, to be taken off a budget; the CRC is not in it (facts 1.9).
[[nodiscard]] inline std::size_t packet_overhead(const Security& security) {
  return security.label_header_bytes() + (security.encrypts() ? kSealOverheadBytes : 0);
}
/// What is added to a stream's message.
[[nodiscard]] inline std::size_t stream_overhead(const Security& security, StreamSide writer) {
  return (writer == StreamSide::kInitiator ? security.label_header_bytes() : 0) +
         (security.encrypts() ? kStreamFrameHeaderBytes + kSealOverheadBytes : 0);
}

enum class LabelStatus : std::uint8_t { kIncomplete, kOk, kBad };
/// Looks at the label in front of `received`, which may still be growing. kOk: it is ours, and `size` bytes long (0
/// without a label). Another one, a missing one, and one where we have none are bad.
[[nodiscard]] LabelStatus check_label(const Security& security, Bytes received, std::size_t& size);
/// Writes its header, nothing for an empty label. REQUIRES: at most kLabelBytesMax.
void put_label(ByteWriter& out, std::string_view label);

/// Opens with every key of the ring in order; as wire::open for one. REQUIRES: encrypts().
[[nodiscard]] OpenStatus open_with_ring(const Keyring& keyring, Bytes aad, Bytes sealed, MutableBytes memory,
                                        std::size_t& plain_size);

}  // namespace shoal::wire
