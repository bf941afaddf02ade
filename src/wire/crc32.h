// CRC-32 as memberlist puts it in front of a datagram: IEEE 802.3, reflected polynomial EDB88320 (the one of zip and
// Ethernet).
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace shoal::wire {

[[nodiscard]] std::uint32_t crc32(Bytes bytes);

}  // namespace shoal::wire
