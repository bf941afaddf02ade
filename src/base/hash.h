// One hash for names: FNV-1a with a final mix. The same value on every platform, so it may decide things that proxies
// must agree on (server ids). Not for secrets.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace shoal {

[[nodiscard]] constexpr std::uint64_t mix64(std::uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ULL;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebULL;
  x ^= x >> 31;
  return x;
}

[[nodiscard]] inline std::uint64_t hash64(Bytes bytes, std::uint64_t seed = 0) {
  std::uint64_t h = 0xcbf29ce484222325ULL ^ mix64(seed);
  for (const std::uint8_t byte : bytes) {
    h ^= byte;
    h *= 0x100000001b3ULL;
  }
  return mix64(h);
}

}  // namespace shoal
