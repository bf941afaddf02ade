// LZW exactly as Go's compress/lzw makes it with order LSB and literal width 8 (gossip-protocol facts 1.6):
//
//   codes      packed least significant bit first; 0-255 literals, 256 = clear, 257 = end, then learned strings
//   width      9 bits after a clear, and one more for the code after the one that used up the width (no early change);
//              at most 12
//   writer     begins with a clear; at code 4095 it clears again and does not learn that string
//   reader     takes a clear anywhere (none is needed at the start); when 12 bits are full it learns nothing until the
//              next clear; a stream without the end code is broken
//
// Both directions use a table on the stack (about 30 kB) and no other memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace shoal::wire {

enum class LzwStatus : std::uint8_t {
  kOk,
  kBroken,    // An impossible code, or no end code.
  kTooLarge,  // It would decompress to more than `out` holds.
};

struct LzwResult {
  LzwStatus status = LzwStatus::kBroken;
  std::size_t size = 0;  // Bytes written to `out`, whatever the status.
};

/// Bytes behind the end code are ignored. `packed` and `out` must not overlap.
[[nodiscard]] LzwResult lzw_decompress(Bytes packed, MutableBytes out);

/// Returns the size, 0 when it did not fit into `out` (then `out` holds rubbish). `plain` and `out` must not overlap.
[[nodiscard]] std::size_t lzw_compress(Bytes plain, MutableBytes out);

}  // namespace shoal::wire
