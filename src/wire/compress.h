// The compress message (type 9): a map of an algorithm number, always 0 for LZW, and the compressed message, which
// starts with its own type byte. Shared by datagrams and streams, which differ in when they use it.
#pragma once

#include <cstddef>

#include "base/bytes.h"

namespace shoal::wire {

/// Bytes that a compress message needs around its LZW data, at most.
inline constexpr std::size_t kCompressHeaderBytesMax = 17;

/// `body` is what follows the type byte. False = malformed, or an unknown algorithm.
[[nodiscard]] bool decode_compressed(Bytes body, Bytes& packed);

/// Writes type byte and body for `message`. Returns the size, 0 when it did not fit into `out`, which must have room
/// for the longest header even if a shorter one is written. REQUIRES: `message` is not empty (Go peers crash on that)
/// and does not overlap `out`.
[[nodiscard]] std::size_t encode_compressed(Bytes message, MutableBytes out);

}  // namespace shoal::wire
