#include "wire/crc32.h"

#include <doctest/doctest.h>

namespace shoal::wire {
namespace {

TEST_CASE("the CRC is that of IEEE 802.3") {
  CHECK(crc32({}) == 0);
  CHECK(crc32(as_bytes("123456789")) == 0xcbf43926);  // The check value of every CRC-32 catalogue.
}

}  // namespace
}  // namespace shoal::wire
