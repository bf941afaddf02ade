#include "wire/crc32.h"

#include <array>

namespace shoal::wire {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value & 1) != 0 ? value >> 1 ^ 0xedb88320U : value >> 1;
    table[byte] = value;
  }
  return table;
}

constexpr std::array<std::uint32_t, 256> kTable = make_table();

}  // namespace

std::uint32_t crc32(Bytes bytes) {
  std::uint32_t value = 0xffffffffU;
  for (const std::uint8_t byte : bytes) value = value >> 8 ^ kTable[(value ^ byte) & 0xff];
  return ~value;
}

}  // namespace shoal::wire
