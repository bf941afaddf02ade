// Base64 with the standard alphabet and padding (RFC 4648 section 4), for keys. Strict: no spaces, no missing padding,
// no bits set that the padding says are not there, so each value has one spelling.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace shoal {

[[nodiscard]] constexpr std::size_t base64_size(std::size_t bytes) { return (bytes + 2) / 3 * 4; }

void base64_encode(ByteWriter& out, Bytes bytes);

/// How many bytes were written to `out`; nothing when `text` is not base64 or does not fit: then `out` may hold a part.
[[nodiscard]] std::optional<std::size_t> base64_decode(std::string_view text, MutableBytes out);

}  // namespace shoal
